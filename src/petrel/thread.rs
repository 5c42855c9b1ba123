//! Work that computes or waits for the disk, on a thread where it stops no other task.

use std::{panic::resume_unwind, sync::Arc};

use tokio::{sync::Semaphore, task::spawn_blocking};

use crate::petrel::read::Reader;

/// Does `work` on such a thread. A panic of it goes on in the task that asked.
pub(crate) async fn off_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    // Nobody aborts it, so an error is a panic.
    spawn_blocking(work).await.unwrap_or_else(|error| resume_unwind(error.into_panic()))
}

impl Reader {
    /// Runs a long computation on a thread of its own; few at a time, so that they never take
    /// the machine from the firings.
    pub(crate) async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        // It is never closed, so never an error.
        let turn = Arc::clone(&self.computing).acquire_owned().await;
        off_thread(move || {
            // It is ours until the end, even if nobody waits for it any more.
            let _turn = turn;
            work()
        })
        .await
    }
}

/// Turns of long computations: as many may run at once as half of the machine's cores.
pub(in crate::petrel) fn turns() -> Arc<Semaphore> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Arc::new(Semaphore::new(cores.div_ceil(2)))
}
