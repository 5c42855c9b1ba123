//! State spaces and boundedness: nets whose numbers are known by construction, and others'
//! nets beside the known facts of them.

use std::ops::ControlFlow;

use serde_json::Value;
use stormpetrel::{
    analysis::{
        coverability::{Bounded, Boundedness, boundedness},
        state_space::{Limits, StateSpace, Stopped, explore, explore_partly, unwatched},
        structure::{Cover, bounding_weights},
    },
    models::{
        ArcKind,
        petri::{Arcs, Input, Marking, Net, Place, Refused, Transition},
    },
};

use crate::corpus;

/// A net of places with so many tokens, and of transitions that take and give one token at each
/// of the places named.
fn net(tokens: &[u64], transitions: &[(&[usize], &[usize])]) -> Net {
    let place = |tokens: &u64| Place { tokens: *tokens, ..Place::default() };
    let input = |place: &usize| Input { place: *place, weight: 1, kind: ArcKind::Consume };
    let transition = |(inputs, outputs): &(&[usize], &[usize])| Transition {
        arcs: Arcs {
            inputs: inputs.iter().map(input).collect(),
            outputs: outputs.iter().map(|place| (*place, 1)).collect(),
        },
        ..Transition::default()
    };
    Net {
        name: String::new(),
        places: tokens.iter().map(place).collect(),
        transitions: transitions.iter().map(transition).collect(),
    }
}

/// Places in a ring, all tokens at the first.
fn ring(places: usize, tokens: u64) -> Net {
    let mut all = vec![0; places];
    all[0] = tokens;
    let steps: Vec<_> = (0..places).map(|at| ([at], [(at + 1) % places])).collect();
    net(&all, &steps.iter().map(|(from, to)| (&from[..], &to[..])).collect::<Vec<_>>())
}

fn replayed(net: &Net, path: &[usize]) -> Marking {
    let mut marking = net.initial();
    for transition in path {
        net.fire(*transition, &mut marking).unwrap();
    }
    marking
}

fn whole(net: &Net) -> StateSpace<'_> {
    explore(net, &Limits::default(), unwatched).unwrap()
}

#[test]
fn tokens_in_a_ring_are_distributed_in_every_way() {
    let ring = ring(4, 12);
    let space = whole(&ring);
    // 12 tokens at 4 places: 15 choose 3.
    assert_eq!(space.states(), 455);
    assert_eq!((space.k_bound(), space.max_tokens(), space.is_safe()), (12, 12, false));
    let graph = space.graph(&Limits::default(), unwatched).unwrap();
    assert!(graph.is_live() && graph.is_reversible());
    assert_eq!(graph.components().count(), 1);
}

#[test]
fn philosophers_who_each_hold_a_fork_are_the_first_deadlock() {
    // Place 3n is a fork, 3n + 1 a philosopher who thinks, 3n + 2 one with a left fork.
    let arcs: Vec<_> = (0..5)
        .flat_map(|n| {
            let (fork, thinks, holds) = (3 * n, 3 * n + 1, 3 * n + 2);
            let right = (3 * n + 3) % 15;
            [(vec![fork, thinks], vec![holds]), (vec![holds, right], vec![fork, right, thinks])]
        })
        .collect();
    let arcs: Vec<_> = arcs.iter().map(|(from, to)| (&from[..], &to[..])).collect();
    let table = net(&[1, 1, 0].repeat(5), &arcs);
    let space = whole(&table);
    let dead = space.first_dead().unwrap();
    assert_eq!((space.states(), space.dead_markings()), (32, 1));
    let path = space.path(dead);
    assert_eq!(path, [0, 2, 4, 6, 8], "five take their left fork");
    assert_eq!(replayed(&table, &path), space.marking(dead));
    let graph = space.graph(&Limits::default(), unwatched).unwrap();
    assert!(!graph.is_live() && !graph.is_reversible());
}

#[test]
fn the_first_state_from_which_the_end_is_out_of_reach_is_found() {
    // Once the choice falls on 2, it goes round between 2 and 3.
    let trap = net(&[1, 0, 0, 0], &[(&[0], &[1]), (&[0], &[2]), (&[2], &[3]), (&[3], &[2])]);
    let space = whole(&trap);
    let graph = space.graph(&Limits::default(), unwatched).unwrap();
    let lost = graph.cannot_reach(|state| space.marking(*state)[1] == 1).unwrap();
    assert_eq!(space.path(lost), [1]);
    let all_but_2 = |state: &usize| space.marking(*state)[2] == 0;
    assert_eq!(graph.cannot_reach(all_but_2), None);
}

