//! Markings.

use async_graphql::{ID, SimpleObject};

use crate::{
    graphql::scalars::{Sequence, int},
    models,
};

/// The marking of a case: its tokens by place.
#[derive(SimpleObject)]
pub(crate) struct Marking {
    /// The case.
    case_id: ID,
    /// The log sequence of the record that the marking comes from.
    sequence: Sequence,
    /// The places that hold tokens, ordered by id.
    places: Vec<PlaceMarking>,
    /// The live tokens, oldest arrival first.
    entries: Vec<MarkingEntry>,
}

/// The tokens in a place.
#[derive(SimpleObject)]
struct PlaceMarking {
    /// The place.
    place_id: ID,
    /// Number of tokens it holds.
    count: i32,
    /// Their ids, oldest arrival first.
    token_ids: Vec<ID>,
}

/// The place of one live token.
#[derive(SimpleObject)]
pub(crate) struct MarkingEntry {
    /// The token.
    token_id: ID,
    /// The place that holds it.
    place_id: ID,
    /// The log sequence of the record that put it there in its present form.
    sequence: Sequence,
}

impl Marking {
    /// The marking of a case.
    pub(crate) fn of(case: &models::Case) -> Self {
        let place = |(place, count)| PlaceMarking {
            place_id: ID::from(&place),
            count: int(count),
            token_ids: case.marking.in_place(&place).map(|entry| ID::from(&entry.token)).collect(),
        };
        Self {
            case_id: ID::from(&case.id),
            sequence: case.sequence.into(),
            places: case.marking.counts().into_iter().map(place).collect(),
            entries: case
                .marking
                .0
                .iter()
                .map(|entry| MarkingEntry::of(entry, case.sequence))
                .collect(),
        }
    }
}

impl MarkingEntry {
    /// An entry; in a record, a token that it produced has the record's own `sequence`.
    pub(crate) fn of(entry: &models::MarkingEntry, sequence: models::LogSequence) -> Self {
        Self {
            token_id: ID::from(&entry.token),
            place_id: ID::from(&entry.place),
            sequence: entry.sequence_in(sequence).into(),
        }
    }
}
