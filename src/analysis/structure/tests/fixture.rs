//! Nets written as text, random ones, and an exploration that takes nothing for granted.

use std::collections::HashMap;

use proptest::{collection::vec, option::weighted, prelude::*};

use crate::models::{
    ArcKind,
    petri::{Arcs, Input, Marking, Net, Place, Transition},
};

/// Transitions as `t: p q*2 -> r`; before a place, `?` is a read, `!` an inhibitor and `~` a
/// reset arc. The first place holds one token.
pub(super) fn net(transitions: &[&str]) -> Net {
    let mut net = Net::default();
    for text in transitions {
        let (id, rest) = text.split_once(':').unwrap();
        let (inputs, outputs) = rest.split_once("->").unwrap();
        let mut arcs = Arcs::default();
        for word in inputs.split_whitespace() {
            let kind = match word.as_bytes()[0] {
                b'?' => ArcKind::Read,
                b'!' => ArcKind::Inhibitor,
                b'~' => ArcKind::Reset,
                _ => ArcKind::Consume,
            };
            let (place, weight) = place(&mut net, word.trim_start_matches(['?', '!', '~']));
            arcs.inputs.push(Input { place, weight, kind });
        }
        arcs.outputs = outputs.split_whitespace().map(|word| place(&mut net, word)).collect();
        net.transitions.push(Transition { id: id.to_owned(), arcs, ..Transition::default() });
    }
    net.places[0].tokens = 1;
    net
}

fn place(net: &mut Net, word: &str) -> (usize, u64) {
    let (id, weight) = word.split_once('*').unwrap_or((word, "1"));
    let at = net.places.iter().position(|place| place.id == id).unwrap_or_else(|| {
        net.places.push(Place { id: id.to_owned(), ..Place::default() });
        net.places.len() - 1
    });
    (at, weight.parse().unwrap())
}

pub(super) fn ids(net: &Net, places: &[usize]) -> String {
    places.iter().map(|at| net.places[*at].id.as_str()).collect::<Vec<_>>().join(" ")
}

fn named(tokens: Vec<u64>, arcs: Vec<Arcs>) -> Net {
    let place = |(at, tokens)| Place { id: format!("p{at}"), tokens, ..Place::default() };
    let transition =
        |(at, arcs)| Transition { id: format!("t{at}"), arcs, ..Transition::default() };
    Net {
        name: String::new(),
        places: tokens.into_iter().enumerate().map(place).collect(),
        transitions: arcs.into_iter().enumerate().map(transition).collect(),
    }
}

fn kind(extended: bool) -> BoxedStrategy<ArcKind> {
    if !extended {
        return Just(ArcKind::Consume).boxed();
    }
    prop_oneof![
        6 => Just(ArcKind::Consume),
        1 => Just(ArcKind::Read),
        1 => Just(ArcKind::Inhibitor),
        1 => Just(ArcKind::Reset),
    ]
    .boxed()
}

/// Nets of up to six places and seven transitions, with any arcs.
pub(super) fn any_net(extended: bool) -> impl Strategy<Value = Net> {
    (1usize..7, 1usize..8).prop_flat_map(move |(places, transitions)| {
        let input = (0..places, 1u64..4, kind(extended)).prop_map(|(place, weight, kind)| Input {
            place,
            weight,
            kind,
        });
        let arcs = (vec(input, 0..3), vec((0..places, 1u64..4), 0..3))
            .prop_map(|(inputs, outputs)| Arcs { inputs, outputs });
        (vec(0u64..4, places), vec(arcs, transitions))
            .prop_map(|(tokens, arcs)| named(tokens, arcs))
    })
}

/// One step of making a net from `i -> o`, and up to two arcs that are put elsewhere after all
/// steps, so that there are sound nets and others among them. Inputs of a transition are never
/// touched alone: the net is extended free-choice.
pub(super) fn free_choice_net() -> impl Strategy<Value = Net> {
    let steps = vec((0u8..5, any::<prop::sample::Index>()), 0..11);
    let moved =
        weighted(0.7, vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 1..3));
    (steps, moved).prop_map(|(steps, moved)| {
        let mut net = net(&["t: i -> o"]);
        for (number, (step, index)) in steps.into_iter().enumerate() {
            let at = index.index(net.transitions.len());
            refine(&mut net, number, step, at);
        }
        for (arc, place) in moved.into_iter().flatten() {
            move_output(&mut net, &arc, &place);
        }
        net
    })
}

