//! One end instead of several.

use super::fixture::{ids, net};
use crate::{
    analysis::structure::{WorkflowNet, join_ends, put_source, until_ended},
    models::petri::Net,
};

fn gives(net: &Net, transition: usize) -> String {
    let outputs = &net.transitions[transition].arcs.outputs;
    ids(net, &outputs.iter().map(|(place, _)| *place).collect::<Vec<_>>())
}

#[test]
fn a_choice_gives_the_ends_that_it_rules_out_their_tokens() {
    let several =
        net(&["split: i -> p r", "accept: p -> yes", "refuse: p -> no", "log: r -> done"]);
    let joined = join_ends(&several, &several.sinks());
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
    assert_eq!(join_ends(&one, &one.sinks()), one);
}

#[test]
fn an_end_that_is_read_gets_a_sink_behind_it_whose_name_is_not_taken_twice() {
    let read = net(&["a: i -> p end", "b: p ?end -> to-end"]);
    let joined = join_ends(&read, &read.sinks());
    assert_eq!(joined.places[4].id, "end_");
    assert_eq!(joined.transitions[2].id, "to-end_");
    assert!(WorkflowNet::of(&read).is_ok_and(|of| of.sink == 3), "only one looks like an end");
    assert!(WorkflowNet::of(&joined).is_ok_and(|of| of.sink == 4));
}

#[test]
fn a_source_is_put_before_a_marked_place_that_arcs_lead_to() {
    let mut back = net(&["a: i -> p", "b: p -> i", "c: p -> o"]);
    put_source(&mut back);
    let found = WorkflowNet::of(&back).unwrap();
    assert_eq!((back.places[found.source].id.as_str(), gives(&back, 3)), ("(start)", "i".into()));
    let mut forth = net(&["a: i -> p", "b: p -> o"]);
    let before = forth.clone();
    put_source(&mut forth);
    assert_eq!(forth, before);
}

#[test]
fn what_takes_only_from_ends_fires_while_a_token_is_elsewhere() {
    let net = net(&["a: i -> p o", "b: p -> e", "log: ?o !l -> l"]);
    let (until, origins) = until_ended(&net, &net.sinks()).unwrap();
    assert_eq!(origins, [0, 1, 2, 2], "once for i, once for p");
    let log = |marking: &[u64]| {
        let fires = |at: &usize| until.fire(*at, &mut marking.to_vec()).is_ok();
        (2..4).filter(fires).count()
    };
    assert_eq!(log(&[0, 1, 1, 0, 0]), 1);
    assert_eq!(log(&[0, 0, 1, 1, 0]), 0, "the case has ended");
    assert_eq!(log(&[0, 1, 1, 0, 1]), 0, "other arcs stay");
}

#[test]
fn it_is_given_up_where_far_too_many_transitions_take_only_from_ends() {
    let chain = (0..400).map(|n| format!("t{n}: p{n} -> p{}", n + 1));
    let late = (0..400).map(|n| format!("late{n}: ?p400 -> p400"));
    let transitions: Vec<_> = chain.chain(late).collect();
    let net = net(&transitions.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(until_ended(&net, &net.sinks()).is_none());
}