#[test]
fn ten_to_the_nineteen_tokens_are_counted_to_the_last() {
    let many = 10_000_000_000_000_000_000;
    let mut big = net(&[many, 0], &[(&[0], &[1])]);
    big.transitions[0].arcs.inputs[0].weight = many / 2;
    let space = whole(&big);
    assert_eq!(space.states(), 3);
    assert_eq!(space.bounds(), [many, 2]);
    assert_eq!(space.marking(1), [many / 2, 1]);
    assert_eq!(space.max_tokens(), u128::from(many));
}

#[test]
fn what_can_not_be_counted_is_no_answer() {
    let full = net(&[1, u64::MAX], &[(&[0], &[1])]);
    let stopped = explore(&full, &Limits::default(), unwatched).unwrap_err();
    assert_eq!(stopped, Stopped::Overflow { transition: 0, state: 0 });
    assert_eq!(full.clone().fire(0, &mut full.initial()), Err(Refused::Overflow));
}

#[test]
fn weights_that_64_bits_do_not_hold_together_are_not_cut_off() {
    let mut give = net(&[1, 0], &[(&[0], &[1, 1])]);
    give.transitions[0].arcs.outputs = vec![(1, u64::MAX), (1, 1)];
    assert_eq!(give.fire(0, &mut give.initial()), Err(Refused::Overflow));
    let stopped = explore(&give, &Limits::default(), unwatched).unwrap_err();
    assert_eq!(stopped, Stopped::Overflow { transition: 0, state: 0 });
    // There is no room for so many, so nothing overflows.
    give.places[1].capacity = Some(7);
    assert_eq!(give.fire(0, &mut give.initial()), Err(Refused::NotEnabled));
    assert_eq!(whole(&give).states(), 1);
    let mut take = net(&[u64::MAX, 0], &[(&[0, 0], &[1])]);
    take.transitions[0].arcs.inputs[0].weight = u64::MAX;
    assert_eq!(take.fire(0, &mut take.initial()), Err(Refused::NotEnabled));
    assert_eq!(whole(&take).states(), 1);
}

#[test]
fn every_marking_that_enables_nothing_is_known() {
    let ways: Vec<_> = (1..=1_500).map(|to| ([0], [to])).collect();
    let ways: Vec<_> = ways.iter().map(|(from, to)| (&from[..], &to[..])).collect();
    let star = net(&[&[1][..], &[0; 1_500]].concat(), &ways);
    let space = whole(&star);
    assert_eq!((space.dead_markings(), space.dead().len()), (1_500, 1_500));
}

#[test]
fn a_limit_is_said_and_what_was_found_is_kept() {
    let ring = ring(6, 20);
    let limits = Limits { states: 1000, ..Limits::default() };
    let space = explore_partly(&ring, &limits, unwatched);
    let stopped = space.stopped().unwrap();
    assert_eq!(stopped.to_string(), "limit of 1000 states reached");
    assert_eq!(space.states(), 1000);
    assert_eq!(replayed(&ring, &space.path(999)), space.marking(999));
    assert_eq!(space.graph(&limits, unwatched).unwrap_err(), stopped);
    // As many as there are is no limit.
    let limits = Limits { states: 53_130, ..Limits::default() };
    assert_eq!(explore(&ring, &limits, unwatched).unwrap().states(), 53_130);
    let limits = Limits { bytes: 1 << 20, ..Limits::default() };
    let stopped = explore(&ring, &limits, unwatched).unwrap_err();
    assert!(matches!(stopped, Stopped::Memory { limit: 1_048_576, .. }), "{stopped}");
}

