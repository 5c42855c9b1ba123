//! Positions of the places and transitions of a net in the drawing that it comes from.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::geometry::Point;
use crate::models::petri::Net;

/// The middles of nodes, in the units of the drawing.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Positions {
    /// The middle of each place of the net, by its index.
    pub(super) places: Vec<Option<Point>>,
    /// The middle of each transition of the net, by its index.
    pub(super) transitions: Vec<Option<Point>>,
}

/// The farthest position; beyond that it is a mistake, as no drawing is so large.
const FARTHEST: f64 = 1e7;

impl Positions {
    /// The positions of all places and all transitions of a net, in its order. A point that is not
    /// within 10,000,000 units is no position.
    pub fn new(
        places: impl IntoIterator<Item = Option<Point>>,
        transitions: impl IntoIterator<Item = Option<Point>>,
    ) -> Self {
        let near = |at: Option<Point>| at.filter(|at| at.x.abs().max(at.y.abs()) <= FARTHEST);
        Self {
            places: places.into_iter().map(near).collect(),
            transitions: transitions.into_iter().map(near).collect(),
        }
    }

    /// The position of the place with this index.
    pub fn place(&self, index: usize) -> Option<Point> {
        self.places.get(index).copied().flatten()
    }

    /// The position of the transition with this index.
    pub fn transition(&self, index: usize) -> Option<Point> {
        self.transitions.get(index).copied().flatten()
    }

    /// The positions that a definition keeps in its metadata, as
    /// `{"layout": {"places": {"<id>": [x, y]}, "transitions": {"<id>": [x, y]}}}`. A value
    /// of another form is no position.
    pub fn from_metadata(net: &Net, metadata: &Map<String, Value>) -> Self {
        let of = |list: &str| -> HashMap<&str, Point> {
            let layout = metadata.get("layout").and_then(|layout| layout.get(list));
            let entries = layout.and_then(Value::as_object).into_iter().flatten();
            entries.filter_map(|(id, at)| Some((id.as_str(), point(at)?))).collect()
        };
        let (places, transitions) = (of("places"), of("transitions"));
        let mut before: HashMap<&str, f64> = HashMap::new();
        let mut transition = |id: &'_ str| {
            // One of several alternatives: they stand below one another.
            let alternative = |(of, _): (&str, &str)| {
                let (of, at) = transitions.get_key_value(of)?;
                let number = before.entry(of).or_default();
                *number += 1.0;
                Some(Point { x: at.x, y: at.y + (*number - 1.0) * ALTERNATIVE })
            };
            transitions.get(id).copied().or_else(|| id.split_once('.').and_then(alternative))
        };
        Self::new(
            net.places.iter().map(|of| places.get(of.id.as_str()).copied()),
            net.transitions.iter().map(|of| transition(&of.id)),
        )
    }
}

/// The distance from one alternative of a transition to the next.
const ALTERNATIVE: f64 = 60.0;

fn point(at: &Value) -> Option<Point> {
    let [x, y] = &at.as_array()?[..] else { return None };
    Some(Point { x: x.as_f64()?, y: y.as_f64()? })
}
