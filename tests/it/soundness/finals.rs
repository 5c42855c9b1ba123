//! Nets whose cases are to end in markings that somebody has named, in any places.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use proptest::{collection::vec, prelude::*};
use stormpetrel::{
    analysis::{Finding, Limits, Method, Verdict},
    models::{
        ArcKind,
        petri::{Arcs, Input, Marking, Net, Place, Transition},
    },
    petrel::check_within,
};

use super::BUDGET;

/// More markings than these are not looked at.
const MOST: usize = 400;

fn limits() -> Limits {
    Limits { states: 2_000, ..Limits::default() }
}

fn net(places: usize, transitions: &[(&[usize], &[usize])]) -> Net {
    let place =
        |at: usize| Place { id: format!("p{at}"), tokens: u64::from(at == 0), ..Place::default() };
    let input = |place: &usize| Input { place: *place, weight: 1, kind: ArcKind::Consume };
    let transition = |(at, (inputs, outputs)): (usize, &(&[usize], &[usize]))| Transition {
        id: format!("t{at}"),
        arcs: Arcs {
            inputs: inputs.iter().map(input).collect(),
            outputs: outputs.iter().map(|place| (*place, 1)).collect(),
        },
        ..Transition::default()
    };
    Net {
        name: String::new(),
        places: (0..places).map(place).collect(),
        transitions: transitions.iter().enumerate().map(transition).collect(),
    }
}

#[test]
fn a_final_marking_in_the_middle_is_where_a_case_is_to_come() {
    let net = net(3, &[(&[0], &[1]), (&[1], &[2]), (&[2], &[1])]);
    let judged = |finals: &[Marking]| check_within(&net, &net.sinks(), finals, &limits(), BUDGET);
    let report = judged(&[vec![0, 1, 0]]);
    assert_eq!((report.verdict, report.decided_by), (Verdict::Sound, Method::StateSpace));
    assert!(report.notes[0].contains("a token in p1"), "{:?}", report.notes);
    assert!(report.notes[1].contains("does not complete"), "{:?}", report.notes);
    let never = judged(&[vec![1, 1, 0]]);
    assert!(matches!(&never.findings[..], [Finding::NoWayToEnd { .. }]), "{:?}", never.findings);
    assert_eq!(judged(&[]).verdict, Verdict::Unsound, "nothing is where cases end");
}

#[test]
fn more_than_a_final_marking_is_left_over_and_growth_is_unsound() {
    let more = net(3, &[(&[0], &[1, 2])]);
    let report = check_within(&more, &more.sinks(), &[vec![0, 1, 0]], &limits(), BUDGET);
    assert!(matches!(report.findings[..], [Finding::LeftOver { .. }]), "{:?}", report.findings);
    let grows = net(3, &[(&[0], &[0, 1]), (&[0], &[2])]);
    let report = check_within(&grows, &grows.sinks(), &[vec![0, 0, 1]], &limits(), BUDGET);
    assert_eq!(report.verdict, Verdict::Unsound);
    // What is to end with nothing may take all that grew.
    let ends_empty = net(2, &[(&[0], &[0, 1]), (&[0], &[]), (&[1], &[])]);
    let report = check_within(&ends_empty, &ends_empty.sinks(), &[vec![0, 0]], &limits(), BUDGET);
    assert_eq!(report.verdict, Verdict::Unknown, "{:?}", report.findings);
}

#[test]
fn a_token_in_the_only_end_is_what_goes_without_saying() {
    let net = net(2, &[(&[0], &[1])]);
    let report = check_within(&net, &net.sinks(), &[vec![0, 1]], &limits(), BUDGET);
    assert_eq!((report.verdict, report.decided_by), (Verdict::Sound, Method::RankTheorem));
    assert!(report.notes.is_empty(), "{:?}", report.notes);
}

/// Soundness marking by marking; `None`: there are too many.
fn truth(net: &Net, ends: &[usize], finals: &[Marking]) -> Option<bool> {
    let mut successors: BTreeMap<Marking, Vec<Marking>> = BTreeMap::new();
    let (mut fired, mut todo) = (BTreeSet::new(), VecDeque::from([net.initial()]));
    while let Some(marking) = todo.pop_front() {
        if successors.contains_key(&marking) {
            continue;
        }
        let elsewhere = (0..marking.len()).any(|at| marking[at] > 0 && !ends.contains(&at));
        let mut next = Vec::new();
        for transition in (0..net.transitions.len()).filter(|_| elsewhere) {
            let mut after = marking.clone();
            if net.fire(transition, &mut after).is_ok() {
                fired.insert(transition);
                next.push(after);
            }
        }
        todo.extend(next.iter().cloned());
        successors.insert(marking, next);
        if successors.len() > MOST {
            return None;
        }
    }
    let mut good: BTreeSet<&Marking> = successors.keys().filter(|of| finals.contains(of)).collect();
    loop {
        let leads = |next: &Vec<Marking>| next.iter().any(|of| good.contains(of));
        let more: Vec<_> = successors
            .iter()
            .filter(|(of, next)| !good.contains(of) && leads(next))
            .map(|of| of.0)
            .collect();
        if more.is_empty() {
            break;
        }
        good.extend(more);
    }
    let is_beyond = |marking: &Marking, end: &Marking| {
        end.iter().any(|held| *held > 0) && marking.iter().zip(end).all(|(a, b)| a >= b)
    };
    let left = |marking: &&Marking| {
        !finals.contains(marking) && finals.iter().any(|end| is_beyond(marking, end))
    };
    let clean = successors.keys().find(left).is_none();
    Some(good.len() == successors.len() && clean && fired.len() == net.transitions.len())
}

fn nets() -> impl Strategy<Value = (Net, Vec<Marking>)> {
    let kind = prop_oneof![
        9 => Just(ArcKind::Consume),
        1 => Just(ArcKind::Read),
        1 => Just(ArcKind::Inhibitor),
        1 => Just(ArcKind::Reset),
    ];
    let input = (0..4_usize, 1..3_u64, kind).prop_map(|(place, weight, kind)| Input {
        place,
        weight,
        kind,
    });
    let transition = (vec(input, 1..3), vec((0..4_usize, 1..2_u64), 0..3));
    let finals = vec(vec(prop_oneof![4 => Just(0_u64), 2 => Just(1), 1 => Just(2)], 4), 1..3);
    (vec(transition, 1..4), finals).prop_map(|(transitions, finals)| {
        let mut made = net(4, &[]);
        let transition = |(at, (inputs, outputs))| Transition {
            id: format!("t{at}"),
            arcs: Arcs { inputs, outputs },
            ..Transition::default()
        };
        made.transitions = transitions.into_iter().enumerate().map(transition).collect();
        (made, finals)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn the_verdict_for_named_final_markings_is_the_textbooks((net, finals) in nets()) {
        let ends = net.sinks();
        let usual = matches!((&ends[..], &finals[..]), ([end], [of])
            if of.iter().enumerate().all(|(at, held)| *held == u64::from(at == *end)));
        let report = check_within(&net, &ends, &finals, &limits(), BUDGET);
        if let (Some(sound), false) = (truth(&net, &ends, &finals), usual) {
            let verdict = if sound { Verdict::Sound } else { Verdict::Unsound };
            prop_assert_eq!(report.verdict, verdict, "{:?} {:?}", report, finals);
        } else if !usual {
            prop_assert!(report.verdict != Verdict::Sound || report.net.states > Some(MOST as u64));
        }
    }
}
