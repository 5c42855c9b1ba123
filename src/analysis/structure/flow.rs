//! A net as a directed graph.

use crate::models::{ArcKind, petri::Net};

/// The flow of a net by node: places first, then transitions. Neighbours ascend and are named
/// once, whatever the weights.
#[derive(Debug)]
pub(super) struct Flow {
    places: usize,
    pub successors: Vec<Vec<usize>>,
    pub predecessors: Vec<Vec<usize>>,
}

impl Flow {
    pub(super) fn of(net: &Net) -> Self {
        let places = net.places.len();
        let nodes = places + net.transitions.len();
        let mut flow = Self {
            places,
            successors: vec![Vec::new(); nodes],
            predecessors: vec![Vec::new(); nodes],
        };
        for (at, transition) in net.transitions.iter().enumerate() {
            let node = places + at;
            for arc in &transition.arcs.inputs {
                match arc.kind {
                    ArcKind::Consume => flow.connect(arc.place, node),
                    ArcKind::Read => {
                        flow.connect(arc.place, node);
                        flow.connect(node, arc.place);
                    }
                    ArcKind::Inhibitor | ArcKind::Reset => {}
                }
            }
            transition.arcs.outputs.iter().for_each(|&(place, _)| flow.connect(node, place));
        }
        for neighbours in flow.successors.iter_mut().chain(&mut flow.predecessors) {
            neighbours.sort_unstable();
            neighbours.dedup();
        }
        flow
    }

    fn connect(&mut self, from: usize, to: usize) {
        self.successors[from].push(to);
        self.predecessors[to].push(from);
    }

    pub(super) fn nodes(&self) -> usize {
        self.successors.len()
    }

    pub(super) fn transition(&self, transition: usize) -> usize {
        self.places + transition
    }

    /// The ids of the nodes, in the order of the net.
    pub(super) fn ids(&self, net: &Net, of: impl Fn(usize) -> bool) -> Vec<String> {
        let places = net.places.iter().map(|place| &place.id);
        let all = places.chain(net.transitions.iter().map(|transition| &transition.id));
        all.enumerate().filter(|(node, _)| of(*node)).map(|(_, id)| id.clone()).collect()
    }

    /// True for the nodes that a path leads to from `start`, itself among them.
    pub(super) fn reached_from(&self, start: usize) -> Vec<bool> {
        reach(&self.successors, start)
    }

    /// True for the nodes from which a path leads to `end`, itself among them.
    pub(super) fn leading_to(&self, end: usize) -> Vec<bool> {
        reach(&self.predecessors, end)
    }

    /// Returns true if a path leads from every node to every other.
    pub(super) fn is_strongly_connected(&self) -> bool {
        let all = |reached: Vec<bool>| reached.into_iter().all(|reached| reached);
        self.nodes() > 0 && all(self.reached_from(0)) && all(self.leading_to(0))
    }
}

fn reach(neighbours: &[Vec<usize>], start: usize) -> Vec<bool> {
    let mut reached = vec![false; neighbours.len()];
    let mut open = vec![start];
    reached[start] = true;
    while let Some(node) = open.pop() {
        for &next in &neighbours[node] {
            if !std::mem::replace(&mut reached[next], true) {
                open.push(next);
            }
        }
    }
    reached
}
