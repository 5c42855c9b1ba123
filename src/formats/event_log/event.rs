//! The facts of a record that all formats write.

use std::{
    collections::{HashMap, HashSet},
    fmt::Write,
};

use chrono::{DateTime, DurationRound, SecondsFormat, TimeDelta, Utc};

use super::{LogRecord, Options, Written};
use crate::models::{
    CaseId, LogSequence, PlaceId, Record, RecordKind, StoredDefinition, TokenAt, TokenId,
    Transition, TransitionId,
};

/// The names of transitions, by the definition that has them.
#[derive(Debug, Clone, Default)]
pub struct Labels {
    names: HashMap<LogSequence, HashMap<TransitionId, String>>,
    silent: HashSet<(LogSequence, TransitionId)>,
}

impl Labels {
    /// The names in these versions of a workflow. A transition of another version goes by its
    /// id.
    pub fn of<'a>(definitions: impl IntoIterator<Item = &'a StoredDefinition>) -> Self {
        let mut labels = Self::default();
        for stored in definitions {
            let transitions = &stored.definition.transitions;
            let named = |name: &&String| !name.trim().is_empty();
            let name =
                |t: &Transition| Some((t.id.clone(), t.name.as_ref().filter(named)?.clone()));
            labels.names.insert(stored.sequence, transitions.iter().filter_map(name).collect());
            let silent = transitions.iter().filter(|transition| transition.silent);
            labels.silent.extend(silent.map(|of| (stored.sequence, of.id.clone())));
        }
        labels
    }

    /// Returns true if it is a firing that is no activity.
    fn is_silent(&self, record: &Record) -> bool {
        let fired = record.transition.clone().filter(|_| record.kind == RecordKind::Fired);
        fired.is_some_and(|id| self.silent.contains(&(record.definition, id)))
    }

    /// The name of an event of this record: the transition's name or id, or the kind of a record
    /// that is no firing.
    pub(super) fn label<'a>(&'a self, record: &'a Record) -> &'a str {
        let Some(transition) = &record.transition else { return record.kind_name() };
        let names = self.names.get(&record.definition);
        names.and_then(|names| names.get(transition)).map_or(transition.as_str(), String::as_str)
    }
}

/// The position of a record in its case, and its event if it is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Step {
    /// True if it is the first of its case.
    pub begins: bool,
    /// The number of the event in its case, from 1, and its time.
    pub event: Option<(u64, DateTime<Utc>)>,
}

/// Follows the records of a log from case to case.
#[derive(Debug)]
pub(super) struct Course {
    pub options: Options,
    pub written: Written,
    case: Option<CaseId>,
    number: u64,
    last: Option<DateTime<Utc>>,
}

impl Course {
    pub(super) fn new(options: Options) -> Self {
        Self { options, written: Written::default(), case: None, number: 0, last: None }
    }

    pub(super) fn step(&mut self, LogRecord { record, timestamp, .. }: LogRecord<'_>) -> Step {
        let begins = self.case.as_ref() != Some(&record.case);
        if begins {
            self.case = Some(record.case.clone());
            (self.number, self.last) = (0, None);
            self.written.cases += 1;
        }
        if !self.options.lifecycle && record.kind != RecordKind::Fired {
            return Step { begins, event: None };
        }
        if !self.options.lifecycle && self.options.labels.is_silent(record) {
            self.written.silent += 1;
            return Step { begins, event: None };
        }
        let time = later(microseconds(timestamp), self.last);
        self.last = Some(time);
        self.number += 1;
        self.written.events += 1;
        Step { begins, event: Some((self.number, time)) }
    }

    /// Returns true if a case has begun and not ended.
    pub(super) fn is_in_case(&self) -> bool {
        self.case.is_some()
    }
}

fn microseconds(time: DateTime<Utc>) -> DateTime<Utc> {
    // Fails only where nanoseconds since 1970 don't fit 64 bits: in the year 2262.
    time.duration_trunc(TimeDelta::microseconds(1)).unwrap_or(time)
}

/// `time`, or a microsecond after the one before if it is not later than that.
fn later(time: DateTime<Utc>, last: Option<DateTime<Utc>>) -> DateTime<Utc> {
    match last {
        Some(last) if time <= last => last + TimeDelta::microseconds(1),
        _ => time,
    }
}

/// A time as all formats write it: RFC 3339 in UTC with microseconds.
pub(super) fn time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// The roles of tokens in a record, as all formats call them.
pub(super) const ROLES: [&str; 4] = ["consumed", "read", "removed", "produced"];

/// The tokens of a record with their places, by [role](ROLES).
pub(super) fn roles(record: &Record) -> [Vec<(&TokenId, &PlaceId)>; 4] {
    fn at(list: &[TokenAt]) -> Vec<(&TokenId, &PlaceId)> {
        list.iter().map(|at| (&at.token, &at.place)).collect()
    }
    [at(&record.consumed), at(&record.read), at(&record.removed), record.gave()]
}

/// Tokens and their places, as `token@place` with spaces between: neither id can have an `@`
/// or a space.
pub(super) fn text(tokens: &[(&TokenId, &PlaceId)]) -> String {
    let mut text = String::new();
    for (token, place) in tokens {
        let space = if text.is_empty() { "" } else { " " };
        // Writing to a String can't fail.
        let _ = write!(text, "{space}{token}@{place}");
    }
    text
}
