//! Invariants of nets where they are known.

use num_bigint::BigInt;

use super::fixture::net;
use crate::{
    analysis::structure::{
        bounding_weights, place_cover, place_invariants, rank, transition_cover,
        transition_invariants,
    },
    models::petri::{Arcs, Input, Net, Transition},
};

#[test]
fn a_weighted_net_is_covered_by_weights_in_proportion() {
    // Six pieces make two boxes, and a box is two thirds of a pallet.
    let net = net(&["pack: piece*3 -> box", "load: box*3 -> pallet*2"]);
    assert_eq!(place_cover(&net).unwrap().small(), Some(vec![2, 6, 9]));
    assert_eq!(rank(&net).unwrap(), 2);
    assert_eq!(transition_cover(&net).unwrap().missing(), [0, 1]);
    assert!(transition_invariants(&net).unwrap().is_empty());
}

#[test]
fn what_piles_up_is_in_no_cover() {
    let net = net(&["turn: a -> b log", "back: b -> a"]);
    let cover = place_cover(&net).unwrap();
    assert_eq!((cover.missing(), cover.is_complete()), (vec![2], false));
    assert_eq!(bounding_weights(&net).unwrap().missing(), [2]);
    assert_eq!(transition_cover(&net).unwrap().missing(), [0, 1]);
}

#[test]
fn what_only_gets_lost_is_bounded_without_being_kept() {
    let net = net(&["turn: a -> b", "back: b -> a", "lose: b ->"]);
    assert_eq!(place_cover(&net).unwrap().missing(), [0, 1]);
    assert!(bounding_weights(&net).unwrap().is_complete());
    assert_eq!(transition_cover(&net).unwrap().small(), Some(vec![1, 1, 0]));
}

#[test]
fn a_place_that_is_emptied_is_in_no_invariant_but_can_be_bounded() {
    let net = net(&["a: p -> q", "b: q -> p", "clear: p ~r -> p", "c: r -> s", "d: s -> r"]);
    assert_eq!(place_cover(&net).unwrap().missing(), [2, 3]);
    assert!(bounding_weights(&net).unwrap().is_complete());
    assert_eq!(place_invariants(&net).unwrap().len(), 1);
    assert_eq!(transition_cover(&net).unwrap().small(), Some(vec![1, 1, 0, 1, 1]));
    let read = super::fixture::net(&["a: p ?q -> r", "b: r -> p"]);
    assert!(place_cover(&read).unwrap().is_complete());
}

/// A chain in which every step multiplies by a fraction of large numbers.
#[test]
fn weights_that_64_bits_do_not_hold_are_exact() {
    let steps: Vec<_> = (0..5u32)
        .map(|at| format!("t{at}: p{at}*{} -> p{}*{}", u64::MAX, at + 1, u64::MAX - 1))
        .collect();
    let net = net(&steps.iter().map(String::as_str).collect::<Vec<_>>());
    let cover = place_cover(&net).unwrap();
    assert!(cover.is_complete());
    assert_eq!(cover.small(), None);
    assert_eq!(cover.weights[5], BigInt::from(u64::MAX).pow(5));
    assert_eq!(place_invariants(&net).unwrap()[0].weights[5].1, BigInt::from(u64::MAX).pow(5));
}

/// Each equation has two terms of either sign and numbers near 2^64, so that nothing is taken
/// out beforehand and 128 bits don't do.
#[test]
fn a_cover_is_found_where_128_bits_do_not_do() {
    let large = u64::MAX - 58;
    let transitions = (0..6usize).map(|at| {
        let input = |place, weight| Input { place, weight, kind: crate::models::ArcKind::Consume };
        let inputs = vec![input(at, large - at as u64), input(at + 1, 3)];
        let outputs = vec![(at + 2, large - 7), (at + 3, 5 + at as u64)];
        let arcs = Arcs { inputs, outputs };
        Transition { id: format!("t{at}"), arcs, ..Transition::default() }
    });
    let mut net = Net { transitions: transitions.collect(), ..Net::default() };
    net.places.resize_with(9, Default::default);
    let cover = place_cover(&net).unwrap();
    assert!(cover.is_complete() && cover.small().is_none());
    for transition in &net.transitions {
        let weight = |place: usize, n: u64| &cover.weights[place] * n;
        let taken: BigInt =
            transition.arcs.inputs.iter().map(|arc| weight(arc.place, arc.weight)).sum();
        let given: BigInt = transition.arcs.outputs.iter().map(|(p, n)| weight(*p, *n)).sum();
        assert_eq!(taken, given);
    }
}