fn refine(net: &mut Net, number: usize, step: u8, at: usize) {
    let mut new = |name: &str| {
        net.places.push(Place { id: format!("{name}{number}"), ..Place::default() });
        net.places.len() - 1
    };
    let arcs = |takes: &[usize], gives: &[usize]| Arcs {
        inputs: takes
            .iter()
            .map(|&place| Input { place, weight: 1, kind: ArcKind::Consume })
            .collect(),
        outputs: gives.iter().map(|&place| (place, 1)).collect(),
    };
    let old = net.transitions[at].arcs.clone();
    let (inputs, outputs) = (old.inputs.clone(), old.outputs.clone());
    // What the transition becomes, and what comes beside it.
    let (changed, added) = match step {
        // Another way from the same places to the same places.
        0 => (old.clone(), vec![old]),
        // A place, two parallel ones, or one with a loop, before what it gives to.
        1..=3 => {
            let between: Vec<_> = (0..1 + step % 2).map(|n| new(&format!("s{n}_"))).collect();
            let mut added = vec![Arcs { outputs, ..arcs(&between, &[]) }];
            if step == 2 {
                added.push(arcs(&between, &between));
            }
            (Arcs { inputs, ..arcs(&[], &between) }, added)
        }
        // A detour by a place beside it.
        _ => {
            let beside = [new("d")];
            let there = Arcs { inputs, ..arcs(&[], &beside) };
            (old, vec![there, Arcs { outputs, ..arcs(&beside, &[]) }])
        }
    };
    net.transitions[at].arcs = changed;
    for arcs in added {
        let id = format!("t{number}_{}", net.transitions.len());
        net.transitions.push(Transition { id, arcs, ..Transition::default() });
    }
}

fn move_output(net: &mut Net, arc: &prop::sample::Index, place: &prop::sample::Index) {
    let to = place.index(net.places.len());
    let transition = arc.index(net.transitions.len());
    let arcs = &mut net.transitions[transition].arcs;
    // Nothing leads to the first place, or to one place twice.
    if to != 0 && arcs.gives(to) == 0 {
        let last = arcs.outputs.len() - 1;
        arcs.outputs[last] = (to, 1);
    }
}

/// All that is reachable, as a graph; `None` if a place is unbounded or there are over 2,000
/// markings.
pub(super) struct Reachable {
    pub markings: Vec<Marking>,
    /// Steps: a marking, a transition, and the marking after it.
    pub steps: Vec<(usize, usize, usize)>,
}

pub(super) enum Explored {
    Finite(Reachable),
    Unbounded,
    TooMany,
}

pub(super) fn explore(net: &Net) -> Explored {
    let mut found = HashMap::from([(net.initial(), 0)]);
    let (mut markings, mut parents, mut steps) = (vec![net.initial()], vec![0], Vec::new());
    let mut at = 0;
    while at < markings.len() {
        for transition in 0..net.transitions.len() {
            let mut marking: Marking = markings[at].clone();
            if net.fire(transition, &mut marking).is_err() {
                continue;
            }
            if let Some(known) = found.get(&marking) {
                steps.push((at, transition, *known));
                continue;
            }
            let mut before = at;
            loop {
                if markings[before].iter().zip(&marking).all(|(less, more)| less <= more) {
                    return Explored::Unbounded;
                }
                if before == 0 {
                    break;
                }
                before = parents[before];
            }
            if markings.len() == 2_000 {
                return Explored::TooMany;
            }
            steps.push((at, transition, markings.len()));
            found.insert(marking.clone(), markings.len());
            markings.push(marking);
            parents.push(at);
        }
        at += 1;
    }
    Explored::Finite(Reachable { markings, steps })
}

impl Reachable {
    /// Returns true if every transition fires somewhere.
    pub(super) fn all_fire(&self, net: &Net) -> bool {
        (0..net.transitions.len()).all(|t| self.steps.iter().any(|(_, fired, _)| *fired == t))
    }

    /// Returns true if a marking for which `end` holds can be reached from every marking.
    pub(super) fn always_leads_to(&self, end: impl Fn(&Marking) -> bool) -> bool {
        let mut leads: Vec<bool> = self.markings.iter().map(end).collect();
        loop {
            let mut changed = false;
            for (from, _, to) in &self.steps {
                if leads[*to] && !leads[*from] {
                    leads[*from] = true;
                    changed = true;
                }
            }
            if !changed {
                return leads.into_iter().all(|leads| leads);
            }
        }
    }
}
