//! The ways in which a transition of a definition can fire.

use std::collections::{HashMap, HashSet};

use super::net::{Mode, look_up};
use crate::models::{
    ArcKind, OutputArc, PlaceId, Problems, Transition,
    petri::{Arcs, Input},
};

/// The firing modes of a transition: one, or one for each of its `from_places`.
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
    let mut outputs = Vec::new();
    for (number, arc) in transition.outputs.iter().enumerate() {
        let path = format!("{path}.outputs[{number}]");
        if arc.weight == 0 || arc.weight > OutputArc::MAX_WEIGHT {
            let reason = format!("must be 1 to {}", OutputArc::MAX_WEIGHT);
            problems.add(format!("{path}.weight"), reason);
        }
        if let Some(place) = look_up(places, &arc.place, &format!("{path}.place"), problems) {
            outputs.push((place, arc.weight));
        }
    }
    if let Some(to) = &transition.to_place
        && let Some(place) = look_up(places, to, &format!("{path}.to_place"), problems)
    {
        outputs.push((place, 1));
    }
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
    if transition.outputs.is_empty() && transition.to_place.is_none() {
        problems.add(path, "no way out: give it outputs, or to_place");
    }
    if transition.from_places.is_empty() {
        return vec![Mode { from: None, arcs: Arcs { inputs, outputs } }];
    }
    alternatives(transition, path, places, &inputs, &outputs, problems)
}

fn alternatives(
    transition: &Transition,
    path: &str,
    places: &HashMap<PlaceId, usize>,
    inputs: &[Input],
    outputs: &[(usize, u64)],
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
        if inputs.iter().any(|i| i.place == place && i.kind == ArcKind::Consume) {
            problems.add(path, format!("place {from} is among the inputs too; use one of both"));
            continue;
        }
        let mut all = vec![Input { place, weight: 1, kind: ArcKind::Consume }];
        all.extend_from_slice(inputs);
        modes.push(Mode {
            from: Some(place),
            arcs: Arcs { inputs: all, outputs: outputs.to_vec() },
        });
    }
    modes
}
