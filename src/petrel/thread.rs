//! Work that computes or waits for the disk, on a thread where it stops no other task.

use std::panic::resume_unwind;

use tokio::task::spawn_blocking;

/// Does `work` on such a thread. A panic of it goes on in the task that asked.
pub(crate) async fn off_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    // Nobody aborts it, so an error is a panic.
    spawn_blocking(work).await.unwrap_or_else(|error| resume_unwind(error.into_panic()))
}
