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

/// Longest wait for the turn of a page, or of a case.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// Memory of a case, in bytes, beyond which it is a large one.
const LARGE: usize = 4 * 1024 * 1024;

/// The most parts of a case that is not one of many: the first of them tell little of more others.
const MANY: usize = 32;

/// Number of cases of many parts that are loaded at once for one purpose, as long as they are not
/// large.
const MANY_AT_ONCE: usize = 8;

/// Turns at loading cases for one purpose. None waits for what is loaded for another.
#[derive(Debug)]
pub(super) struct Turns {
    large: Semaphore,
    many: Semaphore,
}

impl Turns {
    /// Turns at so many large cases at once.
    pub(super) fn new(large: usize) -> Self {
        Self { large: Semaphore::new(large), many: Semaphore::new(MANY_AT_ONCE) }
    }
}

/// A case that was loaded, unless it needs a turn and has none.
pub(in crate::petrel) enum Loaded<T> {
    Whole(T),
    /// It has no turn, and nothing is kept of it. It is to be loaded anew.
    Large,
}

/// Purpose of a load that waits for its turn as long as it takes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Purpose {
    /// A change is decided on the case.
    Change,
    /// Views are mended, or an audit goes over all.
    Upkeep,
}

/// The turn that a case needs.
#[derive(Debug, Clone, Copy)]
enum Needed {
    Large,
    Many,
}

/// A case that is being loaded. One that turns out to be large, or to have many parts, needs a turn.
/// It takes one that is free; if none is, the load ends, so that those who wait have nothing of their
/// cases.
pub(super) struct Loading<'a> {
    turns: &'a Turns,
    large: Option<SemaphorePermit<'a>>,
    many: Option<SemaphorePermit<'a>>,
    /// The turn that it lacked.
    lacked: Needed,
    /// True if others are loaded beside it: it takes no turn of a large case.
    is_one_of_some: bool,
    /// Longest wait for a turn; as long as it takes where absent.
    patience: Option<Duration>,
    bytes: usize,
    read: usize,
}

impl Turns {
    fn of(&self, needed: Needed) -> &Semaphore {
        match needed {
            Needed::Large => &self.large,
            Needed::Many => &self.many,
        }
    }
}

impl<'a> Loading<'a> {
    fn new(turns: &'a Turns, patience: Option<Duration>) -> Self {
        let (large, many, lacked) = (None, None, Needed::Large);
        Self { turns, large, many, lacked, is_one_of_some: false, patience, bytes: 0, read: 0 }
    }

    /// Notes a part that has been read, with the memory that it takes.
    pub(super) fn add(&mut self, bytes: usize) {
        self.bytes += bytes;
        self.read += 1;
    }

    /// Returns true if so many more parts may be read: they are few, and no large case together if
    /// they are as large as those before them; or there is a turn for them.
    pub(super) async fn may_read(&mut self, more: usize) -> bool {
        let is_large = self.bytes + self.part() * more > LARGE;
        let needed = if is_large { Needed::Large } else { Needed::Many };
        let has = match needed {
            Needed::Large => self.large.is_some(),
            Needed::Many => more <= MANY || self.many.is_some() || self.large.is_some(),
        };
        if has {
            return true;
        }
        let turns = self.turns.of(needed);
        self.lacked = needed;
        match needed {
            Needed::Large if self.is_one_of_some => {}
            // Whoever has it needs no other one for the rest.
            Needed::Large => (self.large, self.many) = (turns.try_acquire().ok(), None),
            // Its holders wait for no other turn. They are never closed, so never an error.
            Needed::Many if self.is_one_of_some => self.many = turns.acquire().await.ok(),
            Needed::Many => self.many = turns.try_acquire().ok(),
        }
        match needed {
            Needed::Large => self.large.is_some(),
            Needed::Many => self.many.is_some(),
        }
    }

    /// The turn of a large case, if it is one.
    pub(super) fn into_turn(self) -> Option<SemaphorePermit<'a>> {
        self.large
    }

    /// Number of parts that are no more than a large case together, if they are as large as those
    /// before them.
    pub(super) fn some(&self) -> usize {
        LARGE / self.part().max(1)
    }

    fn part(&self) -> usize {
        self.bytes / self.read.max(1)
    }

    /// Begins anew once it has the turn that it lacked.
    pub(super) async fn wait(&mut self) -> Result<()> {
        (self.large, self.many, self.bytes, self.read) = (None, None, 0, 0);
        let turn = self.turns.of(self.lacked).acquire();
        let turn = match self.patience {
            Some(longest) => timeout(longest, turn).await.map_err(|_| {
                let reason = format!("the cases of others took more than {longest:?}");
                Error::Overloaded { reason }
            })?,
            None => turn.await,
        };
        match self.lacked {
            Needed::Large => self.large = turn.ok(),
            Needed::Many => self.many = turn.ok(),
        }
        Ok(())
    }
}

/// Memory of the large cases that are looked at at once by whoever asks for their abilities, in
/// [`UNIT`]s. One that takes more is looked at alone.
pub(super) const LOOKED_AT: u32 = 64 * 1024;

/// Unit of that memory, in bytes.
const UNIT: usize = 1024;

impl Reader {
    /// The right to look at a case for longer than it takes to load it; nothing is needed for one
    /// that is not large.
    pub(super) fn look(&self, case: &Case) -> Result<Option<SemaphorePermit<'_>>> {
        if case.memory() <= LARGE {
            return Ok(None);
        }
        let units = u32::try_from(case.memory() / UNIT).unwrap_or(u32::MAX).min(LOOKED_AT);
        let reason = || "as many large cases as there is memory for are being looked at".to_owned();
        let look = self.looks.try_acquire_many(units);
        look.map(Some).map_err(|_| Error::Overloaded { reason: reason() })
    }

    /// A load for a caller.
    pub(super) fn loading(&self) -> Loading<'_> {
        Loading::new(&self.loads, Some(LONGEST_WAIT))
    }

    /// A load among others for one caller, which ends where the case is large.
    pub(super) fn loading_small(&self) -> Loading<'_> {
        Loading { is_one_of_some: true, ..self.loading() }
    }

    /// A load that waits for its turn as long as it takes.
    pub(super) fn loading_for(&self, purpose: Purpose) -> Loading<'_> {
        let turns = match purpose {
            Purpose::Change => &self.changes,
            Purpose::Upkeep => &self.upkeep,
        };
        Loading::new(turns, None)
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
