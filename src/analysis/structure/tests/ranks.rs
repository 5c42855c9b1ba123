//! The rank theorem beside soundness by its definition.

use std::cell::Cell;

use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};

use super::fixture::{Explored, explore, free_choice_net, net};
use crate::{
    analysis::structure::{
        Class, Flaw, Inapplicable, RankVerdict, WorkflowNet, join_ends, rank_theorem,
    },
    models::petri::{Marking, Net},
};

fn verdict(net: &Net) -> RankVerdict {
    rank_theorem(net, WorkflowNet::of(net).unwrap())
}

fn flaws(net: &Net) -> String {
    match verdict(net) {
        RankVerdict::NotSound(flaws) => {
            flaws.iter().map(Flaw::to_string).collect::<Vec<_>>().join("; ")
        }
        other => panic!("{other:?}"),
    }
}

/// Soundness by definition: from every reachable marking the end can be reached, nothing else is
/// left then, and every transition can fire. `None` if there are too many markings.
fn sound(net: &Net, sink: usize) -> Option<bool> {
    let reachable = match explore(net) {
        Explored::Finite(reachable) => reachable,
        Explored::Unbounded => return Some(false),
        Explored::TooMany => return None,
    };
    let alone = |marking: &Marking| marking[sink] == 1 && marking.iter().sum::<u64>() == 1;
    let proper = reachable.markings.iter().all(|marking| marking[sink] == 0 || alone(marking));
    Some(proper && reachable.all_fire(net) && reachable.always_leads_to(alone))
}

#[test]
fn choice_and_concurrency_that_match_are_sound() {
    assert_eq!(verdict(&net(&["a: i -> p", "b: i -> p", "c: p -> o"])), RankVerdict::Sound);
    let parallel = net(&["split: i -> p q", "a: p -> r", "b: q -> s", "join: r s -> o"]);
    assert_eq!(verdict(&parallel), RankVerdict::Sound);
}

#[test]
fn an_unsound_net_gets_its_reasons_with_ids() {
    let both = flaws(&net(&["a: i -> p", "b: i -> q", "join: p q -> o"]));
    assert!(both.contains("no way through the net") && both.contains("a, b, join"), "{both}");
    let twice = flaws(&net(&["split: i -> p q", "a: p -> o", "b: q -> o"]));
    assert!(twice.contains("kept in balance at i, p, q, o"), "{twice}");
    // A loop that nothing ever enters feeds the join.
    let waiting = flaws(&net(&["a: i -> p", "b: p q -> r", "c: r -> q s", "d: s -> o"]));
    assert_eq!(waiting, "no token ever comes to q, r, s, o");
    let choices = net(&[
        "split: i -> p q",
        "a: p -> r",
        "b: p -> s",
        "c: q -> u",
        "d: q -> v",
        "e: r u -> o",
        "f: s v -> o",
    ]);
    let choices = flaws(&choices);
    assert_eq!(
        choices,
        "choices and joins don't match: the rank is 6 for 6 clusters and not one less"
    );
}

#[test]
fn where_the_theorem_says_nothing_it_is_not_asked() {
    for (transitions, reason) in [
        (["a: i -> p*2", "b: p*2 -> o"], Inapplicable::Weights),
        (["a: i -> p p", "b: p p -> o"], Inapplicable::Weights),
        (["a: i -> p", "b: p ~p -> o"], Inapplicable::Extended),
        (["a: i -> p", "b: p !i -> o"], Inapplicable::Extended),
    ] {
        assert_eq!(verdict(&net(&transitions)), RankVerdict::NotApplicable(vec![reason]));
    }
    let mut limited = net(&["a: i -> p", "b: p -> o"]);
    limited.places[1].capacity = Some(1);
    assert_eq!(verdict(&limited), RankVerdict::NotApplicable(vec![Inapplicable::Extended]));
    let shared = net(&["split: i -> p q", "a: p -> r", "b: p q -> o", "c: q r -> o"]);
    assert_eq!(verdict(&shared), RankVerdict::NotApplicable(vec![Inapplicable::NotFreeChoice]));
}

fn config(cases: u32) -> Config {
    Config { cases, failure_persistence: None, ..Config::default() }
}

/// Counts, so that a run in which one answer hardly occurs does not pass.
#[test]
fn the_rank_theorem_agrees_with_soundness_by_definition() {
    let counts = [Cell::new(0), Cell::new(0)];
    let mut runner = TestRunner::new(config(2_000));
    let checked = runner.run(&free_choice_net(), |net| {
        assert!(Class::of(&net).extended_free_choice, "{net:?}");
        let Ok(ends) = WorkflowNet::of(&net) else { return Ok(()) };
        let Some(expected) = sound(&net, ends.sink) else { return Ok(()) };
        let verdict = rank_theorem(&net, ends);
        prop_assert_eq!(verdict == RankVerdict::Sound, expected, "{:?}", verdict);
        prop_assert!(!matches!(verdict, RankVerdict::NotApplicable(_)), "{:?}", verdict);
        let count = &counts[usize::from(expected)];
        count.set(count.get() + 1);
        Ok(())
    });
    checked.unwrap();
    assert!(counts.iter().all(|count| count.get() > 100), "{counts:?}");
}

/// Returns true if a net with several sinks always ends: with each of them marked at most once,
/// and nothing anywhere else.
fn ends_well(net: &Net) -> Option<bool> {
    let reachable = match explore(net) {
        Explored::Finite(reachable) => reachable,
        Explored::Unbounded => return Some(false),
        Explored::TooMany => return None,
    };
    let taken = |place: usize| {
        net.transitions.iter().any(|t| t.arcs.inputs.iter().any(|arc| arc.place == place))
    };
    let sinks: Vec<_> = (0..net.places.len()).map(|place| !taken(place)).collect();
    let over = |marking: &Marking| marking.iter().zip(&sinks).all(|(n, sink)| *n == 0 || *sink);
    let once = |marking: &Marking| marking.iter().zip(&sinks).all(|(n, sink)| *n < 2 || !*sink);
    let well = reachable.markings.iter().all(once);
    Some(well && reachable.all_fire(net) && reachable.always_leads_to(over))
}

#[test]
fn joined_sinks_keep_whether_a_free_choice_net_ends_well() {
    let counts = [Cell::new(0), Cell::new(0)];
    let mut runner = TestRunner::new(config(4_000));
    let several = free_choice_net().prop_map(|mut net| {
        // Every second transition to the end gets an end of its own.
        for at in (0..net.transitions.len()).step_by(2) {
            let end = net.places.len();
            let outputs = &mut net.transitions[at].arcs.outputs;
            if outputs == &[(1, 1)] {
                outputs[0] = (end, 1);
                net.places.push(crate::models::petri::Place {
                    id: format!("end{at}"),
                    ..Default::default()
                });
            }
        }
        net
    });
    let checked = runner.run(&several, |net| {
        let joined = join_ends(&net, &net.sinks());
        let Ok(ends) = WorkflowNet::of(&joined) else { return Ok(()) };
        if joined == net {
            return Ok(());
        }
        let Some(expected) = ends_well(&net) else { return Ok(()) };
        let verdict = rank_theorem(&joined, ends);
        prop_assert_eq!(verdict == RankVerdict::Sound, expected, "{:?} {:?}", verdict, joined);
        let count = &counts[usize::from(expected)];
        count.set(count.get() + 1);
        Ok(())
    });
    checked.unwrap();
    assert!(counts.iter().all(|count| count.get() > 100), "{counts:?}");
}
