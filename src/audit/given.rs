//! The tokens that a record gives, and the marking that follows from them.

use super::{FindingKind, marking::Fault};
use crate::{
    engine::Net,
    models::{Case, MarkingEntry, PlaceId, Record, TokenId},
};

/// The marking before, without the tokens that the record takes and with those that it brings.
pub(super) fn arithmetic(before: &[MarkingEntry], record: &Record) -> Vec<MarkingEntry> {
    let is_edit = record.kind.may_edit();
    let gone = |entry: &MarkingEntry| {
        record.consumed.iter().chain(&record.removed).any(|at| at.token == entry.token)
    };
    let mut marking: Vec<_> = before.iter().filter(|entry| !gone(entry)).cloned().collect();
    for arrival in arrivals(record) {
        match marking.iter_mut().find(|entry| entry.token == arrival.token) {
            // An edited token stays where it is.
            Some(entry) if is_edit => entry.sequence = None,
            Some(entry) => *entry = arrival,
            None => marking.push(arrival),
        }
    }
    marking
}

pub(super) fn arrivals(record: &Record) -> Vec<MarkingEntry> {
    let entry = |(token, place): (&TokenId, &PlaceId)| MarkingEntry {
        token: token.clone(),
        place: place.clone(),
        sequence: None,
    };
    record.gave().into_iter().map(entry).collect()
}

/// Faults of a record that puts tokens into a case: it must put just so many, with the next
/// numbers, in places that exist.
pub(super) fn planted(net: &Net, record: &Record, made: u64, count: u64) -> Vec<Fault> {
    let mut faults = Vec::new();
    let gave = record.gave();
    for (at, (token, place)) in (made + 1..).zip(&gave) {
        let right = TokenId::of_case(&record.workflow.tag(), &record.case, at);
        let message = match (**token == right, net.place(place)) {
            (true, Some(_)) if at <= made + count => continue,
            (true, Some(_)) => "the record puts one token too many into the case".to_owned(),
            (true, None) => format!("the workflow has no place {place}"),
            (false, _) => format!("the record puts a token into the case that is not {right}"),
        };
        faults.push(Fault::of(FindingKind::TokenUnknown, message).at(token, place));
    }
    if (gave.len() as u64) < count {
        let message = "the record does not have the token that it puts into the case";
        faults.push(Fault::of(FindingKind::TokenLost, message));
    }
    faults
}

/// Faults of an edit of a token that was not there, or in another place.
pub(super) fn edited(before: &Case, record: &Record) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (token, place) in record.gave() {
        let there = before.marking.entry(token);
        if there.is_none_or(|entry| entry.place != *place) {
            let message = format!("the record edits the token in {place}: it was not there");
            faults.push(Fault::of(FindingKind::TokenMisplaced, message).at(token, place));
        }
    }
    faults
}

/// The places of the new tokens of a lifecycle's record. An edited token is older than its
/// change.
pub(super) fn places(record: &Record) -> Vec<PlaceId> {
    if !record.cascade.is_empty() {
        return record.given.iter().map(|at| at.place.clone()).collect();
    }
    let new = record.produced.iter().filter(|token| token.created_at == token.updated_at);
    new.map(|token| token.place.clone()).collect()
}
