//! Nets with a beginning and an end.

use super::flow::Flow;
use crate::models::{
    ArcKind,
    petri::{Arcs, Input, Net, Transition},
};

/// A net with one source place, one sink place, and every node on a path from the one to the
/// other (van der Aalst 1997).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkflowNet {
    /// The index of the place that nothing leads to.
    pub source: usize,
    /// The index of the place that leads to nothing.
    pub sink: usize,
}

/// Reason for which a net is no workflow net, with the ids of the nodes in the way.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAWorkflowNet {
    /// Every place has an arc into it, so a case has nowhere to begin. The places are those that
    /// hold tokens in the initial marking.
    #[error("no place is without arcs into it, so none is where a case begins{}", marked(.0))]
    NoSource(Vec<String>),
    /// Several places have no arc into them.
    #[error("a case begins in one place, but nothing leads to any of {}", list(.0))]
    SeveralSources(Vec<String>),
    /// Every place has an arc out of it, so a case has nowhere to end.
    #[error("every place has arcs out of it, so none is where a case ends")]
    NoSink,
    /// Several places have no arc out of them.
    #[error("a case ends in one place, but there are several that nothing takes from: {}", list(.0))]
    SeveralSinks(Vec<String>),
    /// One place is both ends: it's connected to nothing.
    #[error("a case begins and ends in {0}: nothing leads from it")]
    SourceIsSink(String),
    /// Transitions without input places; they could fire at any time.
    #[error("nothing goes into {}", list(.0))]
    TransitionsWithoutInput(Vec<String>),
    /// Transitions without output places.
    #[error("nothing comes out of {}", list(.0))]
    TransitionsWithoutOutput(Vec<String>),
    /// Places and transitions that no path from the source leads to.
    #[error("no path leads from {} to {}", .source_place, list(.nodes))]
    NotReached {
        /// The source place.
        source_place: String,
        /// The places and transitions.
        nodes: Vec<String>,
    },
    /// Places and transitions from which no path leads to the sink.
    #[error("no path leads to {} from {}", .sink, list(.nodes))]
    NoWayOut {
        /// The sink place.
        sink: String,
        /// The places and transitions.
        nodes: Vec<String>,
    },
}

pub(super) fn list(ids: &[String]) -> String {
    /// Ids that a message shows, to stay readable; all are in the value.
    const SHOWN: usize = 8;
    match ids.len().checked_sub(SHOWN) {
        Some(more @ 1..) => format!("{} and {more} more", ids[..SHOWN].join(", ")),
        _ => ids.join(", "),
    }
}

fn marked(ids: &[String]) -> String {
    match ids {
        [] => String::new(),
        ids => format!(" (tokens are at first in {})", list(ids)),
    }
}

impl WorkflowNet {
    /// Finds both ends of a net, or everything that keeps it from being a workflow net.
    pub fn of(net: &Net) -> Result<Self, Vec<NotAWorkflowNet>> {
        let flow = Flow::of(net);
        let places = net.places.len();
        let among = |nodes: std::ops::Range<usize>, neighbours: &[Vec<usize>]| -> Vec<usize> {
            nodes.filter(|node| neighbours[*node].is_empty()).collect()
        };
        let ids = |nodes: &[usize]| flow.ids(net, |node| nodes.contains(&node));
        let sources = among(0..places, &flow.predecessors);
        let sinks = among(0..places, &flow.successors);
        let mut reasons = Vec::new();
        match sources.len() {
            0 => reasons.push(NotAWorkflowNet::NoSource(
                flow.ids(net, |node| node < places && net.places[node].tokens > 0),
            )),
            1 => {}
            _ => reasons.push(NotAWorkflowNet::SeveralSources(ids(&sources))),
        }
        match sinks.len() {
            0 => reasons.push(NotAWorkflowNet::NoSink),
            1 => {}
            _ => reasons.push(NotAWorkflowNet::SeveralSinks(ids(&sinks))),
        }
        let idle = among(places..flow.nodes(), &flow.predecessors);
        if !idle.is_empty() {
            reasons.push(NotAWorkflowNet::TransitionsWithoutInput(ids(&idle)));
        }
        let swallowing = among(places..flow.nodes(), &flow.successors);
        if !swallowing.is_empty() {
            reasons.push(NotAWorkflowNet::TransitionsWithoutOutput(ids(&swallowing)));
        }
        match (&sources[..], &sinks[..]) {
            (&[source], &[sink]) => {
                reasons.extend(off_the_path(net, &flow, source, sink));
                if reasons.is_empty() { Ok(Self { source, sink }) } else { Err(reasons) }
            }
            _ => Err(reasons),
        }
    }
}

fn off_the_path(net: &Net, flow: &Flow, source: usize, sink: usize) -> Vec<NotAWorkflowNet> {
    let id = |place: usize| net.places[place].id.clone();
    if source == sink {
        return vec![NotAWorkflowNet::SourceIsSink(id(source))];
    }
    let mut reasons = Vec::new();
    let reached = flow.reached_from(source);
    let nodes = flow.ids(net, |node| !reached[node]);
    if !nodes.is_empty() {
        reasons.push(NotAWorkflowNet::NotReached { source_place: id(source), nodes });
    }
    let leading = flow.leading_to(sink);
    let nodes = flow.ids(net, |node| !leading[node]);
    if !nodes.is_empty() {
        reasons.push(NotAWorkflowNet::NoWayOut { sink: id(sink), nodes });
    }
    reasons
}

/// The net with one more transition, its last, that leads from the end to the beginning; and
/// with one token in the source and none elsewhere. The workflow net is sound exactly if this
/// is live and bounded (van der Aalst 1997).
pub fn short_circuit(net: &Net, ends: WorkflowNet) -> Net {
    let mut closed = net.clone();
    for (at, place) in closed.places.iter_mut().enumerate() {
        place.tokens = u64::from(at == ends.source);
    }
    closed.transitions.push(Transition {
        id: unused(net, "short-circuit"),
        arcs: Arcs {
            inputs: vec![Input { place: ends.sink, weight: 1, kind: ArcKind::Consume }],
            outputs: vec![(ends.source, 1)],
        },
        ..Transition::default()
    });
    closed
}

/// `id`, with as many `_` after it as it takes to be nobody's.
pub(super) fn unused(net: &Net, id: &str) -> String {
    let mut id = id.to_owned();
    while net.places.iter().any(|place| place.id == id)
        || net.transitions.iter().any(|transition| transition.id == id)
    {
        id.push('_');
    }
    id
}
