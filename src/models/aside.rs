//! Messages of a case's log that count no more, since an operator has put them aside.

use serde::{Deserialize, Serialize};

/// A range of log sequences, in JSON `[first, last]`: all of the case's messages in it are put
/// aside. Nothing that they say has happened, even if they can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(u64, u64)", into = "(u64, u64)")]
pub struct Aside {
    /// The first of them.
    pub first: u64,
    /// The last of them.
    pub last: u64,
}

impl Aside {
    /// Returns true if a message is among them.
    pub fn contains(&self, sequence: u64) -> bool {
        (self.first..=self.last).contains(&sequence)
    }

    /// Returns true if a message is in one of the ranges.
    pub fn any(ranges: &[Self], sequence: u64) -> bool {
        ranges.iter().any(|range| range.contains(sequence))
    }
}

impl From<(u64, u64)> for Aside {
    fn from((first, last): (u64, u64)) -> Self {
        Self { first, last }
    }
}

impl From<Aside> for (u64, u64) {
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
    pub sequence: u64,
    /// Its fault.
    pub reason: String,
}
