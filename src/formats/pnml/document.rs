//! What a PNML file says, with pages flattened and references followed.

use super::{super::Point, read_arcs};
use crate::models::{
    ArcKind,
    petri::{self, Arcs, Input, Marking},
};

/// A PNML file.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Document {
    /// The nets, at least one.
    pub nets: Vec<PnmlNet>,
    /// What was passed over, since it says nothing about what can fire; the last one says how much
    /// more there was, if it is very much.
    pub notes: Vec<Note>,
}

/// Something in the file that was read and is not part of the net.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The line of the first, from 1.
    pub line: usize,
    /// What it is.
    pub message: String,
    /// How many of them there are.
    pub count: usize,
}

/// A place/transition net of a file.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PnmlNet {
    /// Its id; empty where a dialect gives none.
    pub id: String,
    /// The type that the file names; empty where a dialect names none.
    pub net_type: String,
    /// Its name.
    pub name: Option<String>,
    /// The pages, in the order of the file; a page's parent comes before it.
    pub pages: Vec<Page>,
    /// The places.
    pub places: Vec<Place>,
    /// The transitions.
    pub transitions: Vec<Transition>,
    /// The arcs, between places and transitions: references are followed.
    pub arcs: Vec<Arc>,
    /// The reference places and transitions, which are drawn and mean nothing by themselves.
    pub references: Vec<Reference>,
    /// Places (by index) and their tokens in each final marking; other places have none.
    pub final_marking_entries: Vec<Vec<(usize, u64)>>,
    /// What tools noted for themselves.
    pub tool_specific: Vec<ToolSpecific>,
}

/// A page of a net.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Page {
    /// Its id; empty where a dialect gives none.
    pub id: String,
    /// Its name.
    pub name: Option<String>,
    /// The index of the page that it is on.
    pub parent: Option<usize>,
    /// How it is drawn.
    pub graphics: Option<Box<NodeGraphics>>,
}

/// A place.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Place {
    /// Its id, unique among the nodes of the net.
    pub id: String,
    /// Its name.
    pub name: Option<String>,
    /// Its tokens in the initial marking.
    pub tokens: u64,
    /// The most tokens that it can hold. The standard has no capacities; dialects do.
    pub capacity: Option<u64>,
    /// How it is drawn.
    pub graphics: Option<Box<NodeGraphics>>,
    /// The index of its page.
    pub page: Option<usize>,
}

/// A transition.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Transition {
    /// Its id, unique among the nodes of the net.
    pub id: String,
    /// Its name.
    pub name: Option<String>,
    /// How it is drawn.
    pub graphics: Option<Box<NodeGraphics>>,
    /// The index of its page.
    pub page: Option<usize>,
    /// Whether it is no activity: what ProM and PM4Py call invisible.
    pub silent: bool,
}

/// An arc.
#[derive(Debug, Clone, PartialEq)]
pub struct Arc {
    /// Its id; empty where a dialect gives none.
    pub id: String,
    /// The index of its place.
    pub place: usize,
    /// The index of its transition.
    pub transition: usize,
    /// Which way it goes.
    pub direction: Direction,
    /// What it does; [`ArcKind::Consume`] on the way to a place, where it produces.
    pub kind: ArcKind,
    /// How many tokens. Only dialects have 0, on arcs that then change nothing.
    pub weight: u64,
    /// How it is drawn.
    pub graphics: Option<Box<ArcGraphics>>,
    /// The index of its page.
    pub page: Option<usize>,
}

/// Which way an arc goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the place to the transition.
    ToTransition,
    /// From the transition to the place.
    ToPlace,
}

/// A reference place or transition.
#[derive(Debug, Clone, PartialEq)]
pub struct Reference {
    /// Its id, unique among the nodes of the net.
    pub id: String,
    /// Its name.
    pub name: Option<String>,
    /// What it leads to in the end.
    pub target: Node,
    /// How it is drawn.
    pub graphics: Option<Box<NodeGraphics>>,
    /// The index of its page.
    pub page: Option<usize>,
}

/// A place or a transition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Node {
    /// The place with this index.
    Place(usize),
    /// The transition with this index.
    Transition(usize),
}

/// How a node or a page is drawn.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct NodeGraphics {
    /// Where its middle is.
    pub position: Option<Point>,
    /// How wide and high it is.
    pub dimension: Option<Point>,
    /// Where its name stands, from its middle.
    pub name_offset: Option<Point>,
}

/// How an arc is drawn.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ArcGraphics {
    /// The points that it passes, from source to target.
    pub points: Vec<Point>,
    /// Where its weight stands.
    pub weight_offset: Option<Point>,
}

/// What a tool noted for itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolSpecific {
    /// What it is about.
    pub part: Part,
    /// The tool; empty where a dialect doesn't say.
    pub tool: String,
    /// The tool's version; empty where a dialect doesn't say.
    pub version: String,
    /// Other attributes, and the namespaces that the content uses, as in the file.
    pub attributes: Vec<(String, String)>,
    /// The XML inside, as in the file.
    pub content: String,
}

/// A part of a net.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The net.
    Net,
    /// The page with this index.
    Page(usize),
    /// The place with this index.
    Place(usize),
    /// The transition with this index.
    Transition(usize),
    /// The reference with this index.
    Reference(usize),
    /// The arc with this index.
    Arc(usize),
}

impl PnmlNet {
    /// The net alone: places, transitions and arcs in the order of the file. An arc that takes,
    /// reads or gives 0 tokens changes nothing and is left out. A read arc looks at what other arcs
    /// take, too, and gets the weight that says so here.
    pub fn petri(&self) -> petri::Net {
        let place = |place: &Place| petri::Place {
            id: place.id.clone(),
            name: place.name.clone(),
            tokens: place.tokens,
            capacity: place.capacity,
        };
        let transition = |transition: &Transition| petri::Transition {
            id: transition.id.clone(),
            name: transition.name.clone(),
            arcs: Arcs::default(),
            silent: transition.silent,
        };
        let mut net = petri::Net {
            name: self.name.clone().unwrap_or_else(|| self.id.clone()),
            places: self.places.iter().map(place).collect(),
            transitions: self.transitions.iter().map(transition).collect(),
        };
        for arc in &self.arcs {
            let Arc { place, weight, kind, .. } = *arc;
            let arcs = &mut net.transitions[arc.transition].arcs;
            match arc.direction {
                _ if weight == 0 && matches!(kind, ArcKind::Consume | ArcKind::Read) => {}
                Direction::ToTransition => arcs.inputs.push(Input { place, weight, kind }),
                Direction::ToPlace => arcs.outputs.push((place, weight)),
            }
        }
        for transition in &mut net.transitions {
            let inputs = std::mem::take(&mut transition.arcs.inputs);
            transition.arcs.inputs = read_arcs::from_file(inputs);
        }
        net
    }

    /// The final markings that the file names, each with the tokens of every place.
    pub fn final_markings(&self) -> impl Iterator<Item = Marking> {
        self.final_marking_entries.iter().map(|entries| {
            let mut marking = vec![0; self.places.len()];
            entries.iter().for_each(|(place, tokens)| marking[*place] = *tokens);
            marking
        })
    }
}
