//! The classes of nets that the theory knows more about.

use serde::Serialize;

use super::flow::Flow;
use crate::models::{ArcKind, petri::Net};

/// The class of a net, by its flow alone (Murata 1989, section VI; Desel and Esparza, *Free Choice
/// Petri Nets*, 1995).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Class {
    /// It has neither read, inhibitor or reset arcs nor capacities.
    pub plain: bool,
    /// Every arc's weight is 1, those of several arcs between the same two added up.
    pub ordinary: bool,
    /// No transition gives to a place that it takes from or reads.
    pub pure: bool,
    /// It is ordinary, and every transition has one input and one output: choice, no concurrency.
    pub state_machine: bool,
    /// It is ordinary, and every place has one input and one output: concurrency, no choice.
    pub marked_graph: bool,
    /// A place with several output transitions is the only input of each of them.
    pub free_choice: bool,
    /// Places that share an output transition share all of them.
    pub extended_free_choice: bool,
    /// One of two places that share an output transition has all those of the other.
    pub asymmetric_choice: bool,
    /// A path leads from every node to every other.
    pub strongly_connected: bool,
}

impl Class {
    /// The class of a net.
    pub fn of(net: &Net) -> Self {
        let flow = Flow::of(net);
        let ordinary = is_ordinary(net);
        let places = 0..net.places.len();
        let transitions = net.places.len()..flow.nodes();
        let one_each = |mut nodes: std::ops::Range<usize>| {
            nodes.all(|node| flow.predecessors[node].len() == 1 && flow.successors[node].len() == 1)
        };
        // What a transition's input places have as their output transitions.
        let choices = |node: usize| flow.predecessors[node].iter().map(|p| &flow.successors[*p]);
        Self {
            plain: is_plain(net),
            ordinary,
            pure: transitions.clone().all(|node| {
                !flow.predecessors[node].iter().any(|place| flow.successors[node].contains(place))
            }),
            state_machine: ordinary && one_each(transitions.clone()),
            marked_graph: ordinary && one_each(places),
            free_choice: transitions.clone().all(|node| {
                flow.predecessors[node].len() <= 1 || choices(node).all(|choice| choice.len() == 1)
            }),
            extended_free_choice: transitions.clone().all(|node| {
                let mut all = choices(node);
                all.next().is_none_or(|first| all.all(|choice| choice == first))
            }),
            asymmetric_choice: transitions.clone().all(|node| {
                let mut all: Vec<_> = choices(node).collect();
                all.sort_by_key(|choice| choice.len());
                all.windows(2).all(|two| two[0].iter().all(|t| two[1].binary_search(t).is_ok()))
            }),
            strongly_connected: flow.is_strongly_connected(),
        }
    }
}

fn is_plain(net: &Net) -> bool {
    let mut inputs = net.transitions.iter().flat_map(|transition| &transition.arcs.inputs);
    inputs.all(|arc| arc.kind == ArcKind::Consume)
        && net.places.iter().all(|place| place.capacity.is_none())
}

fn is_ordinary(net: &Net) -> bool {
    net.transitions.iter().all(|transition| {
        let arcs = &transition.arcs;
        arcs.inputs.iter().all(|arc| {
            !matches!(arc.kind, ArcKind::Consume | ArcKind::Read)
                || arcs.weight(arc.place, arc.kind) == 1
        }) && arcs.outputs.iter().all(|&(place, _)| arcs.gives(place) == 1)
    })
}

/// The clusters: the least sets of nodes so that a place's output transitions are in its set
/// and a transition's input places are in its. Of each the places and the transitions, by
/// index; every node is in exactly one.
pub fn clusters(net: &Net) -> Vec<(Vec<usize>, Vec<usize>)> {
    let flow = Flow::of(net);
    let mut found = vec![false; flow.nodes()];
    let mut clusters = Vec::new();
    for start in 0..flow.nodes() {
        let (mut places, mut transitions) = (Vec::new(), Vec::new());
        let mut open = vec![start];
        while let Some(node) = open.pop() {
            if std::mem::replace(&mut found[node], true) {
                continue;
            }
            if node < net.places.len() {
                places.push(node);
                open.extend(&flow.successors[node]);
            } else {
                transitions.push(node - net.places.len());
                open.extend(&flow.predecessors[node]);
            }
        }
        if !(places.is_empty() && transitions.is_empty()) {
            places.sort_unstable();
            transitions.sort_unstable();
            clusters.push((places, transitions));
        }
    }
    clusters
}
