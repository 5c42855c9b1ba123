//! The P-invariants of a net: weighted sums over a marking that no firing changes.

use std::sync::Arc;

use super::{Auditor, FindingKind, marking::Fault};
use crate::{
    analysis::structure::{Invariant, TooComplex, place_invariants},
    engine::Net,
    models::{LogSequence, MarkingEntry, PlaceId, WorkflowId},
    petrel::{self, thread::by_itself},
};

/// Number of places of an invariant that a message names.
const MOST_NAMED: usize = 8;

/// Result of a definition's invariants for a marking.
pub(super) enum Sums {
    /// All of them hold.
    Hold,
    /// One does not hold.
    Broken(Fault),
    /// The invariants could not be computed, so nothing is known of the marking.
    Unknown,
}

impl Auditor<'_> {
    /// Compares each invariant's sum over the marking with that over the places of the tokens
    /// that the case was given.
    pub(super) async fn sums(
        &self,
        workflow: &WorkflowId,
        definition: LogSequence,
        marking: &[MarkingEntry],
        given: &[PlaceId],
    ) -> petrel::Result<Sums> {
        let compiled = self.reader.compiled(workflow, definition).await?;
        if compiled.invariants.get().is_none() {
            let net = compiled.net.petri();
            let computed = self.reader.in_turn(move || place_invariants(&net));
            let compiled = Arc::clone(&compiled);
            by_itself(async move {
                compiled.invariants.get_or_init(|| computed).await;
            })
            .await;
        }
        Ok(match compiled.invariants.get() {
            None | Some(Err(TooComplex)) => Sums::Unknown,
            Some(Ok(invariants)) => match broken(&compiled.net, invariants, marking, given) {
                Some(fault) => Sums::Broken(fault),
                None => Sums::Hold,
            },
        })
    }
}

fn broken(
    net: &Net,
    invariants: &[Invariant],
    marking: &[MarkingEntry],
    given: &[PlaceId],
) -> Option<Fault> {
    let found = counts(net, marking.iter().map(|entry| &entry.place));
    let given = counts(net, given.iter());
    let broken = invariants.iter().find(|one| one.sum(&found) != one.sum(&given))?;
    let weights = broken.weights.iter();
    let named: Vec<_> = weights
        .take(MOST_NAMED)
        .map(|(place, weight)| format!("{weight}·{}", net.places[*place].id))
        .collect();
    let more = if broken.weights.len() > MOST_NAMED { " + …" } else { "" };
    let message = format!(
        "the sum {}{more} is {}; the tokens that the case was given make it {}",
        named.join(" + "),
        broken.sum(&found),
        broken.sum(&given)
    );
    let fault = Fault::of(FindingKind::InvariantBroken, message);
    let counted = |entry: &&MarkingEntry| {
        let place = net.place(&entry.place);
        broken.weights.iter().any(|(at, _)| Some(*at) == place)
    };
    Some(match marking.iter().find(counted) {
        Some(entry) => fault.at(&entry.token, &entry.place),
        None => fault,
    })
}

/// Number of tokens by place. A place that the net has not got is found otherwise.
fn counts<'a>(net: &Net, places: impl Iterator<Item = &'a PlaceId>) -> Vec<u64> {
    let mut counts = vec![0; net.places.len()];
    for place in places.filter_map(|place| net.place(place)) {
        counts[place] += 1;
    }
    counts
}
