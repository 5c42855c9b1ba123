//! The classes of nets.

use super::fixture::net;
use crate::analysis::structure::{Class, clusters};

fn class(transitions: &[&str]) -> Class {
    Class::of(&net(transitions))
}

#[test]
fn choices_are_told_apart_by_what_places_share() {
    let choices = |transitions: &[&str]| {
        let class = class(transitions);
        [class.free_choice, class.extended_free_choice, class.asymmetric_choice]
    };
    assert_eq!(choices(&["a: p -> q", "b: p -> r", "c: q r -> s"]), [true; 3]);
    assert_eq!(choices(&["a: p q -> r", "b: q p -> s"]), [false, true, true]);
    assert_eq!(choices(&["a: p q -> r", "b: q -> s"]), [false, false, true]);
    assert_eq!(choices(&["a: p -> r", "b: p q -> s", "c: q -> s"]), [false; 3]);
}

#[test]
fn state_machines_have_no_concurrency_and_marked_graphs_no_choice() {
    let machine = class(&["a: p -> q", "b: p -> q", "c: q -> p"]);
    assert!(machine.state_machine && !machine.marked_graph && machine.strongly_connected);
    let graph = class(&["a: p -> q r", "b: q r -> p"]);
    assert!(graph.marked_graph && !graph.state_machine && graph.ordinary && graph.plain);
    let loops = class(&["a: p -> p"]);
    assert!(!loops.pure && loops.state_machine && loops.marked_graph);
    let heavy = class(&["a: p -> q q", "b: q*2 -> p"]);
    assert!(!heavy.ordinary && !heavy.marked_graph && heavy.pure && heavy.strongly_connected);
    let read = class(&["a: p ?q -> p"]);
    assert!(!read.plain && !read.pure && read.ordinary);
    assert!(!class(&["a: p -> q"]).strongly_connected);
}

#[test]
fn clusters_hold_what_decides_together() {
    let net = net(&["a: p -> q r", "b: q -> s", "c: q r -> s", "d: -> p"]);
    let ids = ["p", "q", "r", "s"].map(|id| net.places.iter().position(|p| p.id == id).unwrap());
    let [p, q, r, s] = ids;
    let expected =
        [(vec![p], vec![0]), (vec![q, r], vec![1, 2]), (vec![s], vec![]), (vec![], vec![3])];
    assert_eq!(clusters(&net), expected);
}
