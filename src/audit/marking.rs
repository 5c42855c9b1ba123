//! Comparison of two markings of a case: the right one, and that of a record.

use std::collections::BTreeMap;

use super::FindingKind;
use crate::models::{LogSequence, MarkingEntry, PlaceId, TokenId};

/// A fault of one token of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub kind: FindingKind,
    pub token: Option<TokenId>,
    pub place: Option<PlaceId>,
    pub message: String,
}

impl Fault {
    pub(super) fn of(kind: FindingKind, message: impl Into<String>) -> Self {
        Self { kind, token: None, place: None, message: message.into() }
    }

    pub(super) fn at(self, token: &TokenId, place: &PlaceId) -> Self {
        Self { token: Some(token.clone()), place: Some(place.clone()), ..self }
    }
}

/// Differences of `found` from the right marking; both after the record `sequence`, where an
/// entry without a sequence is that record's.
pub(super) fn differences(
    expected: &[MarkingEntry],
    found: &[MarkingEntry],
    sequence: LogSequence,
) -> Vec<Fault> {
    let from = |entry: &MarkingEntry| entry.sequence_in(sequence);
    let mut missing: BTreeMap<&TokenId, &MarkingEntry> =
        expected.iter().map(|entry| (&entry.token, entry)).collect();
    // What is right is taken out first, so that of two entries the wrong one is told of.
    let mut odd = Vec::new();
    for entry in found {
        match missing.get(&entry.token) {
            Some(right) if right.place == entry.place && from(right) == from(entry) => {
                missing.remove(&entry.token);
            }
            _ => odd.push(entry),
        }
    }
    let mut faults = Vec::new();
    for entry in odd {
        let (token, place) = (&entry.token, &entry.place);
        let (kind, message) = match missing.remove(token) {
            Some(right) if right.place != *place => {
                let right = &right.place;
                let message = format!("the marking has the token in {place}; it is in {right}");
                (FindingKind::TokenMisplaced, message)
            }
            Some(right) => {
                let (said, right) = (from(entry), from(right));
                let message = format!("the marking has the token from record {said}, not {right}");
                (FindingKind::RecordInconsistent, message)
            }
            None => {
                let known = expected.iter().find(|entry| entry.token == *token);
                let message = match known.map(|right| &right.place) {
                    Some(right) => {
                        format!("the marking has the token in {place} and once more in {right}")
                    }
                    None => format!("the marking has a token in {place} that must not be there"),
                };
                (FindingKind::TokenDoubled, message)
            }
        };
        faults.push(Fault::of(kind, message).at(token, place));
    }
    faults.extend(missing.into_values().map(|lost| {
        let message = format!("the marking has not got the token, which is in {}", lost.place);
        Fault::of(FindingKind::TokenLost, message).at(&lost.token, &lost.place)
    }));
    faults
}
