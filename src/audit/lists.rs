//! Ids and lists of a case's records, by which a repeated change is recognised.

use std::collections::HashMap;

use super::{FindingKind, marking::Fault};
use crate::models::{Case, FiringId, LogSequence, PAGE_LENGTH, Record, Stored};

/// The ids and the pages of the records that were replayed.
#[derive(Debug, Default)]
pub(super) struct Lists {
    /// The firing ids, with their records.
    ids: HashMap<FiringId, LogSequence>,
    /// The pages since records name one another.
    pages: Vec<LogSequence>,
}

impl Lists {
    /// Takes the next record: an id that was there already, and a page that does not name all
    /// pages before it, are faults.
    pub(super) fn faults(
        &mut self,
        stored: &Stored<Record>,
    ) -> impl Iterator<Item = Fault> + use<> {
        self.doubled(stored).into_iter().chain(self.paged(stored))
    }

    fn doubled(&mut self, stored: &Stored<Record>) -> Option<Fault> {
        let id = &stored.value.firing;
        let first = *self.ids.entry(id.clone()).or_insert(stored.sequence);
        (first != stored.sequence).then(|| {
            let message = format!("firing id {id} is that of record {first} already");
            Fault::of(FindingKind::IdDoubled, message)
        })
    }

    fn paged(&mut self, stored: &Stored<Record>) -> Option<Fault> {
        let record = &stored.value;
        if record.recent.is_empty() {
            self.pages.clear();
        }
        if record.recent.len() < PAGE_LENGTH {
            return None;
        }
        let right = record.pages == self.pages;
        self.pages.push(stored.sequence);
        let message = "it does not name all pages before it";
        (!right).then(|| Fault::of(FindingKind::RecordInconsistent, message))
    }
}

/// A fault where a record does not name just those before it. Older versions name none, and the
/// list may begin anew.
pub(super) fn names(before: &Case, record: &Record) -> Option<Fault> {
    let chain = &before.chain;
    let right = record.recent == chain.recent
        && record.page == chain.page
        && record.unlisted == chain.unlisted;
    let message = "it does not name just those records that are before it";
    (!record.recent.is_empty() && !right)
        .then(|| Fault::of(FindingKind::RecordInconsistent, message))
}