#[test]
fn whoever_watches_can_end_it() {
    let (ring, mut seen) = (ring(6, 20), 0);
    let stopped = explore(&ring, &Limits::default(), |progress| {
        assert!(progress.explored <= progress.states && progress.states > seen);
        seen = progress.states;
        if seen > 20_000 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert_eq!(stopped.unwrap_err(), Stopped::Interrupted { states: seen });
}

#[test]
fn a_net_that_grows_is_unbounded_and_the_pump_is_the_shortest() {
    let grows = net(&[1, 0, 0], &[(&[0], &[1]), (&[1], &[1, 2])]);
    let Boundedness::Unbounded(proof) = boundedness(&grows, None, &Limits::default(), unwatched)
    else {
        panic!("not unbounded");
    };
    assert_eq!((proof.prefix, proof.pump, proof.places), (vec![0], vec![1], vec![2]));
}

#[test]
fn a_capacity_or_an_inhibitor_arc_that_ends_the_growth_makes_it_bounded() {
    let grows = net(&[1, 0], &[(&[0], &[0, 1])]);
    let mut capacity = grows.clone();
    capacity.places[1].capacity = Some(7);
    let mut inhibited = grows;
    let inhibitor = Input { place: 1, weight: 7, kind: ArcKind::Inhibitor };
    inhibited.transitions[0].arcs.inputs.push(inhibitor);
    for net in [capacity, inhibited] {
        let bounded = boundedness(&net, None, &Limits::default(), unwatched);
        let Boundedness::Bounded(Bounded::States(space)) = bounded else { panic!("{bounded:?}") };
        assert_eq!(space.k_bound(), 7);
    }
}

/// Differences from the index's facts of a net.
fn differences(entry: &Value, net: &Net) -> Vec<String> {
    let mut differences = Vec::new();
    let mut check = |what: &str, found: Value| {
        if !entry[what].is_null() && entry[what] != found {
            differences
                .push(format!("{}: {what} is {}, found {found}", entry["file"], entry[what]));
        }
    };
    let limits = Limits { states: 5_000_000, bytes: 2 << 30 };
    let space = match explore(net, &limits, unwatched) {
        Ok(space) => space,
        Err(stopped) => return vec![format!("{}: {stopped}", entry["file"])],
    };
    check("states", space.states().into());
    check("firings", space.firings().into());
    check("distinct_edges", space.distinct_edges().into());
    check("dead_markings", space.dead_markings().into());
    check("k_bound", space.k_bound().into());
    check("safe", space.is_safe().into());
    check("max_tokens_marking", u64::try_from(space.max_tokens()).unwrap().into());
    check("quasi_live", space.dead_transitions().next().is_none().into());
    check("dead_transitions", space.dead_transitions().count().into());
    if let Some(dead) = space.first_dead() {
        assert_eq!(replayed(net, &space.path(dead)), space.marking(dead));
    }
    let graph = space.graph(&limits, unwatched).unwrap();
    check("live", graph.is_live().into());
    check("reversible", graph.is_reversible().into());
    differences
}

fn check_corpus(sizes: std::ops::Range<u64>, at_least: usize) {
    let (mut checked, mut wrong) = (0, Vec::new());
    for entry in corpus::index() {
        let accepted = entry["expect"].as_str().is_some_and(|text| !text.starts_with("reject:"));
        if accepted && entry["states"].as_u64().is_some_and(|states| sizes.contains(&states)) {
            let file = entry["file"].as_str().unwrap();
            wrong.extend(differences(&entry, &corpus::net(file)));
            checked += 1;
        }
    }
    assert!(corpus::folder().is_none() || checked >= at_least, "only {checked} nets");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_state_spaces_of_others_nets_are_what_is_known_of_them() {
    check_corpus(0..1_000_000, 97);
}

#[test]
fn state_spaces_of_millions_of_markings_are_what_is_known_of_them() {
    check_corpus(1_000_000..5_000_000, 5);
}

#[test]
fn others_nets_are_bounded_or_not_as_is_known_of_them() {
    let limits = Limits { states: 100_000, ..Limits::default() };
    let (mut decided, mut wrong) = (0, Vec::new());
    for entry in corpus::index() {
        let Some(bounded) = entry["bounded"].as_bool() else { continue };
        if entry["expect"].as_str().is_some_and(|text| text.starts_with("reject:")) {
            continue;
        }
        let net = corpus::net(entry["file"].as_str().unwrap());
        let cover = bounding_weights(&net).ok().filter(Cover::is_complete);
        let weights = cover.and_then(|cover| cover.small());
        let found = match boundedness(&net, weights.as_deref(), &limits, unwatched) {
            Boundedness::Bounded(_) => Some(true),
            Boundedness::Unbounded(proof) => {
                let before = replayed(&net, &proof.prefix);
                let after = replayed(&net, &[proof.prefix, proof.pump].concat());
                assert!(before.iter().zip(&after).all(|(before, after)| before <= after));
                assert!(proof.places.iter().all(|place| before[*place] < after[*place]));
                Some(false)
            }
            Boundedness::Unknown(_) => None,
        };
        decided += 1;
        if found != Some(bounded) {
            wrong.push(format!("{}: {bounded}, found {found:?}", entry["file"]));
        }
    }
    assert!(corpus::folder().is_none() || decided >= 123, "only {decided} nets");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
