//! One end for nets that have several.

use super::{flow::Flow, workflow_net::unused};
use crate::models::{
    ArcKind,
    petri::{Arcs, Input, Marking, Net, Place, Transition},
};

/// Joins the places without arcs out of them in one new sink, by a transition that takes a token
/// from each of them; a net that has fewer than two is returned as it is.
///
/// So that a token comes to each of them however a case runs, a choice that takes a path on
/// which an end can't be reached any more gives that end its token at once: where an input
/// place of a transition leads to an end and the transition doesn't, the transition gets an arc
/// to it (Kiepuszewski, ter Hofstede and van der Aalst 2003, *Fundamentals of control flow in
/// workflows*; used by Fahland et al. 2009 for nets from industry). For a free-choice net the
/// result is sound exactly if the net itself always ends with each end marked at most once and
/// nothing else left. For other nets it's no equivalence.
pub fn join_sinks(net: &Net) -> Net {
    let flow = Flow::of(net);
    let places = net.places.len();
    let sinks: Vec<_> = (0..places).filter(|node| flow.successors[*node].is_empty()).collect();
    let mut joined = net.clone();
    if sinks.len() < 2 {
        return joined;
    }
    for &sink in &sinks {
        let leading = flow.leading_to(sink);
        for (at, transition) in joined.transitions.iter_mut().enumerate() {
            let node = flow.transition(at);
            if !leading[node] && flow.predecessors[node].iter().any(|place| leading[*place]) {
                transition.arcs.outputs.push((sink, 1));
            }
        }
    }
    let mut end = vec![0; places];
    sinks.iter().for_each(|sink| end[*sink] = 1);
    append_end(&mut joined, &[end]);
    joined
}

/// Adds a new sink, and for each of the final markings a transition that takes it away and gives
/// the sink one token: for a net that may end in several ways. Places after those of a marking
/// are empty in it.
pub fn join_final_markings(net: &Net, finals: &[Marking]) -> Net {
    let mut joined = net.clone();
    append_end(&mut joined, finals);
    joined
}

fn append_end(net: &mut Net, finals: &[Marking]) {
    let id = unused(net, "end");
    let end = net.places.len();
    net.places.push(Place { id, ..Place::default() });
    for marking in finals {
        let marked = marking.iter().enumerate().filter(|(_, tokens)| **tokens > 0);
        let inputs = marked
            .map(|(place, &weight)| Input { place, weight, kind: ArcKind::Consume })
            .collect();
        let arcs = Arcs { inputs, outputs: vec![(end, 1)] };
        net.transitions.push(Transition { id: unused(net, "to-end"), name: None, arcs });
    }
}
