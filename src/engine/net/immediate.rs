//! Immediate transitions of a definition: their order, and the faults that its text tells.

use std::{cmp::Reverse, collections::BTreeSet};

use super::{Mode, NetPlace, NetTransition};
use crate::engine::timing::SHORTEST_PERIOD;
use crate::models::{ArcKind, Problems, WorkflowDefinition, petri::Timed};

/// The indexes of the immediate transitions: those of highest priority first, then in the order
/// of the definition.
pub(super) fn in_order(transitions: &[NetTransition]) -> Vec<usize> {
    let mut immediate: Vec<_> = (0..transitions.len()).filter(|of| transitions[*of].auto).collect();
    immediate.sort_by_key(|of| Reverse(transitions[*of].priority));
    immediate
}

/// The transitions of a list that may be enabled after a token came or went, and were not before: their
/// numbers in the order in which they are tried.
#[derive(Debug)]
pub(in crate::engine) struct Watchers {
    by_place: Vec<Vec<usize>>,
    /// Those with an expression over the case, which sees all places.
    of_case: Vec<usize>,
}

impl Watchers {
    pub(super) fn new(
        places: &[NetPlace],
        transitions: &[NetTransition],
        immediate: &[usize],
    ) -> Self {
        let mut watchers = Self { by_place: vec![Vec::new(); places.len()], of_case: Vec::new() };
        for (number, index) in immediate.iter().enumerate() {
            let NetTransition { guards, output, timing, activity, modes, .. } =
                &transitions[*index];
            if guards.ask_for_case()
                || output.as_ref().is_some_and(|of| of.asks_for_case())
                || timing.as_ref().is_some_and(|of| of.asks_for_case())
                || activity.as_ref().is_some_and(|of| of.asks_for_case())
            {
                watchers.of_case.push(number);
                continue;
            }
            let inputs = modes.iter().flat_map(|mode| &mode.arcs.inputs).map(|arc| arc.place);
            let outputs = modes.iter().flat_map(|mode| &mode.arcs.outputs).map(|(to, _)| *to);
            let may_be_full = outputs.filter(|to| places[*to].capacity.is_some());
            for place in inputs.chain(may_be_full).collect::<BTreeSet<_>>() {
                watchers.by_place[place].push(number);
            }
        }
        watchers
    }

    /// Those that a token in this place concerns.
    pub(in crate::engine) fn of(&self, place: usize) -> impl Iterator<Item = usize> {
        self.by_place[place].iter().chain(&self.of_case).copied()
    }
}

pub(super) fn check(
    definition: &WorkflowDefinition,
    transitions: &[NetTransition],
    problems: &mut Problems,
) {
    let most = WorkflowDefinition::MOST_IN_CASCADE;
    if definition.max_cascade.is_some_and(|max| !(1..=most).contains(&max)) {
        problems.add("max_cascade", format!("must be 1 to {most}, or absent"));
    }
    for (number, transition) in definition.transitions.iter().enumerate() {
        if transition.priority.is_some() && !transition.auto {
            let reason = match &transition.activity {
                Some(_) => {
                    "is the rank of an immediate transition; the class of work is `activity.priority`"
                }
                None => {
                    "only an immediate transition has one: give it `auto: true`, or leave it out"
                }
            };
            problems.add(format!("transitions[{number}].priority"), reason);
        }
    }
    for (number, transition) in transitions.iter().enumerate() {
        let takes = |mode: &Mode| mode.arcs.inputs.iter().any(|arc| arc.kind == ArcKind::Consume);
        let Some(timed) = &transition.timed else { continue };
        if transition.modes.iter().all(takes) {
            continue;
        }
        let problem = match (timed, &transition.timing) {
            (Timed::At(_), _) => Some((
                "at",
                "fires again and again for ever once its time is over, since it takes no token; let \
                 it take one, or use `after`",
            )),
            (_, Some(timing)) if timing.is_shorter_than(SHORTEST_PERIOD) => Some((
                "after",
                "is less than a second, and the transition takes no token: it fires again and again, \
                 each time after as long",
            )),
            _ => None,
        };
        if let Some((key, reason)) = problem {
            problems.add(format!("transitions[{number}].{key}"), reason);
        }
    }
    // Arcs that were not understood say nothing of cycles.
    if !problems.0.is_empty() {
        return;
    }
    if let Some(source) = source(definition, transitions) {
        let reason = "fires again and again for ever, once it has a token to read, since it takes none \
                      and nothing can stop it; give it a condition, an inhibitor arc or a capacity, or \
                      leave it to callers";
        problems.add(format!("transitions[{source}].auto"), reason);
        return;
    }
    let certain = certain(definition, transitions);
    for (late, first) in beaten(transitions, &certain) {
        let key = match &definition.transitions[late] {
            of if of.activity.is_some() => "activity",
            of if of.after.is_some() => "after",
            _ => "at",
        };
        let first = &transitions[first].id;
        let reason = format!(
            "never fires: {first} fires by itself at once and takes every token that it waits for; \
             give {first} a condition, or leave one of them out"
        );
        problems.add(format!("transitions[{late}].{key}"), reason);
    }
    let endless = (0..certain.len()).find_map(|start| from(start, &certain, transitions));
    if let Some(cycle) = endless {
        let names: Vec<_> = cycle.iter().map(|of| transitions[*of].id.as_str()).collect();
        let reason = format!(
            "fires again and again for ever, once it has a token: {} follow one another by \
             themselves, and nothing can stop them; give one of them a condition, or leave one to \
             callers",
            names.join(", ")
        );
        problems.add(format!("transitions[{}].auto", cycle[0]), reason);
    }
}

