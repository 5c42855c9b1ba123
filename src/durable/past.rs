//! The past of a handler: what its journal had when the run began.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::beside::places;
use crate::models::{Chosen, EntryKind, JournalEntry, Operation, OperationEnd, StoredEntry, Times};

/// The past, by the scope and the number of each operation.
#[derive(Debug, Default)]
pub(super) struct Past {
    operations: HashMap<String, HashMap<u64, PastOperation>>,
    /// The new ways that the handler takes, by the paths of the scopes and the names of the changes: each from this
    /// number of operations on that it has made there.
    patches: HashMap<(String, String), u64>,
    /// Scopes with operations in them, by the paths round them and their numbers there: each with its own path.
    scopes: HashMap<String, HashMap<u64, String>>,
    /// Times at which claims began since the last entry about an operation: the run before each may have begun others.
    pub begun: Vec<DateTime<Utc>>,
    /// The text of which all that is random is made.
    pub seed: String,
    /// The input of the handler.
    pub input: Option<Value>,
    /// True if the last run let its worker go: nothing of it ran.
    is_parked: bool,
    /// The operation whose error the handler handed on, if its end was the last that there was.
    failed: Option<Operation>,
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
    /// The time that it waits for.
    pub until: Option<DateTime<Utc>>,
    /// True if somebody outside said how it ended.
    is_settled: bool,
    /// True if it is an answer that nobody may have seen.
    is_answer: bool,
    /// Operations under way beside it when it failed.
    beside: Vec<Vec<[u64; 2]>>,
    /// Number of its first entry.
    first: u64,
    /// Number of its last entry.
    last: u64,
}

impl PastOperation {
    /// Returns true if it has an answer that nobody may have seen.
    pub(super) fn is_answer(&self) -> bool {
        self.is_answer
    }

    /// Returns true if it waited for what had not come, or nobody may have seen it.
    fn only_waits(&self) -> bool {
        if self.is_answer {
            return true;
        }
        let has_begun = self.end.is_some() || self.started.is_some() || self.attempt > 0;
        self.until.is_some() && !has_begun
    }

    /// Returns true if another operation is in a branch that was under way beside it when it failed.
    fn was_beside(&self, at: &[u64], other: &Operation) -> bool {
        let other_at = places(other);
        let level = at.iter().zip(&other_at).position(|(own, other)| own != other);
        let Some((level, place)) = level.and_then(|level| Some((level, other_at.get(level)?)))
        else {
            return false;
        };
        let rows = self.beside.get(level).into_iter().flatten();
        rows.into_iter().any(|[first, last]| (first..=last).contains(&place))
    }
}

impl Past {
    /// The past that entries tell, which are in their order.
    pub(super) fn of(entries: Vec<StoredEntry>) -> Self {
        let mut past = Self::default();
        entries.into_iter().for_each(|stored| past.hear(stored.entry));
        past
    }

    /// Takes the next entry.
    pub(super) fn hear(&mut self, entry: JournalEntry) {
        let (past, number, time) = (self, entry.number, entry.time);
        match entry.what {
            EntryKind::Begun { seed, input, .. } => {
                match number {
                    // Nothing was begun before the first one.
                    1 => (past.seed, past.input) = (seed.unwrap_or_default(), input),
                    _ if std::mem::take(&mut past.is_parked) => {}
                    _ => past.begun.push(time),
                }
            }
            EntryKind::Parked { .. } => past.is_parked = true,
            EntryKind::Waits { of, until } => past.operation(of, number).until = Some(until),
            EntryKind::Ended { of, end, times, beside } => {
                let operation = past.operation(of, number);
                (operation.beside, operation.is_answer) = (beside, false);
                (operation.attempt, operation.started) = (times.attempt, None);
                operation.end = Some((end, times));
            }
            EntryKind::Tried { of, times, next, .. } => {
                let operation = past.operation(of, number);
                operation.failed += 1;
                operation.attempt = times.attempt;
                (operation.next, operation.started) = (Some(next), None);
            }
            EntryKind::Failed { of, .. } => past.failed = of,
            EntryKind::Retried { of } => past.forget_failure(&of),
            EntryKind::Settled { of, attempt, end, .. } => {
                let operation = past.operation(of, number);
                (operation.started, operation.attempt) = (None, attempt);
                let (lost, since, place) = (0, time, String::new());
                operation.end = end.map(|end| (end, Times { attempt, lost, since, place }));
                operation.is_settled = operation.end.is_some();
            }
            EntryKind::Started { of, attempt } => {
                past.operation(of, number).started = Some(attempt);
            }
            EntryKind::Awaits { of, until } => past.operation(of, number).until = Some(until),
            EntryKind::Resolved { of, end, .. } => past.answer(of, end, (number, time)),
            EntryKind::Patched { id, scope, made } => past.patch((scope, id), made),
            EntryKind::Unknown => {}
        }
    }

