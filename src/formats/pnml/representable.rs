//! What a profile can't say: a file that means something else than the net is never written.

use std::collections::HashSet;

use super::{
    Arc, Direction, PnmlNet, Profile, arc_kind, position::excerpt, read_arcs, xml_text::unwritable,
};
use crate::models::ArcKind;

/// Everything of a net that a profile can't say, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct Unwritable(pub Vec<String>);

/// Checks that nets can be written exactly.
pub(super) fn check(nets: &[PnmlNet], profile: Profile) -> Result<(), Unwritable> {
    let mut problems = Vec::new();
    if nets.is_empty() {
        problems.push("there is no net to write".to_owned());
    }
    if profile == Profile::Prom && nets.len() > 1 {
        let message = "the prom profile has one net in a file, and here are";
        problems.push(format!("{message} {}; write them one by one", nets.len()));
    }
    for net in nets {
        texts(net, &mut problems);
        for place in &net.places {
            if let Some(capacity) = place.capacity {
                problems.push(format!(
                    "place {} has the capacity {capacity}, which the {} profile can't say; remove \
                     it, or give the place a complement that holds the free room",
                    excerpt(&place.id),
                    name(profile)
                ));
            }
        }
        let resets = net.arcs.iter().filter(|arc| arc.kind == ArcKind::Reset);
        let resets: HashSet<_> = resets.map(|arc| (arc.place, arc.transition)).collect();
        let problem = |arc| arc_problem(net, arc, profile, &resets);
        problems.extend(net.arcs.iter().filter_map(problem));
        if weights(net).is_none() {
            problems.push(format!(
                "the weights of the arcs add up to more than 64 bits hold ({}), a read arc \
                 counting twice; make them smaller",
                u64::MAX
            ));
        }
        let markings = net.final_marking_entries.len();
        if profile == Profile::Prom && markings > 1 {
            problems.push(format!(
                "the net has {markings} final markings, which PM4Py would take for one; keep one"
            ));
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(Unwritable(problems)) }
}

/// The weights of all arcs as they are written, which the reader adds up; `None` if that is
/// more than 64 bits hold. A read arc becomes one that takes and one that gives back.
fn weights(net: &PnmlNet) -> Option<u64> {
    let own = read_arcs::own_weights(net);
    net.arcs.iter().zip(own).try_fold(0_u64, |sum, (arc, own)| match arc.kind {
        ArcKind::Read => sum.checked_add(own)?.checked_add(own),
        ArcKind::Reset => sum.checked_add(1),
        ArcKind::Consume | ArcKind::Inhibitor => sum.checked_add(arc.weight),
    })
}

/// What a profile is called on the command line.
fn name(profile: Profile) -> &'static str {
    match profile {
        Profile::Iso => "iso",
        Profile::Prom => "prom",
    }
}

/// What is wrong with an arc. `resets` are the places and transitions that reset arcs join.
fn arc_problem(
    net: &PnmlNet,
    arc: &Arc,
    profile: Profile,
    resets: &HashSet<(usize, usize)>,
) -> Option<String> {
    let place = excerpt(&net.places[arc.place].id);
    let transition = excerpt(&net.transitions[arc.transition].id);
    let between = match arc.direction {
        Direction::ToTransition => format!("from place {place} to transition {transition}"),
        Direction::ToPlace => format!("from transition {transition} to place {place}"),
    };
    let kind = arc_kind::name(arc.kind);
    if arc.weight == 0 {
        return Some(format!("the arc {between} has the weight 0; remove it"));
    }
    match (profile, arc.kind) {
        (_, ArcKind::Consume) => None,
        (Profile::Iso, ArcKind::Read) => Some(format!(
            "the arc {between} is a read arc, which the standard's place/transition nets don't \
             have; use the prom profile, or replace it by an arc that takes and one that gives back"
        )),
        (Profile::Iso, _) => Some(format!(
            "the arc {between} is of the kind {kind}, which the standard's place/transition nets \
             don't have; use the prom profile"
        )),
        (Profile::Prom, ArcKind::Inhibitor) if arc.weight > 1 => Some(format!(
            "the arc {between} is an inhibitor arc of weight {}, and PM4Py reads all of them as \
             weight 1; there is no way to say it",
            arc.weight
        )),
        (Profile::Prom, ArcKind::Read) if resets.contains(&(arc.place, arc.transition)) => {
            Some(format!(
                "the arc {between} is a read arc beside a reset arc; what it reads is not given back, \
             so make it an arc that takes"
            ))
        }
        (Profile::Prom, _) => None,
    }
}

fn texts(net: &PnmlNet, problems: &mut Vec<String>) {
    let places = net.places.iter().map(|place| ("place", &place.id, &place.name));
    let transitions = net.transitions.iter().map(|t| ("transition", &t.id, &t.name));
    for (what, id, name) in places.chain(transitions).chain([("net", &net.id, &net.name)]) {
        let texts = [Some(id), name.as_ref()];
        if let Some(character) = texts.into_iter().flatten().find_map(|text| unwritable(text)) {
            problems.push(format!(
                "{what} {}: XML has no place for the character {character:?}; remove it",
                excerpt(id)
            ));
        }
    }
}
