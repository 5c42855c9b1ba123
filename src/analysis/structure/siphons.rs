//! Sets of places that stay empty once they are, and sets that stay marked once they are.

use crate::models::{
    ArcKind,
    petri::{Net, Transition},
};

/// A net seen for its siphons and traps.
///
/// A *siphon* is a set of places so that a transition that gives to one of them needs a token from
/// one of them: once empty, it stays empty. A *trap* is a set so that a transition that takes from
/// one of them gives to one of them: once marked, it stays marked. Unions of siphons are siphons,
/// so every set of places has a largest one within; likewise for traps. Sets of places are
/// ascending indexes.
#[derive(Debug)]
pub struct PlaceSets {
    places: usize,
    /// The places that each transition needs tokens in; a reset arc needs none.
    needs: Vec<Vec<usize>>,
    /// The places that each transition may empty.
    takes: Vec<Vec<usize>>,
    /// The places that each transition gives to or leaves marked.
    gives: Vec<Vec<usize>>,
}

/// The minimal siphons, or traps, of a net: those that contain no other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Minimal {
    /// The sets found.
    pub sets: Vec<Vec<usize>>,
    /// True if these are all.
    pub complete: bool,
}

/// The answer to Commoner's condition: every siphon contains a trap that is marked at first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Commoner {
    /// Every siphon does: in an ordinary net no reachable marking is dead, and a free-choice net
    /// is live (Commoner 1972).
    Holds,
    /// This siphon's largest trap is not marked, or it has none.
    Fails {
        /// The siphon, a minimal one.
        siphon: Vec<usize>,
        /// The largest trap within.
        trap: Vec<usize>,
    },
    /// Those siphons that were found do, and there are more.
    Unknown,
}

fn inputs(transition: &Transition, kinds: &[ArcKind]) -> Vec<usize> {
    let arcs = transition.arcs.inputs.iter().filter(|arc| kinds.contains(&arc.kind));
    unique(arcs.map(|arc| arc.place).collect())
}

fn unique(mut places: Vec<usize>) -> Vec<usize> {
    places.sort_unstable();
    places.dedup();
    places
}

/// The largest part of `set` so that each transition that has a place of it among `triggers` has
/// one among `demands` too.
fn shrink(triggers: &[Vec<usize>], demands: &[Vec<usize>], mut set: Vec<bool>) -> Vec<bool> {
    let mut held: Vec<usize> =
        demands.iter().map(|demand| demand.iter().filter(|place| set[**place]).count()).collect();
    let mut demanding = vec![Vec::new(); set.len()];
    for (transition, demand) in demands.iter().enumerate() {
        demand.iter().for_each(|place| demanding[*place].push(transition));
    }
    let mut unmet: Vec<usize> = (0..held.len()).filter(|t| held[*t] == 0).collect();
    while let Some(transition) = unmet.pop() {
        for &place in &triggers[transition] {
            if !std::mem::replace(&mut set[place], false) {
                continue;
            }
            for &other in &demanding[place] {
                held[other] -= 1;
                if held[other] == 0 {
                    unmet.push(other);
                }
            }
        }
    }
    set
}

fn indexes(set: &[bool]) -> Vec<usize> {
    (0..set.len()).filter(|place| set[*place]).collect()
}

impl PlaceSets {
    /// The sets of a net.
    pub fn of(net: &Net) -> Self {
        let each = |of: fn(&Transition) -> Vec<usize>| net.transitions.iter().map(of).collect();
        Self {
            places: net.places.len(),
            needs: each(|t| inputs(t, &[ArcKind::Consume, ArcKind::Read])),
            takes: each(|t| inputs(t, &[ArcKind::Consume, ArcKind::Read, ArcKind::Reset])),
            gives: each(|t| {
                let read = inputs(t, &[ArcKind::Read]).into_iter();
                let left = read.filter(|place| !t.arcs.resets(*place));
                unique(left.chain(t.arcs.outputs.iter().map(|(place, _)| *place)).collect())
            }),
        }
    }

