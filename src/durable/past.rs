//! The past of a handler: what its journal had when the run began.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use crate::models::{EntryKind, Operation, OperationEnd, StoredEntry, Times};

/// The past, by the scope and the number of each operation.
#[derive(Debug, Default)]
pub(super) struct Past {
    operations: HashMap<String, HashMap<u64, PastOperation>>,
    /// Times at which claims began since the last entry about an operation: the run before each may have begun others.
    pub begun: Vec<DateTime<Utc>>,
    /// The text of which all that is random is made.
    pub seed: String,
}

/// The past of an operation.
#[derive(Debug, Clone)]
pub(super) struct PastOperation {
    pub of: Operation,
    /// Its end.
    pub end: Option<(OperationEnd, Times)>,
    /// Number of the attempts that failed.
    pub failed: u64,
    /// Number of the last attempt that ended, the lost ones before it among them.
    pub attempt: u64,
    /// The time before which the next attempt does not begin.
    pub next: Option<DateTime<Utc>>,
    /// Number of an attempt at most once that has begun, and of which nothing is known.
    pub started: Option<u64>,
}

impl Past {
    /// The past that entries tell, which are in their order.
    pub(super) fn of(entries: Vec<StoredEntry>) -> Self {
        let mut past = Self::default();
        for StoredEntry { entry, .. } in entries {
            match entry.what {
                EntryKind::Begun { seed, .. } => {
                    match entry.number {
                        // Nothing was begun before the first one.
                        1 => past.seed = seed.unwrap_or_default(),
                        _ => past.begun.push(entry.time),
                    }
                }
                EntryKind::Ended { of, end, times } => {
                    let operation = past.operation(of);
                    operation.attempt = times.attempt;
                    operation.end = Some((end, times));
                }
                EntryKind::Tried { of, times, next, .. } => {
                    let operation = past.operation(of);
                    operation.failed += 1;
                    operation.attempt = times.attempt;
                    (operation.next, operation.started) = (Some(next), None);
                }
                EntryKind::Started { of, attempt } => {
                    past.operation(of).started = Some(attempt);
                }
                EntryKind::Unknown => {}
            }
        }
        past
    }

    fn operation(&mut self, of: Operation) -> &mut PastOperation {
        self.begun.clear();
        let numbers = self.operations.entry(of.scope.clone()).or_default();
        numbers.entry(of.number).or_insert_with(|| PastOperation {
            of,
            end: None,
            failed: 0,
            attempt: 0,
            next: None,
            started: None,
        })
    }

    /// Number of the operations.
    pub(super) fn len(&self) -> usize {
        self.operations.values().map(HashMap::len).sum()
    }

    /// Takes the past of an operation by its place.
    pub(super) fn take(&mut self, of: &Operation) -> Option<PastOperation> {
        self.operations.get_mut(&of.scope)?.remove(&of.number)
    }

    /// The first of those that were not taken, in the order of their places.
    pub(super) fn first_left(&self) -> Option<&Operation> {
        let left = self.operations.values().flat_map(HashMap::values);
        left.map(|past| &past.of).min_by_key(|of| (&of.scope, of.number))
    }
}
