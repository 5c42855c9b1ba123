//! Decisions that cost much: off the threads that serve others, some at a time, and not for long.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::Semaphore;

use crate::engine::Budget;
use crate::petrel::{Error, Inner, Result};

/// Steps that a decision may take on the thread that serves others: about a millisecond.
const QUICK_STEPS: u64 = 2_000;

/// Longest time of a decision that costs more.
const LONGEST: Duration = Duration::from_secs(2);

/// Number of costly decisions that wait for their turn, and the longest wait.
const MOST_WAITING: usize = 64;
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// The turns of those that cost much: half of the machine's cores.
#[derive(Debug)]
pub(in crate::petrel) struct Costly {
    turns: Arc<Semaphore>,
    waiting: AtomicUsize,
}

impl Default for Costly {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let turns = Arc::new(Semaphore::new((cores / 2).max(1)));
        Self { turns, waiting: AtomicUsize::new(0) }
    }
}

/// One that waits, until it is dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Inner {
    /// The decision of `quick` within [`QUICK_STEPS`]. If it costs more, that of `costly` on a
    /// thread of its own.
    pub(crate) async fn decided<T, D>(
        &self,
        quick: impl FnOnce(&Budget) -> T,
        costly: impl FnOnce() -> D,
    ) -> Result<T>
    where
        T: Send + 'static,
        D: FnOnce(&Budget) -> T + Send + 'static,
    {
        let budget = Budget::of(QUICK_STEPS);
        let decided = quick(&budget);
        match budget.ran_out() {
            None => Ok(decided),
            Some(_) => Box::pin(self.costly.decided(costly())).await,
        }
    }
}

impl Costly {
    async fn decided<T: Send + 'static>(
        &self,
        decide: impl FnOnce(&Budget) -> T + Send + 'static,
    ) -> Result<T> {
        let waiting = self.waiting.fetch_add(1, Ordering::Relaxed);
        let begun = Waiting(&self.waiting);
        let overloaded = |reason: String| Err(Error::Overloaded { reason });
        if waiting >= MOST_WAITING {
            return overloaded(format!("{MOST_WAITING} costly decisions wait for their turn"));
        }
        let turn = Arc::clone(&self.turns).acquire_owned();
        let Ok(Ok(turn)) = tokio::time::timeout(LONGEST_WAIT, turn).await else {
            return overloaded(format!("other costly decisions took more than {LONGEST_WAIT:?}"));
        };
        drop(begun);
        let decided = tokio::task::spawn_blocking(move || {
            // It is ours until the end, even if nobody waits for it any more.
            let _turn = turn;
            decide(&Budget::until(Instant::now() + LONGEST))
        });
        match decided.await {
            Ok(decided) => Ok(decided),
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => overloaded("the process ends".to_owned()),
        }
    }
}
