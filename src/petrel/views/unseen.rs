//! Registers that a record is about, and those that a process has not seen as they must be.

use std::collections::BTreeSet;

use crate::models::{PlaceId, Record, TokenId};

/// A token and a place: a register of the view.
pub(in crate::petrel) type Key = (TokenId, PlaceId);

/// The registers that a record is about.
pub(in crate::petrel) fn touched(record: &Record) -> impl Iterator<Item = Key> + '_ {
    let left = record.left().into_iter().map(|at| (at.token.clone(), at.place.clone()));
    left.chain(record.produced.iter().map(|token| (token.id.clone(), token.place.clone())))
}

/// Returns true if something in the case has waited for time, for work or for a person.
pub(in crate::petrel) fn has_waited(record: &Record) -> bool {
    record.timers_made + record.items_made + record.incidents_made > 0
}

/// Returns true if whoever wrote a record may have put its views off: it is a worker's.
pub(super) fn may_be_put_off(record: &Record) -> bool {
    record.work.as_ref().is_some_and(|work| work.claim.is_some())
}

/// Number of registers that a process keeps in mind because it could not write them.
const MOST_FAILED: usize = 256;

/// Registers of a case that a process has not seen as they must be.
#[derive(Debug, Default)]
pub(in crate::petrel) struct Unseen {
    /// Those that the case's last record is about. Another process appended it, and may have died
    /// before it wrote them, as others may have before it; or the view may have lost them, as those
    /// before them.
    pub(super) last: Option<Vec<Key>>,
    /// True if a worker wrote that record: it may have put its views off, and those of records before.
    pub(super) is_by_worker: bool,
    /// Those that this process could not write.
    pub(super) failed: Vec<Key>,
}

impl Unseen {
    /// These, and those of the last record and of others before it.
    pub(crate) fn and_last(self, record: &Record) -> Self {
        let is_by_worker = may_be_put_off(record);
        Self { last: Some(touched(record).collect()), is_by_worker, ..self }
    }

    /// These, and others that could not be written.
    pub(crate) fn and_failed(self, keys: Vec<Key>) -> Self {
        let failed = Self::failed(self.failed.iter().cloned().chain(keys));
        Self { failed: failed.unwrap_or_default().failed, ..self }
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &Key> {
        self.last.iter().flatten().chain(&self.failed)
    }

    /// The registers that could not be written. `None` if they are too many to keep in mind: the
    /// reconciler comes to them.
    pub(crate) fn failed(keys: impl Iterator<Item = Key>) -> Option<Self> {
        let keys: BTreeSet<_> = keys.collect();
        let is_few = keys.len() <= MOST_FAILED;
        is_few.then(|| Self { failed: keys.into_iter().collect(), ..Self::default() })
    }
}
