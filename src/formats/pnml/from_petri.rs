//! Conversion of a net to the content of a file.

use std::collections::HashSet;

use super::{
    Arc, Direction, Node, NodeGraphics, Place, PnmlNet, Point, Transition, Work, read_arcs,
};
use crate::models::{ArcKind, TransitionId, petri};

impl PnmlNet {
    /// The net for a file, with the positions that `position` knows.
    pub fn from_petri(
        id: &str,
        net: &petri::Net,
        mut position: impl FnMut(Node) -> Option<Point>,
    ) -> Self {
        let mut graphics = |node| {
            let position = position(node)?;
            Some(Box::new(NodeGraphics { position: Some(position), ..NodeGraphics::default() }))
        };
        let mut file = Self { id: id.to_owned(), ..Self::default() };
        file.name = Some(net.name.clone()).filter(|name| !name.is_empty());
        for (index, place) in net.places.iter().enumerate() {
            file.places.push(Place {
                id: place.id.clone(),
                name: place.name.clone(),
                tokens: place.tokens,
                capacity: place.capacity,
                graphics: graphics(Node::Place(index)),
                page: None,
            });
        }
        let mut known = HashSet::new();
        for (index, transition) in net.transitions.iter().enumerate() {
            file.transitions.push(Transition {
                id: transition.id.clone(),
                name: transition.name.clone(),
                graphics: graphics(Node::Transition(index)),
                page: None,
                silent: transition.silent,
                immediate: transition.immediate,
                timed: transition.timed.clone(),
                work: transition.work.as_ref().map(|work| noted(work, &mut known)),
            });
            let mut arc = |direction, place, kind, weight| {
                let id = format!("a{}", file.arcs.len() + 1);
                let (graphics, page, transition) = (None, None, index);
                let arc = Arc { id, place, transition, direction, kind, weight, graphics, page };
                file.arcs.push(arc);
            };
            for input in read_arcs::to_file(transition.arcs.inputs.clone()) {
                // A reset arc has no weight.
                let weight = if input.kind == ArcKind::Reset { 1 } else { input.weight };
                arc(Direction::ToTransition, input.place, input.kind, weight);
            }
            for (place, weight) in &transition.arcs.outputs {
                arc(Direction::ToPlace, *place, ArcKind::Consume, *weight);
            }
        }
        file
    }
}

/// The work of a transition for the file. Of the ways of one activity the first one has it, so that a
/// file does not grow with the square of their number; `known` has those that were there already.
fn noted(work: &petri::Work, known: &mut HashSet<TransitionId>) -> Work {
    let is_first = work.way.as_ref().is_none_or(|way| known.insert(way.of.clone()));
    let activity = is_first.then(|| Box::new((*work.activity).clone()));
    Work { way: work.way.clone(), activity }
}
