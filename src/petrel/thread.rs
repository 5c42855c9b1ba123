//! Work that computes or waits for the disk, on a thread where it stops no other task; and work
//! that goes on by itself.

use std::{future::pending, panic::resume_unwind};

use tokio::task::{JoinError, spawn_blocking};
use tokio_util::task::AbortOnDropHandle;

/// Does `work` on such a thread. A panic of it goes on in the task that asked.
pub(crate) async fn off_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    done(spawn_blocking(work).await).await
}

/// Does `work` in a task of its own, until the caller gives it up. While it waits for a turn, or
/// others wait for it, it must not depend on a caller who is not polled: one in the buffer of a
/// stream, whose reader awaits something else.
pub(crate) async fn by_itself<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> T {
    done(AbortOnDropHandle::new(tokio::spawn(work)).await).await
}

async fn done<T>(ended: Result<T, JoinError>) -> T {
    match ended.map_err(JoinError::try_into_panic) {
        Ok(done) => done,
        Err(Ok(panic)) => resume_unwind(panic),
        // The runtime ends, and the task that asked with it.
        Err(Err(_)) => pending().await,
    }
}
