//! Workflow definitions: the net, as a person writes it and as it is stored.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    Activity, ActivityDefaults, LogSequence, PlaceId, Problems, TransitionId, Version, WorkflowId,
    wait,
};

/// A workflow: places, transitions, and the place where a new case starts.
///
/// `engine::Net::compile` checks it and makes the form that fires.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct WorkflowDefinition {
    /// The workflow's id.
    pub id: WorkflowId,
    /// A name for people.
    #[serde(default)]
    pub name: String,
    /// Purpose of the workflow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The places, at least one.
    pub places: Vec<Place>,
    /// The transitions.
    #[serde(default)]
    pub transitions: Vec<Transition>,
    /// The place where a new case gets its first token.
    pub initial_place: PlaceId,
    /// The markings that a case is to come to, each a number of tokens by place; other places
    /// have none. If the list is empty, cases are to end in terminal places. The analysis and
    /// exports use them; a case completes in terminal places alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub final_markings: Vec<BTreeMap<PlaceId, u64>>,
    /// The most immediate firings that may follow one change, 1 to
    /// [`MOST_IN_CASCADE`](Self::MOST_IN_CASCADE); [`CASCADE`](Self::CASCADE) where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_cascade: Option<u32>,
    /// Defaults of its activities, for those that say nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub defaults: Option<ActivityDefaults>,
    /// Any other values that the owner wants to keep with the definition.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub metadata: Map<String, Value>,
}

impl WorkflowDefinition {
    /// Number of immediate firings that may follow one change where the definition says nothing.
    pub const CASCADE: u32 = 1_000;

    /// Returns true if a part of it fires by itself, which programs of format 1 don't know.
    pub fn runs_by_itself(&self) -> bool {
        let runs = |of: &Transition| of.fires_by_itself() || of.activity.is_some();
        self.max_cascade.is_some() || self.defaults.is_some() || self.transitions.iter().any(runs)
    }

    /// Returns true if workers carry out some of its transitions.
    pub fn has_activities(&self) -> bool {
        self.transitions.iter().any(|of| of.activity.is_some())
    }

    /// Returns true if some of its transitions are timed.
    pub fn is_timed(&self) -> bool {
        self.transitions.iter().any(|of| of.after.is_some() || of.at.is_some())
    }

    /// The problems of a definition that runs by itself where older programs write into the log.
    pub(crate) fn problems_of_level(&self) -> Problems {
        let mut problems = Problems::default();
        let reason = "runs by itself, and this log may have programs that don't know of it: once every \
                      program of the system is of this version or a later one, allow it by \
                      `petrel level 2`";
        if self.max_cascade.is_some() {
            problems.add("max_cascade", reason);
        }
        if self.defaults.is_some() {
            problems.add("defaults", reason);
        }
        for (number, transition) in self.transitions.iter().enumerate() {
            let keys = [
                ("auto", transition.auto),
                ("after", transition.after.is_some()),
                ("at", transition.at.is_some()),
                ("activity", transition.activity.is_some()),
            ];
            for (key, _) in keys.iter().filter(|(_, is_there)| *is_there) {
                problems.add(format!("transitions[{number}].{key}"), reason);
            }
        }
        problems
    }

    /// The most that a definition may allow: for nets that are wide, and no cycle.
    pub const MOST_IN_CASCADE: u32 = 10_000;
}

/// A place: holds tokens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// The place's id, unique in the workflow.
    pub id: PlaceId,
    /// A name for people; the id where none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Meaning of a token here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The most tokens of one case that the place can hold; unlimited where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity: Option<u64>,
    /// Purpose of the place.
    #[serde(default, skip_serializing_if = "PlaceKind::is_normal")]
    pub kind: PlaceKind,
}

/// Purpose of a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum PlaceKind {
    /// A place like any other. With no transition that takes from it, it is terminal too.
    #[default]
    Normal,
    /// A case whose tokens are all in terminal places is completed.
    Terminal,
}

impl PlaceKind {
    fn is_normal(&self) -> bool {
        *self == Self::Normal
    }
}

