//! One end instead of several.

use super::fixture::{ids, net};
use crate::{
    analysis::structure::{WorkflowNet, join_final_markings, join_sinks},
    models::petri::Net,
};

fn gives(net: &Net, transition: usize) -> String {
    let outputs = &net.transitions[transition].arcs.outputs;
    ids(net, &outputs.iter().map(|(place, _)| *place).collect::<Vec<_>>())
}

#[test]
fn a_choice_gives_the_ends_that_it_rules_out_their_tokens() {
    let joined = join_sinks(&net(&[
        "split: i -> p r",
        "accept: p -> yes",
        "refuse: p -> no",
        "log: r -> done",
    ]));
    assert_eq!(gives(&joined, 0), "p r");
    assert_eq!(gives(&joined, 1), "yes no");
    assert_eq!(gives(&joined, 2), "no yes");
    assert_eq!(gives(&joined, 3), "done");
    assert_eq!(joined.transitions[4].id, "to-end");
    assert_eq!(joined.transitions[4].arcs.inputs.len(), 3);
    assert_eq!(gives(&joined, 4), "end");
    assert!(WorkflowNet::of(&joined).is_ok());
}

#[test]
fn a_net_with_one_end_stays_as_it_is() {
    let one = net(&["a: i -> p", "b: p -> end"]);
    assert_eq!(join_sinks(&one), one);
}

#[test]
fn each_final_marking_gets_a_way_to_the_end_and_names_are_not_taken_twice() {
    let open = net(&["a: i -> end", "to-end: i -> p q*2"]);
    let joined = join_final_markings(&open, &[vec![0, 1], vec![0, 0, 1, 2]]);
    assert_eq!(joined.places[4].id, "end_");
    let new: Vec<_> = joined.transitions[2..].iter().map(|t| t.id.as_str()).collect();
    assert_eq!(new, ["to-end_", "to-end__"]);
    let mut marking = vec![0, 0, 1, 2, 0];
    joined.fire(3, &mut marking).unwrap();
    assert_eq!(marking, [0, 0, 0, 0, 1]);
    assert!(joined.fire(2, &mut [0, 1, 0, 0, 0]).is_ok());
    assert!(WorkflowNet::of(&joined).is_ok());
}
