//! The ways in which a transition of a definition can fire.

use std::collections::{HashMap, HashSet};

use super::{Mode, look_up};
use crate::models::{
    ArcKind, OutputArc, PlaceId, Problems, Transition,
    petri::{Arcs, Input},
};

/// The firing modes of a transition: one, or one for each of its `from_places`, and of each of these one
/// for each outcome of its activity.
pub(super) fn modes(
    transition: &Transition,
    path: &str,
    places: &HashMap<PlaceId, usize>,
    problems: &mut Problems,
) -> Vec<Mode> {
    let mut inputs = Vec::new();
    let mut seen = HashSet::new();
    for (number, arc) in transition.inputs.iter().enumerate() {
        let path = format!("{path}.inputs[{number}]");
        if arc.weight == 0 {
            problems.add(format!("{path}.weight"), "must be at least 1");
        }
        if !seen.insert((&arc.place, arc.kind)) {
            problems.add(
                format!("{path}.place"),
                format!(
                    "a second arc of this kind from place {}; use one with a weight",
                    arc.place
                ),
            );
        }
        if let Some(place) = look_up(places, &arc.place, &format!("{path}.place"), problems) {
            inputs.push(Input { place, weight: arc.weight, kind: arc.kind });
        }
    }
    let outputs = Outputs { arcs: &transition.outputs, to_place: transition.to_place.as_ref() };
    let own = outputs.compile(path, places, problems);
    let takes = |input: &Input| matches!(input.kind, ArcKind::Consume | ArcKind::Read);
    if !inputs.iter().any(takes)
        && transition.from_places.is_empty()
        && transition.inputs.is_empty()
    {
        problems.add(path, "no way in: give it inputs, or from_places");
    } else if transition.from_places.is_empty()
        && !transition.inputs.iter().any(|a| matches!(a.kind, ArcKind::Consume | ArcKind::Read))
    {
        problems.add(
            format!("{path}.inputs"),
            "no way in: only inhibitor and reset arcs; it needs one that consumes or reads",
        );
    }
    let outcomes = transition.activity.as_ref().map(|of| &of.outcomes);
    let outcomes: Vec<_> = outcomes.into_iter().flatten().collect();
    if outcomes.is_empty() && outputs.is_empty() {
        problems.add(path, "no way out: give it outputs, or to_place");
    } else if !outcomes.is_empty() && !outputs.is_empty() {
        let reason = "has outcomes, and these have outputs of their own; leave out the transition's \
                      outputs and to_place, or the outcomes";
        problems.add(format!("{path}.activity.outcomes"), reason);
    }
    let alone = vec![Mode { from: None, outcome: None, arcs: Arcs { inputs, outputs: own } }];
    let modes = match transition.from_places.is_empty() {
        true => alone,
        false => alternatives(transition, path, places, &alone[0].arcs, problems),
    };
    let takes = |mode: &Mode| mode.arcs.inputs.iter().any(|arc| arc.kind == ArcKind::Consume);
    if transition.activity.is_some() && !modes.iter().all(takes) {
        let reason = "takes no token, so its work would be offered again as soon as it is done; give it \
                      an input that consumes";
        problems.add(format!("{path}.activity"), reason);
    }
    if outcomes.is_empty() {
        return modes;
    }
    let mut ways = Vec::new();
    for (id, outcome) in outcomes {
        let path = format!("{path}.activity.outcomes.{id}");
        let of = Outputs { arcs: &outcome.outputs, to_place: outcome.to_place.as_ref() };
        if of.is_empty() {
            problems.add(&path, "no way out: give it outputs, or to_place");
        }
        ways.push(of.compile(&path, places, problems));
    }
    let of_mode = |mode: &Mode| {
        let of_way = |(way, outputs): (usize, &Vec<(usize, u64)>)| Mode {
            outcome: Some(way),
            arcs: Arcs { inputs: mode.arcs.inputs.clone(), outputs: outputs.clone() },
            ..mode.clone()
        };
        ways.iter().enumerate().map(of_way).collect::<Vec<_>>()
    };
    modes.iter().flat_map(of_mode).collect()
}

/// The outputs of a transition, or of an outcome.
struct Outputs<'a> {
    arcs: &'a [OutputArc],
    to_place: Option<&'a PlaceId>,
}

impl Outputs<'_> {
    fn is_empty(&self) -> bool {
        self.arcs.is_empty() && self.to_place.is_none()
    }

    fn compile(
        &self,
        path: &str,
        places: &HashMap<PlaceId, usize>,
        problems: &mut Problems,
    ) -> Vec<(usize, u64)> {
        let mut outputs = Vec::new();
        for (number, arc) in self.arcs.iter().enumerate() {
            let path = format!("{path}.outputs[{number}]");
            if arc.weight == 0 || arc.weight > OutputArc::MAX_WEIGHT {
                let reason = format!("must be 1 to {}", OutputArc::MAX_WEIGHT);
                problems.add(format!("{path}.weight"), reason);
            }
            if let Some(place) = look_up(places, &arc.place, &format!("{path}.place"), problems) {
                outputs.push((place, arc.weight));
            }
        }
        if let Some(to) = self.to_place
            && let Some(place) = look_up(places, to, &format!("{path}.to_place"), problems)
        {
            outputs.push((place, 1));
        }
        outputs
    }
}

fn alternatives(
    transition: &Transition,
    path: &str,
    places: &HashMap<PlaceId, usize>,
    arcs: &Arcs,
    problems: &mut Problems,
) -> Vec<Mode> {
    let mut modes = Vec::new();
    for (number, from) in transition.from_places.iter().enumerate() {
        let path = format!("{path}.from_places[{number}]");
        let Some(place) = look_up(places, from, &path, problems) else { continue };
        if modes.iter().any(|mode: &Mode| mode.from == Some(place)) {
            problems.add(path, format!("place {from} is there twice"));
            continue;
        }
        if arcs.inputs.iter().any(|i| i.place == place && i.kind == ArcKind::Consume) {
            problems.add(path, format!("place {from} is among the inputs too; use one of both"));
            continue;
        }
        let mut all = vec![Input { place, weight: 1, kind: ArcKind::Consume }];
        all.extend_from_slice(&arcs.inputs);
        let arcs = Arcs { inputs: all, outputs: arcs.outputs.clone() };
        modes.push(Mode { from: Some(place), outcome: None, arcs });
    }
    modes
}