    fn set(&self, places: &[usize]) -> Vec<bool> {
        let mut set = vec![false; self.places];
        places.iter().for_each(|place| set[*place] = true);
        set
    }

    fn siphon_in(&self, set: Vec<bool>) -> Vec<bool> {
        shrink(&self.gives, &self.needs, set)
    }

    /// The largest trap within some places; empty if there's none but the empty one.
    pub fn largest_trap(&self, within: &[usize]) -> Vec<usize> {
        indexes(&shrink(&self.takes, &self.gives, self.set(within)))
    }

    /// The largest siphon without a token in a marking: none of its places will ever have one.
    pub fn unmarked_siphon(&self, marking: &[u64]) -> Vec<usize> {
        indexes(&self.siphon_in(marking.iter().map(|tokens| *tokens == 0).collect()))
    }

    /// The minimal siphons, after at most `limit` searches for one. There can be exponentially
    /// many.
    ///
    /// One is found; any other lacks a place of it. So the first of these is left out, then the
    /// second while the first must be there, and so on: no siphon is found twice (Cordone,
    /// Ferrarini and Piroddi 2005).
    pub fn minimal_siphons(&self, limit: usize) -> Minimal {
        let mut sets = Vec::new();
        let mut open = vec![(vec![true; self.places], vec![false; self.places])];
        let mut searches = 0;
        while let Some((within, required)) = open.pop() {
            let within = self.siphon_in(within);
            if !includes(&within, &required) || !within.contains(&true) {
                continue;
            }
            if searches == limit {
                return Minimal { sets, complete: false };
            }
            searches += 1;
            let siphon = self.least(within.clone(), &required);
            let empty = vec![false; self.places];
            if self.least(siphon.clone(), &empty) == siphon {
                sets.push(indexes(&siphon));
            }
            // What has a whole siphon in it can't be part of another minimal one.
            if self.siphon_in(required.clone()).contains(&true) {
                continue;
            }
            let mut required = required;
            for place in indexes(&siphon) {
                if !required[place] {
                    let mut rest = within.clone();
                    rest[place] = false;
                    open.push((rest, required.clone()));
                    required[place] = true;
                }
            }
        }
        sets.sort();
        Minimal { sets, complete: true }
    }

    /// The minimal traps, after at most `limit` searches for one.
    pub fn minimal_traps(&self, limit: usize) -> Minimal {
        // What takes as others give, and gives as they take, has the traps of these as siphons.
        let turned = Self {
            places: self.places,
            needs: self.gives.clone(),
            takes: Vec::new(),
            gives: self.takes.clone(),
        };
        turned.minimal_siphons(limit)
    }

    /// A siphon within another, with all that is required, of which nothing more can be left out.
    fn least(&self, mut siphon: Vec<bool>, required: &[bool]) -> Vec<bool> {
        for place in 0..self.places {
            if siphon[place] && !required[place] {
                let mut rest = siphon.clone();
                rest[place] = false;
                let rest = self.siphon_in(rest);
                if rest.contains(&true) && includes(&rest, required) {
                    siphon = rest;
                }
            }
        }
        siphon
    }

    /// Tests that every siphon contains a trap marked in `marking`, by its minimal siphons.
    pub fn commoner(&self, marking: &[u64], minimal: &Minimal) -> Commoner {
        for siphon in &minimal.sets {
            let trap = self.largest_trap(siphon);
            if trap.iter().all(|place| marking[*place] == 0) {
                return Commoner::Fails { siphon: siphon.clone(), trap };
            }
        }
        if minimal.complete { Commoner::Holds } else { Commoner::Unknown }
    }
}

fn includes(set: &[bool], part: &[bool]) -> bool {
    set.iter().zip(part).all(|(in_set, in_part)| *in_set || !*in_part)
}
