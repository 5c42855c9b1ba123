use std::ops::ControlFlow;

use proptest::prelude::*;

use super::*;
use crate::models::{
    ArcKind,
    petri::{Arcs, Input, Net, Place, Transition},
};

/// A net of places `0..tokens.len()` and transitions from places to places.
fn net(tokens: &[u64], transitions: &[(&[usize], &[usize])]) -> Net {
    let place = |(at, tokens): (usize, &u64)| Place {
        id: format!("p{at}"),
        tokens: *tokens,
        ..Place::default()
    };
    let transition = |(at, (from, to)): (usize, &(&[usize], &[usize]))| {
        let input = |place: &usize| Input { place: *place, weight: 1, kind: ArcKind::Consume };
        let inputs = from.iter().map(input).collect();
        let outputs = to.iter().map(|place| (*place, 1)).collect();
        let arcs = Arcs { inputs, outputs };
        Transition { id: format!("t{at}"), arcs, ..Transition::default() }
    };
    Net {
        name: String::new(),
        places: tokens.iter().enumerate().map(place).collect(),
        transitions: transitions.iter().enumerate().map(transition).collect(),
    }
}

fn simulate(net: &Net, weights: &[u64], cases: u64, seed: u64) -> SimulationReport {
    let ends = net.sinks();
    let simulation =
        Simulation { net, ends: &ends, final_markings: &[], weights, cases, seed, max_steps: 1000 };
    simulation.run(|_| ControlFlow::Continue(()))
}

/// A choice of `t0` or `t1`. After `t0`, `t2` completes; after `t1` only a join could go on,
/// which waits for both.
fn choice_and_join() -> Net {
    net(&[1, 0, 0, 0], &[(&[0], &[1]), (&[0], &[2]), (&[1], &[3]), (&[2, 1], &[3])])
}

#[test]
fn choices_are_as_frequent_as_their_weights() {
    let net = net(&[1, 0], &[(&[0], &[1]), (&[0], &[1]), (&[0], &[1])]);
    let report = simulate(&net, &[1, 3, 0], 40_000, 7);
    assert_eq!((report.completed, report.steps, report.variants), (40_000, 40_000, 2));
    assert_eq!(report.firings[2], 0);
    // Nine standard deviations around 10,000.
    assert!((9_200..10_800).contains(&report.firings[0]), "{:?}", report.firings);
    assert_eq!(report.most_frequent[0].firings, [1]);
    assert_eq!(report.most_frequent[0].cases, report.firings[1]);
}

#[test]
fn a_dead_end_comes_with_firings_that_lead_to_it() {
    let net = choice_and_join();
    let report = simulate(&net, &[1; 4], 1000, 1);
    assert_eq!(report.completed + report.dead_ends, 1000);
    let example = report.dead_end.unwrap();
    assert_eq!(example.firings, [1]);
    let mut marking = net.initial();
    for transition in example.firings {
        net.fire(transition, &mut marking).unwrap();
    }
    assert_eq!(marking, example.marking);
    assert!((0..4).all(|transition| !net.is_enabled(transition, &mut marking)));
    assert_eq!(report.firings[3], 0, "the join never fires");
}

#[test]
fn a_case_that_does_not_end_is_given_up() {
    let net = net(&[1, 0], &[(&[0], &[1]), (&[1], &[0])]);
    let report = simulate(&net, &[1, 1], 3, 1);
    assert_eq!((report.step_limit, report.steps), (3, 3000));
}

#[test]
fn declared_final_markings_say_where_a_case_ends() {
    let net = net(&[1, 0], &[(&[0], &[1]), (&[1], &[0])]);
    let simulation = Simulation {
        net: &net,
        ends: &[],
        final_markings: &[vec![0, 1]],
        weights: &[1, 1],
        cases: 2,
        seed: 1,
        max_steps: 10,
    };
    let report = simulation.run(|_| ControlFlow::Continue(()));
    assert_eq!((report.completed, report.steps), (2, 2));
}

#[test]
fn a_run_can_be_stopped_and_reports_what_was_played_out() {
    let net = choice_and_join();
    let simulation = Simulation {
        net: &net,
        ends: &[3],
        final_markings: &[],
        weights: &[1; 4],
        cases: u64::MAX,
        seed: 3,
        max_steps: 10,
    };
    let stop = |run: Run<'_>| match run.case {
        9 => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    };
    assert_eq!(simulation.run(stop).cases, 10);
}

#[test]
fn a_seed_means_the_same_runs_everywhere() {
    // The numbers are what this seed gave when it was first tried, and have to stay.
    let report = simulate(&choice_and_join(), &[1, 2, 1, 1], 1000, 42);
    assert_eq!((report.completed, report.dead_ends), (323, 677));
}

fn any_net() -> impl Strategy<Value = Net> {
    let arcs = || proptest::collection::vec(0_usize..5, 0..3);
    (proptest::collection::vec(0_u64..3, 5), proptest::collection::vec((arcs(), arcs()), 1..6))
        .prop_map(|(tokens, transitions)| {
            let transitions: Vec<(&[usize], &[usize])> =
                transitions.iter().map(|(from, to)| (&from[..], &to[..])).collect();
            net(&tokens, &transitions)
        })
}

proptest! {
    #[test]
    fn every_run_replays_and_the_same_seed_is_the_same_report(net in any_net(), seed: u64) {
        let (ends, weights) = (net.sinks(), vec![1; net.transitions.len()]);
        let simulation = Simulation {
            net: &net,
            ends: &ends,
            final_markings: &[],
            weights: &weights,
            cases: 20,
            seed,
            max_steps: 30,
        };
        let mut replayed = Ok(());
        let report = simulation.run(|run| {
            let mut marking = net.initial();
            for &transition in run.firings {
                if let Err(refused) = net.fire(transition, &mut marking) {
                    replayed = Err(TestCaseError::fail(format!("{transition}: {refused}")));
                }
            }
            let enabled = (0..weights.len()).any(|of| net.is_enabled(of, &mut marking.clone()));
            if marking != run.marking
                || (run.end == End::DeadEnd && enabled)
                || (run.end == End::StepLimit && run.firings.len() != 30)
            {
                replayed = Err(TestCaseError::fail(format!("{run:?}")));
            }
            ControlFlow::Continue(())
        });
        replayed?;
        prop_assert_eq!(report.firings.iter().sum::<u64>(), report.steps);
        let ends = report.completed + report.dead_ends + report.step_limit;
        prop_assert_eq!(ends, report.cases);
        let variants: u64 = report.most_frequent.iter().map(|variant| variant.cases).sum();
        prop_assert!(variants <= report.cases && report.variants <= report.cases);
        let again = simulation.run(|_| ControlFlow::Continue(()));
        prop_assert_eq!(report, again);
    }
}
