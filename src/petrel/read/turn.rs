//! Turns of long computations, of pages, and of large cases.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};

use super::Reader;
use crate::models::Case;
use crate::petrel::thread::by_itself;
#[cfg(feature = "analysis")]
use crate::petrel::thread::off_thread;
use crate::petrel::{Error, Result};

/// Number of pages that are read at once. Each has up to
/// [`PAGE_BYTES`](crate::storage::PAGE_BYTES), and as much again is on its way.
pub(super) const PAGES_AT_ONCE: usize = 4;

/// Longest wait for the turn of a page, or of a large case.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// Number of large cases that are loaded at once for callers, and for changes.
pub(super) const LOADS_AT_ONCE: usize = 1;
pub(super) const RESTORES_AT_ONCE: usize = 2;

/// Memory of a case, in bytes, beyond which it is a large one.
const LARGE: usize = 4 * 1024 * 1024;

/// The number of parts from which on a case is a large one: the first of them tell nothing of so many
/// others.
const MANY: usize = 32;

/// A case that was loaded, unless it is large and has no turn.
pub(in crate::petrel) enum Loaded<T> {
    Whole(T),
    /// It has no turn, and nothing is kept of it. It is to be loaded anew.
    Large,
}

/// Way to the turn that a large case needs.
#[derive(Debug, Clone, Copy)]
enum Way {
    /// It waits with what it has.
    Waits,
    /// It takes one that is free. If none is, it ends there, so that those who wait have nothing of
    /// their cases.
    Takes,
    /// It ends there.
    Ends,
}

/// A case that is being loaded. One that turns out to be large needs a turn.
pub(super) struct Loading<'a> {
    turns: &'a Semaphore,
    turn: Option<SemaphorePermit<'a>>,
    way: Way,
    bytes: usize,
    read: usize,
}

impl Loading<'_> {
    /// Notes a part that has been read, with the memory that it takes.
    pub(super) fn add(&mut self, bytes: usize) {
        self.bytes += bytes;
        self.read += 1;
    }

    /// Returns true if so many more parts may be read: together they are no large case if they are as
    /// large as those before them, or it has its turn. Whoever has the turn needs no other one for
    /// the rest.
    pub(super) async fn may_read(&mut self, more: usize) -> bool {
        let is_large = more > MANY || self.bytes + self.part() * more > LARGE;
        if is_large && self.turn.is_none() {
            self.turn = match self.way {
                // It is never closed, so never an error.
                Way::Waits => self.turns.acquire().await.ok(),
                Way::Takes => self.turns.try_acquire().ok(),
                Way::Ends => None,
            };
        }
        !is_large || self.turn.is_some()
    }

    /// Number of parts that are no more than a large case together, if they are as large as those
    /// before them.
    pub(super) fn some(&self) -> usize {
        LARGE / self.part().max(1)
    }

    pub(super) fn has_turn(&self) -> bool {
        self.turn.is_some()
    }

    fn part(&self) -> usize {
        self.bytes / self.read.max(1)
    }

    /// Begins anew once it has a turn.
    pub(super) async fn wait(&mut self) -> Result<()> {
        let Ok(turn) = timeout(LONGEST_WAIT, self.turns.acquire()).await else {
            let reason = format!("the large cases of others took more than {LONGEST_WAIT:?}");
            return Err(Error::Overloaded { reason });
        };
        (self.turn, self.bytes, self.read) = (turn.ok(), 0, 0);
        Ok(())
    }
}

/// Number of large cases that are looked at at once by whoever asks for their abilities.
pub(super) const LOOKS_AT_ONCE: usize = 4;

impl Reader {
    /// The right to look at a case for longer than it takes to load it; nothing is needed for one
    /// that is not large.
    pub(super) fn look(&self, case: &Case) -> Result<Option<SemaphorePermit<'_>>> {
        if case.memory() <= LARGE {
            return Ok(None);
        }
        let reason = || format!("{LOOKS_AT_ONCE} large cases are being looked at");
        let look = self.looks.try_acquire();
        look.map(Some).map_err(|_| Error::Overloaded { reason: reason() })
    }

    /// A load for a caller, which ends where it needs a turn and none is free.
    pub(super) fn loading(&self) -> Loading<'_> {
        Loading { turns: &self.loads, turn: None, way: Way::Takes, bytes: 0, read: 0 }
    }

    /// A load among others for one caller, which ends where it needs a turn.
    pub(super) fn loading_small(&self) -> Loading<'_> {
        Loading { way: Way::Ends, ..self.loading() }
    }

    /// A load for a change, or for mending views. Its turns are none of the callers who read.
    pub(super) fn restoring(&self) -> Loading<'_> {
        Loading { turns: &self.restores, turn: None, way: Way::Waits, bytes: 0, read: 0 }
    }

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
        R: Future<Output = Result<T>> + Send + 'static,
    >(
        &self,
        read: R,
    ) -> impl Future<Output = Result<T>> + Send + 'static + use<T, R> {
        let turns = Arc::clone(&self.paging);
        by_itself(async move {
            let Ok(_turn) = timeout(LONGEST_WAIT, turns.acquire()).await else {
                let reason = format!("the pages of others took more than {LONGEST_WAIT:?}");
                return Err(Error::Overloaded { reason });
            };
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
