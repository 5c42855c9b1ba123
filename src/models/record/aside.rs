//! Messages of a case's log that count no more, since an operator has put them aside.

use serde::{Deserialize, Serialize};

use crate::models::LogSequence;

/// A range of log sequences, in JSON `[first, last]`: all of the case's messages in it are put
/// aside. Nothing that they say has happened, even if they can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(LogSequence, LogSequence)", into = "(LogSequence, LogSequence)")]
pub struct Aside {
    /// The first of them.
    pub first: LogSequence,
    /// The last of them.
    pub last: LogSequence,
}

impl Aside {
    /// Returns true if a message is among them.
    pub fn contains(&self, sequence: LogSequence) -> bool {
        (self.first..=self.last).contains(&sequence)
    }

    /// Returns true if a message is in one of the ranges.
    pub fn any(ranges: &[Self], sequence: LogSequence) -> bool {
        ranges.iter().any(|range| range.contains(sequence))
    }
}

impl From<(LogSequence, LogSequence)> for Aside {
    fn from((first, last): (LogSequence, LogSequence)) -> Self {
        Self { first, last }
    }
}

impl From<Aside> for (LogSequence, LogSequence) {
    fn from(aside: Aside) -> Self {
        (aside.first, aside.last)
    }
}

/// One message that is put aside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutAside {
    /// Its subject.
    pub subject: String,
    /// Its log sequence.
    pub sequence: LogSequence,
    /// Its fault.
    pub reason: String,
}
