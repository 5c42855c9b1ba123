//! The content of a PNML file, with pages flattened and references followed.

use super::{super::Point, read_arcs};
use crate::models::{
    Activity, ActivityDefaults, ArcKind,
    petri::{self, Arcs, Input, Marking},
};

/// A PNML file.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Document {
    /// The nets, at least one.
    pub nets: Vec<PnmlNet>,
    /// Things that were passed over, since they can't change the firings; the last one has the
    /// number of the others, if there are very many.
    pub notes: Vec<Note>,
}

/// Something in the file that was read and is not part of the net.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The line of the first, from 1.
    pub line: usize,
    /// Its description.
    pub message: String,
    /// Number of things like it.
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
    /// The most immediate firings that may follow one change, if a note of ours says so.
    pub max_cascade: Option<u32>,
    /// Defaults of activities, if a note of ours says them.
    pub defaults: Option<ActivityDefaults>,
    /// Notes of tools for themselves.
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
    /// Its graphics.
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
    /// Its graphics.
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
    /// Its graphics.
    pub graphics: Option<Box<NodeGraphics>>,
    /// The index of its page.
    pub page: Option<usize>,
    /// True if it is no activity: ProM and PM4Py call it invisible.
    pub silent: bool,
    /// Its rank, if a note of ours says that it fires by itself as soon as it is enabled.
    pub immediate: Option<i32>,
    /// The time at which it fires by itself, if a note of ours says it.
    pub timed: Option<petri::Timed>,
    /// The work that a worker does before it fires, if a note of ours says it.
    pub work: Option<Work>,
}

/// Work before a firing, as a note of ours has it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Work {
    /// The way of the activity that the transition is, where that has several.
    pub way: Option<petri::Way>,
    /// The activity, with its outcomes' expressions and without their arcs, which are the net's. Of the
    /// ways of one activity the first one has it.
    pub activity: Option<Box<Activity>>,
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
    /// Its direction.
    pub direction: Direction,
    /// Its effect; [`ArcKind::Consume`] on the way to a place, where it produces.
    pub kind: ArcKind,
    /// Number of tokens. Only dialects have 0, on arcs that then change nothing.
    pub weight: u64,
    /// Its graphics.
    pub graphics: Option<Box<ArcGraphics>>,
    /// The index of its page.
    pub page: Option<usize>,
}

/// The direction of an arc.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// It goes from the place to the transition.
    ToTransition,
    /// It goes from the transition to the place.
    ToPlace,
}

/// A reference place or transition.
#[derive(Debug, Clone, PartialEq)]
pub struct Reference {
    /// Its id, unique among the nodes of the net.
    pub id: String,
    /// Its name.
    pub name: Option<String>,
    /// The node that it leads to in the end.
    pub target: Node,
    /// Its graphics.
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

/// The graphics of a node or a page.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct NodeGraphics {
    /// Its middle.
    pub position: Option<Point>,
    /// Its width and height.
    pub dimension: Option<Point>,
    /// The position of its name, from its middle.
    pub name_offset: Option<Point>,
}

/// The graphics of an arc.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ArcGraphics {
    /// The points that it passes, from source to target.
    pub points: Vec<Point>,
    /// The position of its weight.
    pub weight_offset: Option<Point>,
}

/// A note of a tool for itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolSpecific {
    /// The part that it is about.
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
    /// reads or gives 0 tokens changes nothing and is left out. A read arc in a file looks at the
    /// tokens that other arcs take, too; its weight here means the same.
    pub fn petri(&self) -> petri::Net {
        let place = |place: &Place| petri::Place {
            id: place.id.clone(),
            name: place.name.clone(),
            tokens: place.tokens,
            capacity: place.capacity,
        };
        let works = self.works();
        let transition =
            |(transition, work): (&Transition, Option<petri::Work>)| petri::Transition {
                id: transition.id.clone(),
                name: transition.name.clone(),
                arcs: Arcs::default(),
                silent: transition.silent,
                immediate: transition.immediate,
                timed: transition.timed.clone(),
                work,
            };
        let mut net = petri::Net {
            name: self.name.clone().unwrap_or_else(|| self.id.clone()),
            places: self.places.iter().map(place).collect(),
            transitions: self.transitions.iter().zip(works).map(transition).collect(),
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
