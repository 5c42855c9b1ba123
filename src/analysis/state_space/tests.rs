//! The exploration agrees with the plainest one there is: a queue, a set, and the rule itself.

use std::collections::{BTreeSet, HashMap, HashSet};

use proptest::prelude::*;

use super::{Limits, StateSpace, Stopped, explore, explore_partly, unwatched};
use crate::models::{
    ArcKind,
    petri::{Arcs, Input, Marking, Net, Place, Refused, Transition},
};

/// Number of markings beyond which a net is not looked at.
const MOST: usize = 300;

fn limits() -> Limits {
    Limits { states: MOST, ..Limits::default() }
}

fn weight() -> impl Strategy<Value = u64> {
    prop_oneof![8 => 1..=1u64, 4 => 2..=4u64, 1 => 5..=9u64]
}

/// Counts of all sizes: 64 bits are no reason to be wrong.
fn tokens() -> impl Strategy<Value = u64> + Clone {
    prop_oneof![
        6 => 0..=1u64,
        3 => 2..=5u64,
        1 => 6..=40u64,
        1 => (0..=3u64).prop_map(|less| u64::MAX - less),
        1 => (0..=3u64).prop_map(|less| (1 << 63) + 1 - less),
        1 => (0..=3u64).prop_map(|more| (1 << 31) - 2 + more),
    ]
}

fn kind() -> impl Strategy<Value = ArcKind> {
    prop_oneof![
        12 => Just(ArcKind::Consume),
        2 => Just(ArcKind::Read),
        2 => Just(ArcKind::Inhibitor),
        1 => Just(ArcKind::Reset),
    ]
}

fn transition(places: usize) -> impl Strategy<Value = Transition> {
    let input = (0..places, weight(), kind());
    let input = input.prop_map(|(place, weight, kind)| Input { place, weight, kind });
    let inputs = prop::collection::vec(input, 0..=3);
    let outputs = prop::collection::vec((0..places, weight()), 0..=3);
    (inputs, outputs).prop_map(|(inputs, outputs)| Transition {
        arcs: Arcs { inputs, outputs },
        ..Transition::default()
    })
}

/// Nets with arcs of all kinds, several at one place, and capacities, some already exceeded.
pub fn nets(tokens: impl Strategy<Value = u64> + Clone) -> impl Strategy<Value = Net> {
    let place = (tokens, prop::option::weighted(0.4, 0..=4u64));
    let place = place.prop_map(|(tokens, capacity)| Place { tokens, capacity, ..Place::default() });
    let places = prop_oneof![4 => 1..=6usize, 1 => 30..=50usize];
    let places = places.prop_flat_map(move |count| prop::collection::vec(place.clone(), count));
    places.prop_flat_map(|places| {
        let transitions = prop::collection::vec(transition(places.len()), 0..=6);
        transitions.prop_map(move |transitions| Net {
            name: String::new(),
            places: places.clone(),
            transitions,
        })
    })
}

type Naive = (Vec<Marking>, Vec<Vec<(usize, usize)>>);

/// All markings in the order in which they are found, each with the transitions that it enables
/// and their targets; an error where some count overflows or there are too many.
pub fn naive(net: &Net) -> Result<Naive, Stopped> {
    let mut markings = vec![net.initial()];
    let mut known = HashMap::from([(net.initial(), 0)]);
    let mut edges = Vec::new();
    while edges.len() < markings.len() {
        let (state, mut out) = (edges.len(), Vec::new());
        for transition in 0..net.transitions.len() {
            let mut after = markings[state].clone();
            match net.fire(transition, &mut after) {
                Ok(()) => {}
                Err(Refused::NotEnabled) => continue,
                Err(Refused::Overflow) => return Err(Stopped::Overflow { transition, state }),
            }
            let target = *known.entry(after.clone()).or_insert(markings.len());
            if target == markings.len() {
                if target == MOST {
                    return Err(Stopped::States { limit: MOST });
                }
                markings.push(after);
            }
            out.push((transition, target));
        }
        edges.push(out);
    }
    Ok((markings, edges))
}

