//! Options of the log's operations.

use crate::models::{LogPosition, LogSequence, Version};

/// Options of an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AppendOptions {
    /// Sequence of the case's last record, as the writer saw it; `None` if the case has none.
    pub expected: Option<LogSequence>,
}

impl AppendOptions {
    /// An append after this message, or the first one of a case if there is none.
    pub fn after(last: impl Into<Option<LogSequence>>) -> Self {
        Self { expected: last.into() }
    }
}

/// Options of storing a definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PutOptions {
    /// Number of the version.
    pub version: Version,
    /// Sequence of the workflow's last version, as the writer saw it; `None` if there is none.
    pub expected: Option<LogSequence>,
}

impl Default for PutOptions {
    fn default() -> Self {
        Self { version: Version::FIRST, expected: None }
    }
}

/// A part of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogRange {
    /// The first position of interest; the log's beginning where absent.
    pub from: Option<LogPosition>,
    /// The last one; where absent, the log's end when the call is made.
    pub until: Option<LogPosition>,
}

impl LogRange {
    /// The whole log.
    pub const ALL: Self = Self { from: None, until: None };

    /// The log from this position on.
    pub fn from(from: impl Into<LogPosition>) -> Self {
        Self { from: Some(from.into()), until: None }
    }

    /// The part after the one sequence and up to the other.
    pub fn after(after: Option<LogSequence>, until: LogSequence) -> Self {
        Self { from: after.map(|after| after.next().into()), until: Some(until.into()) }
    }

    /// True if a position is neither before nor after it, nor in another log.
    pub fn contains(&self, position: impl Into<LogPosition>) -> bool {
        let position = position.into();
        self.from.is_none_or(|from| position >= from)
            && self.until.is_none_or(|until| position <= until)
    }

    /// True if no position can be in it.
    pub fn is_empty(&self) -> bool {
        self.until.is_some_and(|until| self.from.is_some_and(|from| from > until))
    }
}

/// Options of following the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WatchOptions {
    /// The first position of interest; the log's beginning where absent.
    pub from: Option<LogPosition>,
}

impl WatchOptions {
    /// The log from this position on.
    pub fn from(from: impl Into<LogPosition>) -> Self {
        Self { from: Some(from.into()) }
    }
}
