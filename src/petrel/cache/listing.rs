//! The cases of one workflow by status, in the order of their creation.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ops::Bound,
};

use crate::models::{CaseId, CaseStatus, LogSequence};

/// The cases of a workflow, each by the log sequence of its first record.
#[derive(Debug, Default)]
pub(super) struct Listing {
    created: HashMap<CaseId, LogSequence>,
    /// Each with its status; without one, if nothing could be read of the case.
    cases: BTreeMap<LogSequence, (CaseId, Option<CaseStatus>)>,
    by_status: HashMap<CaseStatus, BTreeSet<LogSequence>>,
}

impl Listing {
    pub(super) fn take_over(&mut self, case: CaseId, sequence: LogSequence, status: CaseStatus) {
        let created = *self.created.entry(case.clone()).or_insert(sequence);
        let before = self.cases.insert(created, (case, Some(status)));
        let before = before.and_then(|(_, before)| before);
        if before == Some(status) {
            return;
        }
        if let Some(cases) = before.and_then(|before| self.by_status.get_mut(&before)) {
            cases.remove(&created);
        }
        self.by_status.entry(status).or_default().insert(created);
    }

    /// Takes over a record that can't be read: its case is there, and keeps the status it had.
    pub(super) fn take_over_unreadable(&mut self, case: CaseId, sequence: LogSequence) {
        let created = *self.created.entry(case.clone()).or_insert(sequence);
        self.cases.entry(created).or_insert((case, None));
    }

    pub(super) fn some(
        &self,
        status: Option<CaseStatus>,
        after: Option<LogSequence>,
        most: usize,
    ) -> Vec<(LogSequence, CaseId)> {
        let after = (after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
        let named = |created: &LogSequence| Some((*created, self.cases.get(created)?.0.clone()));
        match status {
            None => {
                let cases = self.cases.range(after).take(most);
                cases.map(|(created, (case, _))| (*created, case.clone())).collect()
            }
            Some(status) => {
                let cases = self.by_status.get(&status).map(|cases| cases.range(after));
                cases.into_iter().flatten().filter_map(named).take(most).collect()
            }
        }
    }
}