    /// Takes an answer from outside. It is no sign of the runs before.
    fn answer(&mut self, of: Operation, end: OperationEnd, (number, since): (u64, DateTime<Utc>)) {
        let before = (std::mem::take(&mut self.begun), self.is_parked, self.failed.take());
        let operation = self.operation(of, number);
        if operation.end.is_none() {
            let (attempt, lost, place) = (1, 0, String::new());
            operation.end = Some((end, Times { attempt, lost, since, place }));
            operation.is_settled = true;
            operation.is_answer = true;
        }
        (self.begun, self.is_parked, self.failed) = before;
    }

    /// Returns true if an operation that waits has an answer that nobody has taken.
    pub(super) fn is_answered(&self, of: &Operation) -> bool {
        let there = self.operations.get(&of.scope).and_then(|all| all.get(&of.number));
        there.is_some_and(|past| past.is_answer)
    }

    /// Takes the end of an operation that waits, if its answer has come.
    pub(super) fn take_answer(&mut self, of: &Operation) -> Option<PastOperation> {
        let answer = self.operations.get(&of.scope)?.get(&of.number)?;
        answer.is_answer.then(|| self.take(of)).flatten()
    }

    /// The operation that the entry of a number is about.
    fn operation(&mut self, of: Operation, entry: u64) -> &mut PastOperation {
        self.begun.clear();
        (self.is_parked, self.failed) = (false, None);
        let mut path = of.scope.as_str();
        while !path.is_empty() {
            let (outer, own) = path.rsplit_once('/').unwrap_or(("", path));
            let number = own.split_once(':').and_then(|(number, _)| number.parse().ok());
            let scopes = self.scopes.entry(outer.to_owned()).or_default();
            scopes.insert(number.unwrap_or_default(), path.to_owned());
            path = outer;
        }
        let numbers = self.operations.entry(of.scope.clone()).or_default();
        let operation = numbers.entry(of.number).or_insert_with(|| PastOperation {
            of,
            end: None,
            failed: 0,
            attempt: 0,
            next: None,
            started: None,
            until: None,
            is_settled: false,
            is_answer: false,
            beside: Vec::new(),
            first: entry,
            last: entry,
        });
        operation.last = operation.last.max(entry);
        operation
    }

    /// The operation whose error was the handler's end, if it can be tried again: nothing was done about the error.
    pub(super) fn to_retry(&self) -> Option<Operation> {
        let failed = self.failed.clone()?;
        let past = self.operations.get(&failed.scope)?.get(&failed.number)?;
        let has_failed = matches!(past.end, Some((OperationEnd::Error(_), _)));
        (has_failed && !self.goes_on_after(past)).then_some(failed)
    }

    /// Returns true if something began after an operation had ended, which is not in a branch beside it that was under
    /// way then: it may undo what was done, because of the error.
    fn goes_on_after(&self, ended: &PastOperation) -> bool {
        let ended_at = places(&ended.of);
        let mut later = self.operations.values().flat_map(HashMap::values);
        // An answer to what nobody had waited for is somebody else's doing.
        let is_own = |other: &PastOperation| !other.is_answer || other.until.is_some();
        later.any(|other| {
            other.first > ended.last && is_own(other) && !ended.was_beside(&ended_at, &other.of)
        })
    }

