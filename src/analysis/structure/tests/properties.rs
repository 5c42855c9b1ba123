//! Laws of every net.

use num_bigint::BigInt;
use num_integer::Integer;
use num_traits::{One, Signed};
use proptest::{collection::vec, prelude::*};

use super::fixture::any_net;
use crate::{
    analysis::structure::{
        Cover, Incidence, Invariant, PlaceSets, bounding_weights, place_cover, place_invariants,
        rank, transition_cover, transition_invariants,
    },
    models::petri::{Marking, Net},
};

/// The markings of a random run, with at most a hundred tokens in a place.
fn walk(net: &Net, picks: &[usize]) -> Vec<Marking> {
    let mut markings = vec![net.initial()];
    for pick in picks {
        let mut marking = markings[markings.len() - 1].clone();
        if net.fire(pick % net.transitions.len(), &mut marking).is_ok()
            && marking.iter().all(|tokens| *tokens < 100)
        {
            markings.push(marking);
        }
    }
    markings
}

fn picks() -> impl Strategy<Value = Vec<usize>> {
    vec(any::<usize>(), 1..60)
}

fn product(vector: &[(usize, i128)], weights: &Invariant) -> BigInt {
    let weight = |at| weights.weights.iter().find(|(with, _)| *with == at).map(|(_, w)| w);
    vector.iter().filter_map(|(at, n)| weight(*at).map(|weight| weight * n)).sum()
}

fn is_primitive(invariant: &Invariant) -> bool {
    let divisor = invariant.weights.iter().fold(BigInt::ZERO, |d, (_, n)| d.gcd(n));
    divisor.is_one() && invariant.weights[0].1.is_positive()
}

fn whole(cover: &Cover) -> Invariant {
    Invariant { weights: cover.weights.iter().cloned().enumerate().collect() }
}

/// True for the unknowns that a solution has above 0, by Farkas' algorithm: one equation after the
/// other, each solution that misses it on one side is added to each on the other side.
fn supported(equations: &[Vec<(usize, i128)>], unknowns: usize) -> Option<Vec<bool>> {
    let one = |at| (0..unknowns).map(|other| i128::from(at == other)).collect::<Vec<_>>();
    let mut solutions: Vec<Vec<i128>> = (0..unknowns).map(one).collect();
    for equation in equations {
        let miss = |s: &Vec<i128>| equation.iter().map(|(at, n)| s[*at] * n).sum::<i128>();
        let (mut kept, mut more, mut less) = (Vec::new(), Vec::new(), Vec::new());
        for solution in solutions {
            match miss(&solution) {
                0 => kept.push(solution),
                m if m > 0 => more.push((m, solution)),
                m => less.push((-m, solution)),
            }
        }
        for (much, a) in &more {
            for (little, b) in &less {
                let mut sum: Vec<_> = a.iter().zip(b).map(|(x, y)| x * little + y * much).collect();
                let divisor = sum.iter().fold(0, |d: i128, n| d.gcd(n));
                sum.iter_mut().for_each(|n| *n /= divisor);
                kept.push(sum);
            }
        }
        if kept.len() > 2_000 {
            return None;
        }
        kept.sort();
        kept.dedup();
        solutions = kept;
    }
    Some((0..unknowns).map(|at| solutions.iter().any(|s| s[at] > 0)).collect())
}

/// The largest siphon within some places, if all others are marked.
fn largest_siphon(sets: &PlaceSets, net: &Net, within: &[usize]) -> Vec<usize> {
    let marking: Vec<_> =
        (0..net.places.len()).map(|at| u64::from(!within.contains(&at))).collect();
    sets.unmarked_siphon(&marking)
}

fn reaches(cover: &Cover) -> Vec<bool> {
    cover.weights.iter().map(|weight| weight.is_positive()).collect()
}

