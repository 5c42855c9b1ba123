//! Turns of long computations, and of pages.

use std::sync::Arc;

#[cfg(feature = "analysis")]
use tokio::sync::Semaphore;

use super::Reader;
use crate::petrel::thread::by_itself;
#[cfg(feature = "analysis")]
use crate::petrel::thread::off_thread;

/// Number of pages that are read at once. Each has up to
/// [`PAGE_BYTES`](crate::storage::PAGE_BYTES), and as much again is on its way.
pub(super) const PAGES_AT_ONCE: usize = 4;

impl Reader {
    /// Runs a long computation on a thread of its own; few at a time, so that they never take
    /// the machine from the firings.
    #[cfg(feature = "analysis")]
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

    /// Reads a page, a few at a time of all callers.
    pub(in crate::petrel) fn read_page<
        T: Send + 'static,
        R: Future<Output = T> + Send + 'static,
    >(
        &self,
        read: R,
    ) -> impl Future<Output = T> + Send + 'static + use<T, R> {
        let turns = Arc::clone(&self.paging);
        by_itself(async move {
            // It is never closed, so never an error.
            let _turn = turns.acquire().await;
            read.await
        })
    }
}

/// Turns of long computations: as many may run at once as half of the machine's cores.
#[cfg(feature = "analysis")]
pub(super) fn turns() -> Arc<Semaphore> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Arc::new(Semaphore::new(cores.div_ceil(2)))
}
