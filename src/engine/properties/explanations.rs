//! Explaining: the same answer as firing, and missing tokens that are enough.

use std::collections::BTreeMap;

use proptest::{collection::vec, prelude::*};

use super::fixture::{Run, Start, now, start};
use crate::{
    engine::{Blocker, Budget, Limits, ModeExplanation, available, explain},
    models::{CaseStatus, PlaceId},
};

fn picks() -> impl Strategy<Value = Vec<usize>> {
    vec(any::<usize>(), 1..30)
}

fn run(start: &Start, picks: &[usize]) -> Run {
    let mut run = Run::new(start);
    for pick in picks {
        if let Ok(record) = run.fire(pick % run.net.transitions.len(), &[]) {
            run.append(record);
        }
    }
    run
}

/// Number of tokens that each place lacks, as a mode says.
fn missing(mode: &ModeExplanation) -> BTreeMap<PlaceId, u64> {
    let mut missing = BTreeMap::new();
    for blocker in &mode.blockers {
        if let Blocker::TooFewTokens { place, needed, present, .. } = blocker {
            assert!(present < needed, "{blocker}");
            *missing.entry(place.clone()).or_default() += needed - present;
        }
    }
    missing
}

proptest! {
    #[test]
    fn explain_says_enabled_of_exactly_what_fires(start in start(), picks in picks()) {
        let run = run(&start, &picks);
        let explanation = explain(&run.net, &run.case, now(), Limits::NONE, &Budget::default());
        for (number, said) in explanation.transitions.iter().enumerate() {
            let fired = run.fire(number, &[]);
            prop_assert_eq!(said.enabled, fired.is_ok(), "{:?}", said);
            let modes = &run.net.transitions[number].modes;
            for (said, mode) in said.modes.iter().zip(modes) {
                prop_assert_eq!(said.enabled, run.can(mode), "{:?}", said);
                prop_assert_eq!(said.enabled, said.blockers.is_empty());
            }
            if let Ok(record) = fired {
                let first = said.modes.iter().find(|mode| mode.enabled).unwrap();
                let taken: Vec<_> = record.consumed.into_iter().map(|at| at.token).collect();
                prop_assert_eq!(&first.would_take, &taken);
                prop_assert!(explanation.summary.contains(said.transition.as_str()));
            }
        }
    }

    #[test]
    fn a_token_is_offered_the_transitions_that_would_take_it(start in start(), picks in picks()) {
        let run = run(&start, &picks);
        for entry in &run.case.marking.0 {
            let offered = available(&run.net, &run.case, &entry.token, now(), Limits::NONE, &Budget::default()).unwrap();
            for (number, transition) in run.net.transitions.iter().enumerate() {
                let fires = run.fire(number, std::slice::from_ref(&entry.token)).is_ok();
                prop_assert_eq!(offered.contains(&transition.id), fires);
            }
        }
    }

    #[test]
    fn the_missing_tokens_are_enough_and_one_fewer_is_not(start in start(), picks in picks()) {
        let base = run(&start, &picks);
        prop_assume!(base.case.status == CaseStatus::Running);
        let explanation = explain(&base.net, &base.case, now(), Limits::NONE, &Budget::default());
        for (number, said) in explanation.transitions.iter().enumerate() {
            for (which, mode) in said.modes.iter().enumerate() {
                let lacks = missing(mode);
                for spared in lacks.keys().map(Some).chain([None]) {
                    let mut filled = run(&start, &picks);
                    for (place, count) in &lacks {
                        let fewer = u64::from(spared == Some(place));
                        let place = filled.net.place(place).unwrap();
                        (0..count - fewer).for_each(|_| filled.add(place));
                    }
                    let now = explain(&filled.net, &filled.case, now(), Limits::NONE, &Budget::default());
                    let left: u64 = missing(&now.transitions[number].modes[which]).values().sum();
                    prop_assert_eq!(left, u64::from(spared.is_some()));
                }
            }
        }
    }
}
