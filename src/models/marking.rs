//! A marking: the live tokens of a case, each with its place.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{LogSequence, PlaceId, TokenId};

/// Place of one live token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MarkingEntry {
    /// The token.
    pub token: TokenId,
    /// The place that holds it.
    pub place: PlaceId,
    /// The log sequence of the record that put it there in its present form. In a stored
    /// record it is absent for the tokens that the record itself produced.
    #[serde(default, deserialize_with = "LogSequence::or_none")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sequence: Option<LogSequence>,
}

impl MarkingEntry {
    /// The log sequence of the record that put the token there, where this is an entry of the
    /// record at `record`.
    pub fn sequence_in(&self, record: LogSequence) -> LogSequence {
        self.sequence.unwrap_or(record)
    }
}

pub(super) fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// The live tokens of a case, place by place; of each place, oldest arrival first. Records of
/// format 1 have them all in the order of their arrival.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Marking(pub Vec<MarkingEntry>);

impl Marking {
    /// Entry of `token`, if it is alive.
    pub fn entry(&self, token: &TokenId) -> Option<&MarkingEntry> {
        self.0.iter().find(|entry| entry.token == *token)
    }

    /// Puts the tokens in the order in which they are stored: by place, those of each in the order
    /// that they have.
    pub fn sort(&mut self) {
        self.0.sort_by(|one, other| one.place.cmp(&other.place));
    }

    /// The tokens of `place`, oldest arrival first.
    pub fn in_place<'a>(&'a self, place: &'a PlaceId) -> impl Iterator<Item = &'a MarkingEntry> {
        self.0.iter().filter(move |entry| entry.place == *place)
    }

    /// Number of tokens in each marked place.
    pub fn counts(&self) -> BTreeMap<PlaceId, u64> {
        let mut counts = BTreeMap::new();
        for entry in &self.0 {
            *counts.entry(entry.place.clone()).or_default() += 1;
        }
        counts
    }
}
