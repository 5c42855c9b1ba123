//! Work that computes or waits for the disk, on a thread where it stops no other task.

use std::{future::pending, panic::resume_unwind};

use tokio::task::spawn_blocking;

/// Does `work` on such a thread. A panic of it goes on in the task that asked.
pub(crate) async fn off_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match spawn_blocking(work).await.map_err(tokio::task::JoinError::try_into_panic) {
        Ok(done) => done,
        Err(Ok(panic)) => resume_unwind(panic),
        // The runtime ends, and the task that asked with it.
        Err(Err(_)) => pending().await,
    }
}
