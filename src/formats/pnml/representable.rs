//! The limits of profiles: a file that means something else than the net is never written.

use std::collections::HashSet;

use super::{
    Arc, Direction, PnmlNet, Profile, arc_kind,
    position::excerpt,
    written_arcs::{self, WrittenArc},
    xml_text::unwritable,
};
use crate::models::ArcKind;

/// Everything of a net that a profile can't say, with the remedies.
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
        sums(net, &mut problems);
        if profile == Profile::Prom {
            problems.extend(net.beyond_32_bits().into_iter().map(|large| {
                format!(
                    "{large}, and ProM reads numbers up to {} only, larger ones as others; make it \
                     smaller, or use the iso profile",
                    i32::MAX
                )
            }));
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

/// Notes weights that add up to more than the reader, which adds all of them up, can count.
fn sums(net: &PnmlNet, problems: &mut Vec<String>) {
    let add = |sum: u64, arc: WrittenArc<'_>| sum.checked_add(arc.weight?);
    if written_arcs::of(net).into_iter().try_fold(0, add).is_none() {
        problems.push(format!(
            "the weights of the arcs add up to more than 64 bits hold ({}), a read arc counting \
             twice; make them smaller",
            u64::MAX
        ));
    }
}

impl PnmlNet {
    /// Everything that is counted in this net and written with a number above 2,147,483,647, the
    /// most that a reader has which counts in 32 bits. ProM takes a larger weight for 1 and a
    /// larger marking for 0.
    pub fn beyond_32_bits(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut note = |number: u64, what: String| {
            if number > i32::MAX as u64 {
                found.push(format!("{what} {number}"));
            }
        };
        for arc in written_arcs::of(self) {
            let between = between(self, arc.first, arc.direction);
            note(arc.weight.unwrap_or(0), format!("the arc {between} has the weight"));
        }
        for place in &self.places {
            note(place.tokens, format!("place {} has the initial marking", excerpt(&place.id)));
        }
        for (place, tokens) in self.final_marking_entries.iter().flatten() {
            let place = excerpt(&self.places[*place].id);
            note(*tokens, format!("place {place} has the final marking"));
        }
        found
    }
}

/// The ends of an arc, in words.
fn between(net: &PnmlNet, arc: &Arc, direction: Direction) -> String {
    let place = excerpt(&net.places[arc.place].id);
    let transition = excerpt(&net.transitions[arc.transition].id);
    match direction {
        Direction::ToTransition => format!("from place {place} to transition {transition}"),
        Direction::ToPlace => format!("from transition {transition} to place {place}"),
    }
}

/// The name of a profile on the command line.
fn name(profile: Profile) -> &'static str {
    match profile {
        Profile::Iso => "iso",
        Profile::Prom => "prom",
    }
}

/// The fault of an arc, if any. `resets` are the places and transitions that reset arcs join.
fn arc_problem(
    net: &PnmlNet,
    arc: &Arc,
    profile: Profile,
    resets: &HashSet<(usize, usize)>,
) -> Option<String> {
    let between = between(net, arc, arc.direction);
    let kind = arc_kind::name(arc.kind);
    if arc.weight == 0 {
        return Some(format!("the arc {between} has the weight 0; remove it"));
    }
    match (profile, arc.kind) {
        (Profile::Prom, ArcKind::Consume)
            if arc.direction == Direction::ToTransition
                && resets.contains(&(arc.place, arc.transition)) =>
        {
            Some(format!(
                "the arc {between} takes what a reset arc beside it removes, too, and PM4Py would \
                 leave less than nothing there; let one transition do one of the two"
            ))
        }
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
