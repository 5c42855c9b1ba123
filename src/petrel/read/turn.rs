//! Turns of long computations.

use std::{future::pending, panic::resume_unwind, sync::Arc};

use tokio::{sync::Semaphore, task::JoinError};
use tokio_util::task::AbortOnDropHandle;

use super::Reader;
use crate::petrel::thread::off_thread;

impl Reader {
    /// Runs a long computation on a thread of its own; few at a time, so that they never take
    /// the machine from the firings.
    pub(crate) async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        let turns = Arc::clone(&self.computing);
        // A task of its own waits for the turn. Whoever waited here would keep the turn from others
        // for as long as nobody polls him, as in the buffer of a stream whose reader awaits
        // something else.
        let work = AbortOnDropHandle::new(tokio::spawn(async move {
            // It is never closed, so never an error.
            let turn = turns.acquire_owned().await;
            off_thread(move || {
                // It is ours until the end, even if nobody waits for it any more.
                let _turn = turn;
                work()
            })
            .await
        }));
        match work.await.map_err(JoinError::try_into_panic) {
            Ok(done) => done,
            Err(Ok(panic)) => resume_unwind(panic),
            // The runtime ends, and the task that asked with it.
            Err(Err(_)) => pending().await,
        }
    }
}

/// Turns of long computations: as many may run at once as half of the machine's cores.
pub(super) fn turns() -> Arc<Semaphore> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Arc::new(Semaphore::new(cores.div_ceil(2)))
}
