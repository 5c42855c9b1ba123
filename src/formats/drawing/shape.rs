//! The nodes and arcs of a picture, before they have places in it.

use std::collections::{BTreeMap, HashMap};

use super::label::{self, FONT, LINE};
use crate::models::{ArcKind, petri::Net};

/// The radius of a place.
pub(super) const RADIUS: f64 = 20.0;

/// The distance between a place and the label below it.
pub(super) const BELOW: f64 = 5.0;

/// The height of a transition whose label has one or two lines.
const BOX_HEIGHT: f64 = 40.0;

/// The widest line of a label.
const WIDEST: f64 = 100.0;

/// A node: places first, then transitions, each in the order of the net.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Shape {
    /// True if it is a place.
    pub is_place: bool,
    /// The width of the circle or box.
    pub width: f64,
    /// The height of the circle or box.
    pub height: f64,
    /// The text below a place or in a transition, line by line.
    pub label: Vec<String>,
}

/// The kind of an arc in the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Mark {
    /// An arrow from the place.
    Consume,
    /// An arrow to the place.
    Produce,
    /// A dashed line without a head.
    Read,
    /// A line that ends in a small circle at the transition.
    Inhibitor,
    /// An arrow with two heads at the transition.
    Reset,
}

/// An arc. Several of one kind between the same two nodes are one, as they fire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Link {
    /// The place's index in the net.
    pub place: usize,
    /// The transition's index in the net.
    pub transition: usize,
    /// Its kind.
    pub mark: Mark,
    /// Number of tokens.
    pub weight: u64,
}

impl Mark {
    /// Its name: the kinds of a definition, and `produce`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Consume => "consume",
            Self::Produce => "produce",
            Self::Read => "read",
            Self::Inhibitor => "inhibitor",
            Self::Reset => "reset",
        }
    }
}

impl Link {
    /// The node where it begins and the one where it ends.
    pub(super) fn ends(&self, places: usize) -> (usize, usize) {
        let transition = places + self.transition;
        match self.mark {
            Mark::Produce => (transition, self.place),
            _ => (self.place, transition),
        }
    }

    /// The text beside it: its weight, where that is not 1 and counts.
    pub(super) fn weight_shown(&self) -> Option<String> {
        (self.weight != 1 && self.mark != Mark::Reset).then(|| self.weight.to_string())
    }
}

impl Shape {
    /// Half the width of the circle or box, or of the label if that is wider.
    pub(super) fn half_width(&self) -> f64 {
        let label = if self.is_place { label::widest(&self.label) } else { 0.0 };
        self.width.max(label) / 2.0
    }

    /// The height that the label adds below a place.
    pub(super) fn label_height(&self) -> f64 {
        match self.label.len() {
            0 => 0.0,
            _ if !self.is_place => 0.0,
            lines => BELOW + lines as f64 * LINE,
        }
    }
}

/// The nodes of a net.
pub(super) fn shapes(net: &Net) -> Vec<Shape> {
    let places = net.places.iter().map(|place| {
        let mut label = label::wrap(place.label(), WIDEST, 2);
        label.extend(place.capacity.map(|capacity| format!("k={capacity}")));
        Shape { is_place: true, width: 2.0 * RADIUS, height: 2.0 * RADIUS, label }
    });
    let transitions = net.transitions.iter().map(|transition| {
        let mut label = label::wrap(transition.label(), WIDEST, 3);
        label.extend(label::outcome(transition).iter().flat_map(|of| label::wrap(of, WIDEST, 1)));
        let width = (label::widest(&label) + 14.0).max(24.0);
        let height = (label.len() as f64 * LINE + FONT).max(BOX_HEIGHT);
        Shape { is_place: false, width, height, label }
    });
    places.chain(transitions).collect()
}

/// The arcs of a net, transition by transition.
pub(super) fn links(net: &Net) -> Vec<Link> {
    let mut links = Vec::new();
    for (transition, of) in net.transitions.iter().enumerate() {
        let mut weights: BTreeMap<(usize, Mark), u64> = BTreeMap::new();
        for arc in &of.arcs.inputs {
            let mark = match arc.kind {
                ArcKind::Consume => Mark::Consume,
                ArcKind::Read => Mark::Read,
                ArcKind::Inhibitor => Mark::Inhibitor,
                ArcKind::Reset => Mark::Reset,
            };
            let least = |before: &mut u64| {
                *before = match mark {
                    Mark::Inhibitor => arc.weight.min(*before),
                    _ => arc.weight.saturating_add(*before),
                }
            };
            weights.entry((arc.place, mark)).and_modify(least).or_insert(arc.weight);
        }
        for (place, weight) in &of.arcs.outputs {
            let sum = weights.entry((*place, Mark::Produce)).or_default();
            *sum = sum.saturating_add(*weight);
        }
        links.extend(weights.into_iter().map(|((place, mark), weight)| Link {
            place,
            transition,
            mark,
            weight,
        }));
    }
    links
}

/// The steps that each arc is aside from the middle of those between the same two nodes. Seen from
/// the place, they are on different sides.
pub(super) fn aside(links: &[Link]) -> Vec<f64> {
    let pair = |link: &Link| (link.place, link.transition);
    let mut together: HashMap<(usize, usize), usize> = HashMap::new();
    for link in links {
        *together.entry(pair(link)).or_default() += 1;
    }
    let mut seen: HashMap<(usize, usize), usize> = HashMap::new();
    let aside = |link: &Link| {
        let number = seen.entry(pair(link)).or_default();
        let aside = *number as f64 - (together[&pair(link)] - 1) as f64 / 2.0;
        *number += 1;
        aside
    };
    links.iter().map(aside).collect()
}
