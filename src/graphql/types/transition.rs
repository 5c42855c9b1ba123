//! The net: places, transitions and arcs.

use async_graphql::{Enum, ID, Json, Object, SimpleObject};
use serde_json::Value;

use crate::{graphql::scalars::int, models};

/// What a place is for.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "models::PlaceKind")]
pub enum PlaceKind {
    /// A place like any other. With no transition that takes from it, it is terminal too.
    Normal,
    /// A case whose tokens are all in terminal places is completed.
    Terminal,
}

/// What an input arc does when its transition fires.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "models::ArcKind")]
pub enum ArcKind {
    /// Takes `weight` tokens.
    Consume,
    /// Needs `weight` tokens and leaves them.
    Read,
    /// Forbids firing while the place holds `weight` tokens or more.
    Inhibitor,
    /// Empties the place; never hinders firing.
    Reset,
}

/// A place: holds tokens.
#[derive(SimpleObject)]
pub struct Place {
    /// The place's id, unique in the workflow.
    id: ID,
    /// A name for people; the id where none was given.
    name: String,
    /// What a token here means.
    description: Option<String>,
    /// The most tokens of one case that the place can hold; null where unlimited.
    /// 2,147,483,647 where it is more.
    capacity: Option<i32>,
    /// What the place is for.
    kind: PlaceKind,
}

impl From<&models::Place> for Place {
    fn from(place: &models::Place) -> Self {
        Self {
            id: ID::from(&place.id),
            name: place.name.clone().unwrap_or_else(|| place.id.to_string()),
            description: place.description.clone(),
            capacity: place.capacity.map(int),
            kind: place.kind.into(),
        }
    }
}

/// An arc from a place to a transition.
#[derive(SimpleObject)]
pub struct InputArc {
    /// The id of the place where it starts.
    place: ID,
    /// How many tokens; what the number means is the kind's to say. A reset arc ignores it.
    /// 2,147,483,647 where it is more.
    weight: i32,
    /// What the arc does.
    kind: ArcKind,
}

/// An arc from a transition to a place.
#[derive(SimpleObject)]
pub struct OutputArc {
    /// The id of the place where it ends.
    place: ID,
    /// How many tokens it gives.
    weight: i32,
}

/// A transition: takes tokens from places and gives tokens to places, all at once.
pub struct Transition(pub models::Transition);

/// A transition: takes tokens from places and gives tokens to places, all at once.
#[Object]
impl Transition {
    /// The transition's id, unique in the workflow.
    async fn id(&self) -> ID {
        ID::from(&self.0.id)
    }

    /// A name for people; the id where none was given.
    async fn name(&self) -> &str {
        self.0.name.as_deref().unwrap_or(self.0.id.as_str())
    }

    /// What firing it means.
    async fn description(&self) -> Option<&str> {
        self.0.description.as_deref()
    }

    /// Arcs from places to this transition.
    async fn inputs(&self) -> Vec<InputArc> {
        let arc = |arc: &models::InputArc| InputArc {
            place: ID::from(&arc.place),
            weight: int(arc.weight),
            kind: arc.kind.into(),
        };
        self.0.inputs.iter().map(arc).collect()
    }

    /// Arcs from this transition to places.
    async fn outputs(&self) -> Vec<OutputArc> {
        let arc = |arc: &models::OutputArc| OutputArc {
            place: ID::from(&arc.place),
            weight: int(arc.weight),
        };
        self.0.outputs.iter().map(arc).collect()
    }

    /// Short form: the ids of the places of which it takes one token from any one.
    async fn from_places(&self) -> Vec<ID> {
        self.0.from_places.iter().map(ID::from).collect()
    }

    /// Short form: the id of the place that it gives one token to.
    async fn to_place(&self) -> Option<ID> {
        self.0.to_place.as_ref().map(ID::from)
    }

    /// What must be true of the tokens it would take: CEL expressions as strings, rules as
    /// objects. All of them must hold.
    async fn conditions(&self) -> Json<Value> {
        // Guards were read from JSON, so they can be written as JSON.
        Json(serde_json::to_value(&self.0.conditions).unwrap_or_default())
    }

    /// A CEL expression that gives a map, merged into the data of the produced tokens.
    async fn output(&self) -> Option<&str> {
        self.0.output.as_deref()
    }

    /// Whether it is a step that is no activity: event logs and exports leave out its label.
    async fn silent(&self) -> bool {
        self.0.silent
    }
}