proptest! {
    #[test]
    fn a_basis_has_invariants_only_and_as_many_as_the_rank_leaves(net in any_net(false)) {
        let incidence = Incidence::of(&net);
        let (places, transitions) = (place_invariants(&net).unwrap(), transition_invariants(&net).unwrap());
        prop_assert_eq!(places.len(), net.places.len() - rank(&net).unwrap());
        prop_assert_eq!(transitions.len(), net.transitions.len() - rank(&net).unwrap());
        for invariant in &places {
            prop_assert!(is_primitive(invariant), "{:?}", invariant);
            prop_assert!(incidence.columns.iter().all(|c| product(c, invariant) == BigInt::ZERO));
        }
        for invariant in &transitions {
            prop_assert!(is_primitive(invariant), "{:?}", invariant);
            prop_assert!(incidence.rows().iter().all(|r| product(r, invariant) == BigInt::ZERO));
        }
    }

    #[test]
    fn no_firing_changes_the_sum_of_a_place_invariant(net in any_net(true), picks in picks()) {
        let cover = whole(&place_cover(&net).unwrap());
        let markings = walk(&net, &picks);
        for invariant in place_invariants(&net).unwrap().iter().chain([&cover]) {
            for marking in &markings {
                prop_assert_eq!(invariant.sum(marking), invariant.sum(&markings[0]));
            }
        }
    }

    #[test]
    fn no_firing_raises_the_sum_of_bounding_weights(net in any_net(true), picks in picks()) {
        let weights = whole(&bounding_weights(&net).unwrap());
        for two in walk(&net, &picks).windows(2) {
            prop_assert!(weights.sum(&two[1]) <= weights.sum(&two[0]));
        }
    }

    #[test]
    fn firing_as_often_as_a_transition_cover_says_leads_back(mut net in any_net(false)) {
        let cover = transition_cover(&net).unwrap().small();
        prop_assume!(cover.as_ref().is_some_and(|c| c.iter().all(|count| *count < 10_000)));
        net.places.iter_mut().for_each(|place| place.tokens = 1_000_000);
        let mut marking = net.initial();
        for (transition, count) in cover.into_iter().flatten().enumerate() {
            for _ in 0..count {
                prop_assert!(net.fire(transition, &mut marking).is_ok());
            }
        }
        prop_assert_eq!(marking, net.initial());
    }

    #[test]
    fn what_happens_between_two_equal_markings_is_a_transition_invariant(
        net in any_net(true),
        picks in picks(),
    ) {
        let incidence = Incidence::of(&net);
        let basis = transition_invariants(&net).unwrap();
        let (mut marking, mut counts) = (net.initial(), vec![0u64; net.transitions.len()]);
        for pick in picks {
            let transition = pick % net.transitions.len();
            let resets = |t: usize| (0..net.places.len()).any(|p| net.transitions[t].arcs.resets(p));
            if !resets(transition) && net.fire(transition, &mut marking).is_ok() {
                counts[transition] += 1;
            }
            if marking == net.initial() {
                let weights = counts.iter().map(|n| BigInt::from(*n)).enumerate().collect();
                let counted = Invariant { weights };
                prop_assert!(incidence.rows().iter().all(|r| product(r, &counted) == BigInt::ZERO));
                prop_assert!(counts.iter().all(|n| *n == 0) || !basis.is_empty());
            }
        }
    }

    #[test]
    fn covers_are_above_0_wherever_any_is(net in any_net(false)) {
        let incidence = Incidence::of(&net);
        if let Some(expected) = supported(&incidence.columns, net.places.len()) {
            prop_assert_eq!(reaches(&place_cover(&net).unwrap()), expected);
        }
        if let Some(expected) = supported(&incidence.rows(), net.transitions.len()) {
            prop_assert_eq!(reaches(&transition_cover(&net).unwrap()), expected);
        }
        let mut slack = incidence.columns.clone();
        let places = net.places.len();
        slack.iter_mut().enumerate().for_each(|(at, row)| row.push((places + at, 1)));
        if let Some(expected) = supported(&slack, places + slack.len()) {
            prop_assert_eq!(reaches(&bounding_weights(&net).unwrap()), &expected[..places]);
        }
    }

    #[test]
    fn an_empty_siphon_stays_empty_and_a_marked_trap_marked(
        net in any_net(true),
        within in vec(any::<bool>(), 6),
        picks in picks(),
    ) {
        let sets = PlaceSets::of(&net);
        let within: Vec<_> = (0..net.places.len()).filter(|place| within[*place]).collect();
        let trap = sets.largest_trap(&within);
        let traps = sets.minimal_traps(1_000).sets;
        let mut siphons = sets.minimal_siphons(1_000).sets;
        siphons.push(largest_siphon(&sets, &net, &within));
        let tokens = |marking: &Marking, set: &[usize]| set.iter().any(|p| marking[*p] > 0);
        for two in walk(&net, &picks).windows(2) {
            for trap in traps.iter().chain([&trap]) {
                prop_assert!(!tokens(&two[0], trap) || tokens(&two[1], trap));
            }
            for siphon in siphons.iter().chain([&sets.unmarked_siphon(&two[0])]) {
                prop_assert!(tokens(&two[0], siphon) || !tokens(&two[1], siphon));
            }
        }
    }

    #[test]
    fn siphons_and_traps_are_those_that_trying_every_set_finds(net in any_net(false)) {
        let sets = PlaceSets::of(&net);
        let places = net.places.len();
        let members = |set: usize| (0..places).filter(|p| set >> p & 1 == 1).collect::<Vec<_>>();
        let touches = |set: &[usize], arcs: &[usize]| arcs.iter().any(|p| set.contains(p));
        let side = |t: usize, input: bool| -> Vec<usize> {
            let arcs = &net.transitions[t].arcs;
            if input { arcs.inputs.iter().map(|a| a.place).collect() }
            else { arcs.outputs.iter().map(|(place, _)| *place).collect() }
        };
        let closed = |set: &[usize], from: bool| (0..net.transitions.len())
            .all(|t| !touches(set, &side(t, from)) || touches(set, &side(t, !from)));
        let union = |all: Vec<Vec<usize>>| {
            let mut union = all.concat();
            union.sort_unstable();
            union.dedup();
            union
        };
        let (mut minimal, mut least_traps) = (Vec::<Vec<usize>>::new(), Vec::<Vec<usize>>::new());
        for set in 1usize..1 << places {
            let parts = (1..=set).filter(|part| part & set == *part).map(members);
            let (mut siphons, mut traps) = (Vec::new(), Vec::new());
            for part in parts {
                if closed(&part, false) { siphons.push(part.clone()) }
                if closed(&part, true) { traps.push(part) }
            }
            if siphons == [members(set)] { minimal.push(members(set)) }
            if traps == [members(set)] { least_traps.push(members(set)) }
            prop_assert_eq!(largest_siphon(&sets, &net, &members(set)), union(siphons));
            prop_assert_eq!(sets.largest_trap(&members(set)), union(traps));
        }
        for (mut least, found) in [
            (minimal, sets.minimal_siphons(10_000)),
            (least_traps, sets.minimal_traps(10_000)),
        ] {
            least.sort();
            prop_assert!(found.complete);
            prop_assert_eq!(found.sets, least);
        }
    }
}
