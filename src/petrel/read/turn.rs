//! Turns of long computations.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::Reader;
use crate::petrel::thread::{by_itself, off_thread};

impl Reader {
    /// Runs a long computation on a thread of its own; few at a time, so that they never take
    /// the machine from the firings.
    pub(crate) fn in_turn<T: Send + 'static, W: FnOnce() -> T + Send + 'static>(
        &self,
        work: W,
    ) -> impl Future<Output = T> + Send + 'static + use<T, W> {
        let turns = Arc::clone(&self.computing);
        by_itself(async move {
            // It is never closed, so never an error.
            let turn = turns.acquire_owned().await;
            off_thread(move || {
                // It is ours until the end, even if nobody waits for it any more.
                let _turn = turn;
                work()
            })
            .await
        })
    }
}

/// Turns of long computations: as many may run at once as half of the machine's cores.
pub(super) fn turns() -> Arc<Semaphore> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Arc::new(Semaphore::new(cores.div_ceil(2)))
}
