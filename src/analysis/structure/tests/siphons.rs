//! Siphons and traps of nets where they are known.

use super::fixture::{ids, net};
use crate::analysis::structure::{Commoner, PlaceSets};

/// Two philosophers, who each hold one fork and wait for the other's.
const PHILOSOPHERS: [&str; 6] = [
    "left1: think1 fork1 -> has1",
    "right1: has1 fork2 -> eat1",
    "done1: eat1 -> think1 fork1 fork2",
    "left2: think2 fork2 -> has2",
    "right2: has2 fork1 -> eat2",
    "done2: eat2 -> think2 fork1 fork2",
];

#[test]
fn a_deadlock_has_a_siphon_without_a_marked_trap() {
    let net = net(&PHILOSOPHERS);
    let sets = PlaceSets::of(&net);
    let marking: Vec<_> = net
        .places
        .iter()
        .map(|p| u64::from(p.id.contains("think") || p.id.contains("fork")))
        .collect();
    let minimal = sets.minimal_siphons(100);
    let named: Vec<_> = minimal.sets.iter().map(|siphon| ids(&net, siphon)).collect();
    assert!(minimal.complete);
    assert_eq!(
        named,
        [
            "think1 has1 eat1",
            "fork1 has1 eat1 eat2",
            "fork1 fork2 eat1 eat2",
            "fork2 eat1 has2 eat2",
            "think2 has2 eat2"
        ]
    );
    let Commoner::Fails { siphon, trap } = sets.commoner(&marking, &minimal) else { panic!() };
    assert_eq!((ids(&net, &siphon).as_str(), trap), ("fork1 fork2 eat1 eat2", vec![]));
}

#[test]
fn where_every_siphon_has_a_marked_trap_commoner_s_condition_holds() {
    let net = net(&["a: p -> q", "b: q -> p"]);
    let sets = PlaceSets::of(&net);
    let minimal = sets.minimal_siphons(10);
    assert_eq!(sets.commoner(&net.initial(), &minimal), Commoner::Holds);
    assert_eq!(
        sets.commoner(&[0, 0], &minimal),
        Commoner::Fails { siphon: vec![0, 1], trap: vec![0, 1] }
    );
    assert_eq!(sets.unmarked_siphon(&[0, 0]), [0, 1]);
    assert!(sets.unmarked_siphon(&[0, 1]).is_empty());
}

/// Each of the twelve pairs doubles the number of siphons.
#[test]
fn a_limit_ends_a_search_among_too_many() {
    let mut transitions = Vec::new();
    let names: Vec<_> = (0..12).map(|at| format!("x{at} y{at}")).collect();
    for at in 0..12 {
        for from in names[at].split(' ') {
            for to in names[(at + 1) % 12].split(' ') {
                transitions.push(format!("{from}-{to}: {} -> {from} {to}", names[at]));
            }
        }
    }
    let transitions: Vec<_> = transitions.iter().map(String::as_str).collect();
    let minimal = PlaceSets::of(&net(&transitions)).minimal_siphons(20);
    assert!(!minimal.complete && minimal.sets.len() <= 20);
}

#[test]
fn what_a_limit_left_out_is_not_said_to_hold() {
    let net = net(&["a: p -> p", "b: q -> q", "c: r -> r"]);
    let sets = PlaceSets::of(&net);
    let (some, all) = (sets.minimal_siphons(2), sets.minimal_siphons(3));
    assert_eq!(sets.commoner(&[1, 1, 1], &some), Commoner::Unknown);
    assert_eq!(sets.commoner(&[1, 1, 1], &all), Commoner::Holds);
    assert!(matches!(sets.commoner(&[1, 0, 1], &all), Commoner::Fails { .. }));
}

#[test]
fn what_a_transition_empties_it_does_not_leave_marked_by_reading_it() {
    let set = [0];
    assert_eq!(PlaceSets::of(&net(&["a: p ?p -> "])).largest_trap(&set), set);
    assert!(PlaceSets::of(&net(&["a: ?p ~p -> "])).largest_trap(&set).is_empty());
    assert_eq!(PlaceSets::of(&net(&["a: ~p -> p"])).largest_trap(&set), set);
}
