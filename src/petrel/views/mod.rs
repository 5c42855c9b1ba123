//! Token views: written after a commit, mended where they are behind.

mod batch;
pub(in crate::petrel) mod behind;
mod checkpoints;
pub(in crate::petrel) mod gone_back;
pub(in crate::petrel) mod later;
pub(in crate::petrel) mod rebuild;
pub(in crate::petrel) mod reconcile;
pub(crate) mod repair;
pub(crate) mod settled;
pub(in crate::petrel) mod unseen;
mod walk;
pub(in crate::petrel) mod write;
pub(in crate::petrel) mod write_later;

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::{Metrics, open::notes::Notes, read::Reader, timers::soon::Soon};

/// The writing side of the token views.
#[derive(Debug)]
pub(in crate::petrel) struct Views {
    pub(in crate::petrel) reader: Arc<Reader>,
    confirmed: reconcile::Confirmed,
    pub(in crate::petrel) metrics: Arc<Metrics>,
    /// Entries on their way into the index of what is open.
    pub(in crate::petrel) notes: Notes,
    /// The timers that are due soon.
    pub(in crate::petrel) soon: Soon,
    /// Cases of many tokens take turns when their views are looked at.
    large_cases: Semaphore,
}

impl Views {
    pub(in crate::petrel) fn new(reader: Arc<Reader>, metrics: Arc<Metrics>) -> Self {
        let (confirmed, notes, soon) = Default::default();
        Self { reader, confirmed, metrics, notes, soon, large_cases: Semaphore::new(2) }
    }
}