fn assert_same(net: &Net, space: &StateSpace<'_>, (markings, edges): &Naive) {
    assert_eq!(space.states(), markings.len());
    for (state, marking) in markings.iter().enumerate() {
        assert_eq!(&space.marking(state), marking, "state {state}");
        assert_eq!(space.successors(state), edges[state], "state {state}");
        let mut replayed = net.initial();
        for transition in space.path(state) {
            net.fire(transition, &mut replayed).unwrap();
        }
        assert_eq!(&replayed, marking);
    }
    for (state, marking) in markings.iter().enumerate().take(20) {
        for (other, less) in markings.iter().enumerate() {
            let covers = marking.iter().zip(less).all(|(count, less)| count >= less);
            assert_eq!(space.covers(state, other), covers, "{state} {other}");
        }
    }
    assert_eq!(space.firings(), edges.iter().map(|out| out.len() as u64).sum::<u64>());
    let pairs: HashSet<_> = (0..edges.len())
        .flat_map(|from| edges[from].iter().map(move |(_, to)| (from, *to)))
        .collect();
    assert_eq!(space.distinct_edges(), pairs.len() as u64);
    let dead: Vec<_> = (0..edges.len()).filter(|state| edges[*state].is_empty()).collect();
    assert_eq!(space.dead_markings(), dead.len() as u64);
    assert!(space.dead().iter().map(|state| *state as usize).eq(dead.iter().copied()));
    assert_eq!(space.first_dead(), dead.first().copied());
    let fired: BTreeSet<_> = edges.iter().flatten().map(|(transition, _)| *transition).collect();
    for transition in 0..net.transitions.len() {
        let first = edges.iter().position(|out| out.iter().any(|(by, _)| *by == transition));
        assert_eq!(space.first_enabling(transition), first);
    }
    assert_eq!(space.dead_transitions().count(), net.transitions.len() - fired.len());
    for (place, bound) in space.bounds().iter().enumerate() {
        assert_eq!(Some(*bound), markings.iter().map(|marking| marking[place]).max());
    }
    let sums = markings.iter().map(|marking| marking.iter().map(|n| u128::from(*n)).sum());
    assert_eq!(Some(space.max_tokens()), sums.max());
}

/// The states that each state reaches, itself included.
fn closure(edges: &[Vec<(usize, usize)>]) -> Vec<BTreeSet<usize>> {
    let from = |state: usize| {
        let (mut reached, mut open) = (BTreeSet::from([state]), vec![state]);
        while let Some(state) = open.pop() {
            open.extend(edges[state].iter().map(|(_, to)| *to).filter(|to| reached.insert(*to)));
        }
        reached
    };
    (0..edges.len()).map(from).collect()
}

fn assert_same_graph(space: &StateSpace<'_>, (markings, edges): &Naive) {
    let graph = space.graph(&limits(), unwatched).unwrap();
    for (state, out) in edges.iter().enumerate() {
        let targets: Vec<_> = out.iter().map(|(_, to)| *to as u32).collect();
        assert_eq!(graph.successors(state), targets);
    }
    let reached = closure(edges);
    assert_eq!(graph.is_reversible(), reached.iter().all(|reached| reached.contains(&0)));
    let fires_from = |state: usize, transition: usize| {
        let mut all = reached[state].iter().flat_map(|state| &edges[*state]);
        all.any(|(by, _)| *by == transition)
    };
    let transitions = 0..space.net().transitions.len();
    let not_live: Vec<_> = transitions
        .filter(|transition| (0..edges.len()).any(|state| !fires_from(state, *transition)))
        .collect();
    let found = graph.not_live();
    assert_eq!(found.iter().map(|(by, _)| *by).collect::<Vec<_>>(), not_live);
    assert_eq!(graph.is_live(), not_live.is_empty());
    for (transition, state) in found {
        assert!(!fires_from(state, transition));
    }
    let mut component = vec![0; edges.len()];
    for (number, states) in graph.components().enumerate() {
        for state in states {
            component[*state as usize] = number;
        }
    }
    for from in 0..edges.len() {
        for to in 0..edges.len() {
            let mutual = reached[from].contains(&to) && reached[to].contains(&from);
            assert_eq!(mutual, component[from] == component[to]);
            assert!(!reached[from].contains(&to) || component[from] >= component[to]);
        }
    }
    // Any predicate will do.
    let goal = |marking: &[u64]| marking.iter().fold(0u64, |a, b| a.wrapping_add(*b)) % 3 == 1;
    let stuck = |state: &usize| !reached[*state].iter().any(|state| goal(&markings[*state]));
    assert_eq!(
        graph.cannot_reach(|state| goal(&space.marking(*state))),
        (0..edges.len()).find(stuck)
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn every_count_and_every_path_is_that_of_the_plainest_exploration(net in nets(tokens())) {
        match (explore(&net, &limits(), unwatched), naive(&net)) {
            (Ok(space), Ok(naive)) => {
                assert_same(&net, &space, &naive);
                assert_same_graph(&space, &naive);
            }
            (Err(stopped), Err(naive)) => prop_assert_eq!(stopped, naive),
            (explored, naive) => {
                let explored = explored.map(|space| space.states());
                let naive = naive.map(|(markings, _)| markings.len());
                prop_assert!(false, "{explored:?} instead of {naive:?}");
            }
        }
    }

    #[test]
    fn what_was_found_before_the_limit_is_reached_by_its_path(net in nets(0..=3u64)) {
        let space = explore_partly(&net, &Limits { states: 40, ..limits() }, unwatched);
        prop_assert_eq!(space.stopped().is_none(), naive(&net).is_ok_and(|(found, _)| found.len() <= 40));
        for state in 0..space.states() {
            let mut replayed = net.initial();
            for transition in space.path(state) {
                net.fire(transition, &mut replayed).unwrap();
            }
            prop_assert_eq!(replayed, space.marking(state));
        }
    }
}
