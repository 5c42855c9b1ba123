//! Proofs of unboundedness replay, and boundedness agrees with plain exploration.

use proptest::prelude::*;

use super::{Bounded, Boundedness, boundedness, is_bounded_by};
use crate::{
    analysis::state_space::{
        Limits, explore,
        tests::{naive, nets},
        unwatched,
    },
    models::petri::Net,
};

fn limits() -> Limits {
    Limits { states: 3_000, ..Limits::default() }
}

/// Fires the proof, its pump several times.
fn assert_pumps(net: &Net, places: &[usize], prefix: &[usize], pump: &[usize]) {
    assert!(!places.is_empty());
    let mut marking = net.initial();
    for transition in prefix {
        net.fire(*transition, &mut marking).unwrap();
    }
    for _ in 0..5 {
        let before = marking.clone();
        for transition in pump {
            net.fire(*transition, &mut marking).unwrap();
        }
        for place in places {
            assert!(marking[*place] > before[*place], "place {place}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_pump_pumps_and_what_is_bounded_has_an_end(net in nets(0..=3u64)) {
        match (boundedness(&net, None, &limits(), unwatched), naive(&net)) {
            (Boundedness::Unbounded(proof), naive) => {
                prop_assert!(naive.is_err());
                assert_pumps(&net, &proof.places, &proof.prefix, &proof.pump);
            }
            (Boundedness::Bounded(Bounded::States(space)), naive) => {
                prop_assert!(naive.is_err() || naive.is_ok_and(|(all, _)| all.len() == space.states()));
            }
            (other, naive) => prop_assert!(naive.is_err(), "{other:?}"),
        }
    }

    #[test]
    fn weights_that_are_accepted_bound_the_weighted_sum(
        net in nets(0..=3u64),
        weights in prop::collection::vec(1..=3u64, 50),
    ) {
        let weights = &weights[..net.places.len()];
        if is_bounded_by(&net, weights) {
            let space = explore(&net, &limits(), unwatched);
            let sum = |marking: &[u64]| marking.iter().zip(weights).map(|(a, b)| a * b).sum::<u64>();
            let most = sum(&net.initial());
            if let Ok(space) = space {
                prop_assert!((0..space.states()).all(|state| sum(&space.marking(state)) <= most));
            }
            prop_assert!(matches!(
                boundedness(&net, Some(weights), &limits(), unwatched),
                Boundedness::Bounded(Bounded::Weights)
            ));
        }
    }
}
