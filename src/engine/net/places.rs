//! Places of a definition: those where cases end, and those that nothing reaches.

use std::collections::{HashMap, HashSet};

use super::{Mode, NetPlace, NetTransition};
use crate::models::{ArcKind, Place, PlaceId, PlaceKind, Problems, WorkflowDefinition};

/// The first transition that takes from each place.
fn takers(places: usize, transitions: &[NetTransition]) -> Vec<Option<&NetTransition>> {
    let mut takers = vec![None; places];
    for transition in transitions.iter().rev() {
        for input in transition.modes.iter().flat_map(|mode| &mode.arcs.inputs) {
            if input.kind == ArcKind::Consume {
                takers[input.place] = Some(transition);
            }
        }
    }
    takers
}

pub(super) fn places(
    definition: &WorkflowDefinition,
    transitions: &[NetTransition],
) -> Vec<NetPlace> {
    let takers = takers(definition.places.len(), transitions);
    let place = |(place, taker): (&Place, Option<_>)| NetPlace {
        id: place.id.clone(),
        name: place.name.clone(),
        capacity: place.capacity,
        terminal: place.kind == PlaceKind::Terminal || taker.is_none(),
    };
    definition.places.iter().zip(takers).map(place).collect()
}

pub(super) fn check_terminals(
    definition: &WorkflowDefinition,
    index: &HashMap<PlaceId, usize>,
    transitions: &[NetTransition],
    problems: &mut Problems,
) {
    let takers = takers(definition.places.len(), transitions);
    for (number, (place, taker)) in definition.places.iter().zip(takers).enumerate() {
        if place.kind != PlaceKind::Terminal || index.get(&place.id) != Some(&number) {
            continue;
        }
        if let Some(taker) = taker {
            problems.add(
                format!("places[{number}].kind"),
                format!("terminal, but transition {} takes from it", taker.id),
            );
        }
    }
}

/// Checks that every place can be reached from the initial one along arcs of any weight.
pub(super) fn check_reachable(
    definition: &WorkflowDefinition,
    initial: usize,
    transitions: &[NetTransition],
    problems: &mut Problems,
) {
    let mut fed: Vec<Vec<&Mode>> = vec![Vec::new(); definition.places.len()];
    for mode in transitions.iter().flat_map(|transition| &transition.modes) {
        for input in &mode.arcs.inputs {
            if matches!(input.kind, ArcKind::Consume | ArcKind::Read) {
                fed[input.place].push(mode);
            }
        }
    }
    let mut reached = HashSet::from([initial]);
    let mut todo = vec![initial];
    while let Some(place) = todo.pop() {
        for mode in &fed[place] {
            let new = mode.arcs.outputs.iter().map(|(to, _)| *to).filter(|to| reached.insert(*to));
            todo.extend(new);
        }
    }
    for (number, place) in definition.places.iter().enumerate() {
        if !reached.contains(&number) {
            problems.add(
                format!("places[{number}]"),
                format!(
                    "place {} can't be reached from the initial place {}",
                    place.id, definition.initial_place
                ),
            );
        }
    }
}
