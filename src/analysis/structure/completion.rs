//! The end of a case: one end for nets that have several, and nothing after it.

use super::{flow::Flow, workflow_net::unused};
use crate::models::{
    ArcKind,
    petri::{Arcs, Input, Net, Place, Transition},
};

/// Copies of transitions that may be there, one for each place that is no end. Usual nets have a
/// handful.
const MOST_COPIES: usize = 100_000;

/// Joins the places where a case ends in one new sink, by a transition that takes a token from
/// each of them; a net with a single one that nothing leads from is returned as it is.
///
/// So that a token comes to each of them however a case runs, a choice that takes a path on
/// which an end can't be reached any more gives that end its token at once: where an input
/// place of a transition leads to an end and the transition doesn't, the transition gets an arc
/// to it (Kiepuszewski, ter Hofstede and van der Aalst 2003, *Fundamentals of control flow in
/// workflows*; used by Fahland et al. 2009 for nets from industry). For a free-choice net whose
/// ends are its sinks the result is sound exactly if the net itself always ends with each end
/// marked at most once and nothing else left. For other nets it's no equivalence.
pub fn join_ends(net: &Net, ends: &[usize]) -> Net {
    let flow = Flow::of(net);
    let mut joined = net.clone();
    match ends {
        [] => return joined,
        [end] if flow.successors[*end].is_empty() => return joined,
        _ => {}
    }
    for &end in ends {
        let leading = flow.leading_to(end);
        for (at, transition) in joined.transitions.iter_mut().enumerate() {
            let node = flow.transition(at);
            if !leading[node] && flow.predecessors[node].iter().any(|place| leading[*place]) {
                transition.arcs.outputs.push((end, 1));
            }
        }
    }
    let sink = joined.places.len();
    joined.places.push(Place { id: unused(net, "end"), ..Place::default() });
    let take = |&place: &usize| Input { place, weight: 1, kind: ArcKind::Consume };
    let arcs = Arcs { inputs: ends.iter().map(take).collect(), outputs: vec![(sink, 1)] };
    joined.transitions.push(Transition {
        id: unused(net, "to-end"),
        arcs,
        ..Transition::default()
    });
    joined
}

/// Puts a source before the only marked place of a net in which arcs lead to every place. Other
/// nets stay as they are.
pub fn put_source(net: &mut Net) {
    let flow = Flow::of(net);
    let mut marked = (0..net.places.len()).filter(|place| net.places[*place].tokens > 0);
    let (Some(start), None) = (marked.next(), marked.next()) else { return };
    if flow.predecessors[..net.places.len()].iter().any(Vec::is_empty) {
        return;
    }
    let (place, transition) = (unused(net, "(start)"), unused(net, "(begin)"));
    let source = net.places.len();
    net.places.push(Place { id: place, ..Place::default() });
    let inputs = vec![Input { place: source, weight: 1, kind: ArcKind::Consume }];
    let arcs = Arcs { inputs, outputs: vec![(start, 1)] };
    net.transitions.push(Transition { id: transition, arcs, ..Transition::default() });
}

/// The net in which nothing fires once all tokens are in `ends`, as nothing happens in a case that
/// has ended; and for each of its transitions, the one of `net` that it is.
///
/// Only a transition that neither takes nor reads a token elsewhere could. It is there once for
/// each place that is no end, and reads a token in that. `None` if these would be far too many.
pub fn until_ended(net: &Net, ends: &[usize]) -> Option<(Net, Vec<usize>)> {
    let mut is_end = vec![false; net.places.len()];
    ends.iter().for_each(|end| is_end[*end] = true);
    let elsewhere =
        |arc: &Input| matches!(arc.kind, ArcKind::Consume | ArcKind::Read) && !is_end[arc.place];
    let (mut transitions, mut origins, mut copies) = (Vec::new(), Vec::new(), 0);
    for (at, transition) in net.transitions.iter().enumerate() {
        if transition.arcs.inputs.iter().any(elsewhere) {
            transitions.push(transition.clone());
            origins.push(at);
            continue;
        }
        for place in (0..net.places.len()).filter(|place| !is_end[*place]) {
            copies += 1;
            if copies > MOST_COPIES {
                return None;
            }
            let mut beside = transition.clone();
            beside.arcs.inputs.push(Input { place, weight: 1, kind: ArcKind::Read });
            transitions.push(beside);
            origins.push(at);
        }
    }
    Some((Net { name: net.name.clone(), places: net.places.clone(), transitions }, origins))
}