/// An immediate transition that fires for ever by itself: it only reads, and nothing can stop it.
fn source(definition: &WorkflowDefinition, transitions: &[NetTransition]) -> Option<usize> {
    (0..transitions.len()).find(|of| {
        let transition = &transitions[*of];
        transition.auto
            && transition.guards.is_empty()
            && transition.modes.iter().any(|mode| {
                mode.arcs.inputs.iter().all(|arc| arc.kind == ArcKind::Read)
                    && mode
                        .arcs
                        .outputs
                        .iter()
                        .all(|(to, _)| definition.places[*to].capacity.is_none())
            })
    })
}

/// The immediate transition that is certain to take every token of each place as it comes: it takes one
/// token from there alone, has no condition, gives to no place that may be full, and no other immediate
/// transition comes before it there, or empties the place.
fn certain(definition: &WorkflowDefinition, transitions: &[NetTransition]) -> Vec<Option<usize>> {
    let places = definition.places.len();
    let mut certain: Vec<Option<usize>> = vec![None; places];
    let mut is_decided = vec![false; places];
    let immediate = transitions.iter().filter(|transition| transition.auto);
    for mode in immediate.flat_map(|transition| &transition.modes) {
        let emptied = mode.arcs.inputs.iter().filter(|arc| arc.kind == ArcKind::Reset);
        emptied.for_each(|arc| is_decided[arc.place] = true);
    }
    for index in in_order(transitions) {
        let transition = &transitions[index];
        for mode in &transition.modes {
            let taken = mode.arcs.inputs.iter().filter(|arc| arc.kind == ArcKind::Consume);
            for arc in taken {
                let alone = mode.arcs.inputs.len() == 1 && arc.weight == 1;
                let mut outputs = mode.arcs.outputs.iter();
                let has_room = outputs.all(|(to, _)| definition.places[*to].capacity.is_none());
                let is_free = alone && has_room && transition.guards.is_empty();
                if !std::mem::replace(&mut is_decided[arc.place], true) && is_free {
                    certain[arc.place] = Some(index);
                }
            }
        }
    }
    certain
}

/// A timed transition that never fires, and the immediate one that is always first.
fn beaten(
    transitions: &[NetTransition],
    certain: &[Option<usize>],
) -> impl Iterator<Item = (usize, usize)> {
    let waits = |of: &NetTransition| of.timing.is_some() || of.activity.is_some();
    let waiting = transitions.iter().enumerate().filter(move |(_, of)| waits(of));
    waiting.filter_map(|(index, transition)| {
        let first = |mode: &Mode| {
            let mut needs = mode
                .arcs
                .inputs
                .iter()
                .filter(|arc| matches!(arc.kind, ArcKind::Consume | ArcKind::Read));
            needs.find_map(|arc| certain[arc.place])
        };
        let first: Option<Vec<_>> = transition.modes.iter().map(first).collect();
        Some((index, *first?.first()?))
    })
}

/// The transitions of a cycle that comes back to `start`.
fn from(
    start: usize,
    certain: &[Option<usize>],
    transitions: &[NetTransition],
) -> Option<Vec<usize>> {
    let mut came: Vec<Option<(usize, usize)>> = vec![None; certain.len()];
    let mut todo = vec![start];
    while let Some(place) = todo.pop() {
        let Some(index) = certain[place] else { continue };
        let modes = transitions[index].modes.iter();
        let here = modes.filter(|mode| mode.arcs.inputs.iter().any(|arc| arc.place == place));
        for (to, _) in here.flat_map(|mode| &mode.arcs.outputs) {
            if came[*to].is_some() {
                continue;
            }
            came[*to] = Some((place, index));
            if *to != start {
                todo.push(*to);
                continue;
            }
            let (mut cycle, mut at) = (Vec::new(), start);
            while let Some((before, index)) = came[at] {
                cycle.push(index);
                at = before;
                if at == start {
                    break;
                }
            }
            cycle.reverse();
            return Some(cycle);
        }
    }
    None
}
