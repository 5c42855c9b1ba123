//! Boundedness of a net: its places can hold only so many tokens.

use std::ops::ControlFlow;

use super::{pump::Pump, walk::pump_by_walking};
use crate::{
    analysis::state_space::{Limits, Progress, StateSpace, Stopped, Watch, explore_partly},
    models::{ArcKind, petri::Net},
};

/// States that are explored first, and that there must be before walks are made.
const FIRST: usize = 20_000;

/// Factor by which more is explored each time.
const GROWTH: usize = 10;

/// Comparisons of two states, at most, for each state of an exploration.
const COMPARISONS: usize = 200;

/// Firings that a search may replay in vain: markings that cover an earlier one and make no pump,
/// since a capacity or an inhibitor arc ends the growth, can be most of them.
const IN_VAIN: usize = 100_000;

/// Comparisons after which the watcher is asked.
const WATCHED_EVERY: usize = 4096;

/// The boundedness of a net, with its proof.
#[derive(Debug, Clone)]
pub enum Boundedness<'n> {
    /// No place ever holds more than some number of tokens.
    Bounded(Bounded<'n>),
    /// Some places can hold more than any number of tokens.
    Unbounded(Pump),
    /// It was not decided. These are the markings that were found until the exploration
    /// [stopped](StateSpace::stopped).
    Unknown(Box<StateSpace<'n>>),
}

/// A proof that a net is bounded.
#[derive(Debug, Clone)]
pub enum Bounded<'n> {
    /// Weights of the places, all positive, whose weighted sum of tokens no firing increases.
    Weights,
    /// These are all its markings.
    States(Box<StateSpace<'n>>),
}

/// Returns true if no firing increases the sum of all tokens, each counted with the weight of its
/// place, and all weights are positive. Such a net is bounded with any initial marking. A sum that
/// exact arithmetic in 128 bits can't do proves nothing.
pub fn is_bounded_by(net: &Net, weights: &[u64]) -> bool {
    let never_increases = |transition: &crate::models::petri::Transition| {
        let (arcs, mut sum) = (&transition.arcs, Some(0i128));
        let mut add = |place: usize, count: u64, sign: i128| {
            let change = i128::from(weights[place]).checked_mul(i128::from(count) * sign);
            sum = sum.zip(change).and_then(|(sum, change)| sum.checked_add(change));
        };
        for arc in arcs.inputs.iter().filter(|arc| arc.kind == ArcKind::Consume) {
            add(arc.place, arc.weight, -1);
        }
        for (place, count) in &arcs.outputs {
            add(*place, *count, 1);
        }
        sum.is_some_and(|sum| sum <= 0)
    };
    weights.len() == net.places.len()
        && weights.iter().all(|weight| *weight > 0)
        && net.transitions.iter().all(never_increases)
}

/// Decides the boundedness of a net.
///
/// `weights` is a proof of boundedness to be checked, if somebody has found one. Without it the
/// net is bounded if its exploration ends. It is unbounded if a marking covers one on the way to
/// it and the firings between can be repeated (Karp and Miller 1969), as looked for along the
/// paths of the exploration and in walks. Where neither is found within the limits the answer is
/// unknown. With inhibitor or reset arcs it may be so at any limit: no procedure decides those.
pub fn boundedness<'n>(
    net: &'n Net,
    weights: Option<&[u64]>,
    limits: &Limits,
    mut watch: impl FnMut(Progress) -> ControlFlow<()>,
) -> Boundedness<'n> {
    if weights.is_some_and(|weights| is_bounded_by(net, weights)) {
        return Boundedness::Bounded(Bounded::Weights);
    }
    let first = Limits { states: FIRST.min(limits.states), ..*limits };
    let space = explore_partly(net, &first, &mut watch);
    boundedness_after(space, limits, watch)
}

/// Decides as [`boundedness`] without weights, where the first markings have been found already.
pub fn boundedness_after<'n>(
    mut space: StateSpace<'n>,
    limits: &Limits,
    mut watch: impl FnMut(Progress) -> ControlFlow<()>,
) -> Boundedness<'n> {
    let mut walk = true;
    loop {
        let Some(stopped) = space.stopped() else {
            return Boundedness::Bounded(Bounded::States(Box::new(space)));
        };
        if let Some(pump) = look_for_pump(&space, walk, &mut watch) {
            return Boundedness::Unbounded(pump);
        }
        walk = walk && space.states() < FIRST;
        let states = space.states();
        if states >= limits.states || !matches!(stopped, Stopped::States { .. }) {
            return Boundedness::Unknown(Box::new(space));
        }
        let states = states.saturating_mul(GROWTH).min(limits.states);
        // The old one gives its memory back first.
        let net = space.net();
        drop(space);
        space = explore_partly(net, &Limits { states, ..*limits }, &mut watch);
    }
}

/// A proof that a net is unbounded, from its first markings if these are not all: along their
/// paths, and in walks where they are many.
pub fn pump_in(
    space: &StateSpace<'_>,
    mut watch: impl FnMut(Progress) -> ControlFlow<()>,
) -> Option<Pump> {
    space.stopped().and_then(|_| look_for_pump(space, true, &mut watch))
}

fn look_for_pump(space: &StateSpace<'_>, walk: bool, watch: &mut Watch<'_>) -> Option<Pump> {
    let mut goes_on = || {
        let (states, firings) = (space.states(), space.firings());
        watch(Progress { states, explored: states, firings }).is_continue()
    };
    pump_among(space, &mut goes_on).or_else(|| {
        let walk = walk && space.states() >= FIRST;
        walk.then(|| pump_by_walking(space.net(), &mut goes_on)).flatten()
    })
}

/// Compares states with those on the way to them: the first, which make short proofs, and then
/// the last, which have come the farthest. `goes_on` may end it.
fn pump_among(space: &StateSpace<'_>, goes_on: &mut impl FnMut() -> bool) -> Option<Pump> {
    let comparisons = space.states().saturating_mul(COMPARISONS / 2);
    pump_at(space, 0..space.states(), comparisons, goes_on)
        .or_else(|| pump_at(space, (0..space.states()).rev(), comparisons, goes_on))
}

fn pump_at(
    space: &StateSpace<'_>,
    states: impl Iterator<Item = usize>,
    mut comparisons: usize,
    goes_on: &mut impl FnMut() -> bool,
) -> Option<Pump> {
    let (mut ask_at, mut in_vain) = (comparisons, IN_VAIN);
    for state in states {
        let (mut at, mut length) = (state, 0);
        while let Some(ancestor) = space.parent(at) {
            comparisons = comparisons.checked_sub(1)?;
            length += 1;
            if space.covers(state, ancestor) {
                if let Some(pump) = pump_between(space, ancestor, state) {
                    return Some(pump);
                }
                in_vain = in_vain.checked_sub(length + depth(space, ancestor))?;
            }
            if comparisons < ask_at {
                if !goes_on() {
                    return None;
                }
                ask_at = comparisons.saturating_sub(WATCHED_EVERY);
            }
            at = ancestor;
        }
    }
    None
}

/// Number of firings that lead to a state.
fn depth(space: &StateSpace<'_>, state: usize) -> usize {
    std::iter::successors(space.parent(state), |state| space.parent(*state)).count()
}

fn pump_between(space: &StateSpace<'_>, ancestor: usize, state: usize) -> Option<Pump> {
    let prefix = space.path(ancestor);
    let pump = space.path(state).split_off(prefix.len());
    Pump::new(space.net(), prefix, pump)
}