/// A transition: takes tokens from places and gives tokens to places, all at once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Transition {
    /// The transition's id, unique in the workflow.
    pub id: TransitionId,
    /// A name for people; the id where none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Meaning of a firing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Arcs from places to this transition.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<InputArc>,
    /// Arcs from this transition to places.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<OutputArc>,
    /// Short form: takes one token from *any one* of these places. Each place is a firing
    /// mode of its own, tried in the order given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub from_places: Vec<PlaceId>,
    /// Short form: gives one token to this place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_place: Option<PlaceId>,
    /// Conditions on the tokens that it would take. All of them must hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Guard>,
    /// A CEL expression that gives a map, merged into the data of the produced tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// Fires by itself as soon as it is enabled: an immediate transition.
    #[serde(default, skip_serializing_if = "is_false")]
    pub auto: bool,
    /// Rank of an immediate transition: of those that are enabled the highest fires first, and of
    /// equal ones the first in the definition. 0 where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = -2147483648, max = 2147483647)))]
    pub priority: Option<i32>,
    /// Fires by itself once it has been enabled for so long: a time such as `30s` or `2h 30m`, or a CEL
    /// expression that gives a duration. A number is one of seconds.
    #[serde(default, deserialize_with = "wait::deserialize")]
    #[cfg_attr(feature = "schema", schemars(schema_with = "wait::schema"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Fires by itself at this time, once it is enabled: a CEL expression that gives a timestamp.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// Fires when a worker has carried it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activity: Option<Activity>,
    /// A step that nobody does: event logs and the labels of exports leave it out.
    #[serde(default, skip_serializing_if = "is_false")]
    pub silent: bool,
}

impl Transition {
    /// Returns true if the engine fires it, and callers don't.
    pub fn fires_by_itself(&self) -> bool {
        self.auto || self.after.is_some() || self.at.is_some()
    }
}

/// An arc from a place to a transition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct InputArc {
    /// The place that it starts from.
    pub place: PlaceId,
    /// Number of tokens; its meaning depends on the [`ArcKind`]. A reset arc ignores it.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub weight: u64,
    /// Effect of the arc.
    #[serde(default, skip_serializing_if = "ArcKind::is_consume")]
    pub kind: ArcKind,
}

/// An arc from a transition to a place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct OutputArc {
    /// The place that it leads to.
    pub place: PlaceId,
    /// Number of tokens that it gives.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub weight: u64,
}

impl OutputArc {
    /// The most tokens that one output arc may give, so that a typing error in a weight can't
    /// make a record that no server takes.
    pub const MAX_WEIGHT: u64 = 10_000;
}

fn is_false(flag: &bool) -> bool {
    !flag
}

fn one() -> u64 {
    1
}

fn is_one(weight: &u64) -> bool {
    *weight == 1
}

/// Effect of an input arc when its transition fires.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ArcKind {
    /// Takes `weight` tokens.
    #[default]
    Consume,
    /// Needs `weight` tokens and leaves them.
    Read,
    /// Forbids firing while the place holds `weight` tokens or more.
    Inhibitor,
    /// Empties the place; never hinders firing.
    Reset,
}

impl ArcKind {
    fn is_consume(&self) -> bool {
        *self == Self::Consume
    }
}

/// A condition on a firing: a CEL expression as text, or a tree of rules.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(
    untagged,
    expecting = "a condition is needed here: an expression in CEL as a text, or a rule \
                 such as {exists: …}"
)]
pub enum Guard {
    /// A CEL expression over `token`, `tokens` and `case` that gives true or false.
    Cel(String),
    /// A tree of rules, turned into the same evaluator.
    Rule(Rule),
}

/// A rule tree. `path` is dotted: `token.data.amount`, `case.id`; one that starts with none
/// of `token`, `tokens` and `case` is read inside `token.data`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Rule {
    /// The path leads to something that is not null.
    Exists(String),
    /// The value at `path` equals `value`.
    Equals {
        /// Dotted path in the tokens or the case.
        path: String,
        /// Value to compare with.
        value: Value,
    },
    /// The value at `path` is greater than `value`.
    Greater {
        /// Dotted path in the tokens or the case.
        path: String,
        /// Value to compare with: a number or a text.
        value: Value,
    },
    /// The value at `path` is less than `value`.
    Less {
        /// Dotted path in the tokens or the case.
        path: String,
        /// Value to compare with: a number or a text.
        value: Value,
    },
    /// The list at `path` has the element `value`, the text has the part `value`, or the map
    /// has the key `value`.
    Contains {
        /// Dotted path in the tokens or the case.
        path: String,
        /// Element, part or key to look for.
        value: Value,
    },
    /// All of them hold.
    And(Vec<Rule>),
    /// One of them holds.
    Or(Vec<Rule>),
    /// The rule does not hold.
    Not(Box<Rule>),
}

/// A version of a definition as the log holds it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StoredDefinition {
    /// The definition.
    pub definition: WorkflowDefinition,
    /// Number of the version, counted from 1.
    pub version: Version,
    /// The sequence of its message in the log; cases name it.
    pub sequence: LogSequence,
    /// Time at which the server stored it.
    pub stored_at: chrono::DateTime<chrono::Utc>,
}
