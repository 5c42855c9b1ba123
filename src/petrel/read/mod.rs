//! Reads of the log and of the views, and subscriptions.

pub(in crate::petrel) mod chain;
mod ending;
pub(in crate::petrel) mod feeds;
pub(crate) mod follows;
mod in_log;
pub(in crate::petrel) mod listing;
pub(in crate::petrel) mod load;
pub(in crate::petrel) mod locate;
pub(in crate::petrel) mod narrowed;
pub(in crate::petrel) mod reads;
mod subscriber;
pub(crate) mod turn;
pub(in crate::petrel) mod watch;

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::cache;
use crate::{models::Clock, storage::Storage};

/// The reading side: the store, and what is known beside it of definitions and of what is put
/// aside.
#[derive(Debug)]
pub(crate) struct Reader {
    pub(crate) storage: Arc<dyn Storage>,
    pub(in crate::petrel) clock: Arc<dyn Clock>,
    pub(in crate::petrel) definitions: cache::definitions::Definitions,
    tags: locate::Tags,
    pub(in crate::petrel) asides: cache::aside::Asides,
    /// Long computations, such as checks of definitions, take turns.
    #[cfg(feature = "analysis")]
    pub(in crate::petrel) computing: Arc<Semaphore>,
    /// Pages take turns, since each may have many bytes.
    paging: Arc<Semaphore>,
    /// Large cases, and those of many parts, take turns at being loaded for callers, for changes, and
    /// for upkeep.
    loads: turn::Turns,
    changes: turn::Turns,
    upkeep: turn::Turns,
    /// Large cases that are looked at.
    looks: Semaphore,
}

impl Reader {
    pub(in crate::petrel) fn new(storage: Arc<dyn Storage>, clock: Arc<dyn Clock>) -> Self {
        Self {
            storage,
            clock,
            definitions: Default::default(),
            tags: Default::default(),
            asides: Default::default(),
            #[cfg(feature = "analysis")]
            computing: turn::turns(),
            paging: Arc::new(Semaphore::new(turn::PAGES_AT_ONCE)),
            loads: turn::Turns::new(1),
            changes: turn::Turns::new(2),
            upkeep: turn::Turns::new(1),
            looks: Semaphore::new(turn::LOOKED_AT as usize),
        }
    }
}
