//! Registers that a record is about, and those that a process has not seen as they must be.

use std::collections::BTreeSet;

use crate::models::{PlaceId, Record, TokenId};

/// A token and a place: a register of the view.
pub(in crate::petrel) type Key = (TokenId, PlaceId);

/// The registers that a record is about.
pub(in crate::petrel) fn touched(record: &Record) -> impl Iterator<Item = Key> + '_ {
    let left = record.consumed.iter().chain(&record.removed);
    let left = left.map(|at| (at.token.clone(), at.place.clone()));
    left.chain(record.produced.iter().map(|token| (token.id.clone(), token.place.clone())))
}

/// Number of registers that a process keeps in mind because it could not write them.
const MOST_FAILED: usize = 256;

/// Registers of a case that a process has not seen as they must be.
#[derive(Debug)]
pub(in crate::petrel) enum Unseen {
    /// Those that the case's last record is about. Another process appended it, and may have died
    /// before it wrote them, as others may have before it.
    Last(Vec<Key>),
    /// All of them, which this process could not write.
    Failed(Vec<Key>),
}

impl Unseen {
    /// Those of a record that another process has appended.
    pub(crate) fn last(record: &Record) -> Self {
        Self::Last(touched(record).collect())
    }

    pub(crate) fn keys(&self) -> &[Key] {
        let (Self::Last(keys) | Self::Failed(keys)) = self;
        keys
    }

    /// The registers that could not be written. `None` if they are too many to keep in mind: the
    /// reconciler comes to them.
    pub(crate) fn failed(keys: impl Iterator<Item = Key>) -> Option<Self> {
        let keys: BTreeSet<_> = keys.collect();
        (keys.len() <= MOST_FAILED).then(|| Self::Failed(keys.into_iter().collect()))
    }
}