    /// The attempt at a step that is carried out at most once, of which nobody knows if it had its effect.
    pub(super) fn unknown(&self, of: &Operation) -> Option<u64> {
        let past = self.operations.get(&of.scope)?.get(&of.number)?;
        past.started.filter(|_| past.end.is_none())
    }

    /// The attempt at an operation whose end somebody outside has said.
    pub(super) fn settled(&self, of: &Operation) -> Option<u64> {
        let past = self.operations.get(&of.scope)?.get(&of.number)?;
        past.is_settled.then_some(past.attempt)
    }

    /// Has a failed operation carried out again, as if no attempt had failed. What was chosen because of it is chosen
    /// anew.
    pub(super) fn forget_failure(&mut self, of: &Operation) {
        let mut path = of.scope.as_str();
        while !path.is_empty() {
            let (outer, own) = path.rsplit_once('/').unwrap_or(("", path));
            let number = own.split_once(':').and_then(|(number, _)| number.parse().ok());
            for beside in self.operations.get_mut(outer).into_iter().flat_map(HashMap::values_mut) {
                let chosen = |(end, _): &(OperationEnd, Times)| {
                    Chosen::by(&beside.of, end)
                        .is_some_and(|chosen| chosen.takes(number.unwrap_or_default()))
                };
                if beside.end.as_ref().is_some_and(chosen) {
                    beside.end = None;
                }
            }
            path = outer;
        }
        let operation = self.operation(of.clone(), 0);
        (operation.end, operation.failed, operation.next) = (None, 0, None);
        (operation.started, operation.until) = (None, None);
        (operation.is_settled, operation.is_answer) = (false, false);
    }

    /// Those that were not taken. A wait that had not come to its end may be left out.
    fn left(&self) -> impl Iterator<Item = &PastOperation> {
        let all = self.operations.values().flat_map(HashMap::values);
        all.filter(|past| !past.only_waits())
    }

    /// Notes that the handler takes a new way in a scope, from so many operations on.
    pub(super) fn patch(&mut self, change: (String, String), made: u64) {
        let from = self.patches.entry(change).or_insert(made);
        *from = made.min(*from);
    }

    /// Returns true if the handler takes a new way in a scope; `None` if it may take one there, where it has made so many
    /// operations.
    pub(super) fn is_patched(&self, (scope, id): (&str, &str), made: u64) -> Option<bool> {
        if let Some(from) = self.patches.get(&(scope.to_owned(), id.to_owned())) {
            return Some(made >= *from);
        }
        let operations = self.operations.get(scope).into_iter().flat_map(HashMap::keys);
        let scopes = self.scopes.get(scope).into_iter().flat_map(HashMap::keys);
        // It went on without it once.
        operations.chain(scopes).any(|number| *number > made).then_some(false)
    }

    /// Leaves out what there is of some scopes, and of those in them.
    pub(super) fn leave_out(&mut self, scopes: &HashSet<&str>) {
        let is_in = |path: &str| {
            let outer = path.match_indices('/').map(|(at, _)| &path[..at]);
            outer.chain([path]).any(|scope| scopes.contains(scope))
        };
        self.operations.retain(|path, _| !is_in(path));
    }

    /// Number of the operations that were not taken.
    pub(super) fn len(&self) -> usize {
        self.left().count()
    }

    /// Takes the past of an operation by its place.
    pub(super) fn take(&mut self, of: &Operation) -> Option<PastOperation> {
        self.operations.get_mut(&of.scope)?.remove(&of.number)
    }

    /// The path of the scope that was at a place.
    pub(super) fn scope_at(&self, outer: &str, number: u64) -> Option<&String> {
        self.scopes.get(outer)?.get(&number)
    }

    /// The operation at a place, if it was not taken.
    pub(super) fn operation_at(&self, scope: &str, number: u64) -> Option<&Operation> {
        self.operations.get(scope)?.get(&number).map(|past| &past.of)
    }

    /// The first of those that were not taken, in the order of their places.
    pub(super) fn first_left(&self) -> Option<&Operation> {
        self.left().map(|past| &past.of).min_by_key(|of| (&of.scope, of.number))
    }
}
