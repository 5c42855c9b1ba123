//! The ends of a workflow net, and the reasons against other nets.

use super::fixture::net;
use crate::{
    analysis::structure::{WorkflowNet, short_circuit},
    models::petri::Net,
};

fn reasons(net: &Net) -> String {
    let reasons = WorkflowNet::of(net).unwrap_err();
    reasons.iter().map(|reason| reason.to_string()).collect::<Vec<_>>().join("; ")
}

#[test]
fn a_net_with_one_beginning_and_one_end_is_a_workflow_net() {
    let net = net(&["a: i -> p", "b: p -> o", "again: p -> p"]);
    assert_eq!(WorkflowNet::of(&net), Ok(WorkflowNet { source: 0, sink: 2 }));
}

#[test]
fn what_is_read_is_on_the_way_but_what_only_hinders_or_is_emptied_is_not() {
    let read = net(&["a: i -> p q", "b: p ?q -> o", "c: q -> o"]);
    assert!(WorkflowNet::of(&read).is_ok());
    for other in ["b: p !q -> o", "b: p ~q -> o"] {
        let other = net(&["a: i -> p q", other]);
        assert!(reasons(&other).contains("several that nothing takes from: q, o"));
    }
}

#[test]
fn every_reason_names_what_is_in_the_way() {
    for (transitions, expected) in [
        (vec!["a: i j -> o"], "a case begins in one place, but nothing leads to any of i, j"),
        (vec!["a: i -> o e"], "there are several that nothing takes from: o, e"),
        (vec!["a: i -> o", "b: o -> i"], "(tokens are at first in i); every place has arcs out"),
        (
            vec!["a: i -> p o", "b: -> p", "c: p -> o"],
            "nothing goes into b; no path leads from i to b",
        ),
        (vec!["a: i -> p o", "b: p ->"], "nothing comes out of b; no path leads to o from p, b"),
        (vec!["a: i -> o", "b: p -> q", "c: q -> p"], "no path leads from i to p, q, b, c"),
        (vec!["a: i -> o p", "b: p -> q", "c: q -> p"], "no path leads to o from p, q, b, c"),
    ] {
        let said = reasons(&net(&transitions));
        assert!(said.contains(expected), "{transitions:?}: {said}");
    }
    let mut lonely = net(&["a: i -> o"]);
    lonely.transitions.clear();
    assert!(reasons(&lonely).contains("nothing leads to any of i, o"));
    lonely.places.pop();
    assert!(reasons(&lonely).contains("begins and ends in i"));
    assert!(reasons(&Net::default()).contains("no place is without arcs into it"));
}

#[test]
fn a_long_list_says_how_many_more_there_are() {
    let many: Vec<_> = (0..20).map(|at| format!("e{at}")).collect();
    let said = reasons(&net(&[&format!("a: i -> {}", many.join(" "))]));
    assert!(said.ends_with("e6, e7 and 12 more"), "{said}");
}

#[test]
fn the_short_circuit_leads_back_and_begins_in_the_source_alone() {
    let mut open = net(&["short-circuit: i -> p", "b: p -> o"]);
    open.places[1].tokens = 7;
    let closed = short_circuit(&open, WorkflowNet::of(&open).unwrap());
    assert_eq!(closed.initial(), [1, 0, 0]);
    assert_eq!(closed.transitions[2].id, "short-circuit_");
    let mut marking = vec![0, 0, 1];
    closed.fire(2, &mut marking).unwrap();
    assert_eq!(marking, closed.initial());
}
