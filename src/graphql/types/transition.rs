//! The net: places, transitions and arcs.

use std::sync::Arc;

use async_graphql::{Enum, ID, Json, Object, SimpleObject};
use serde_json::Value;

use super::activity::Activity;
use crate::{
    graphql::{global::GlobalId, scalars::int},
    models::{self, LogSequence, WorkflowId},
};

/// The role of a place.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "models::PlaceKind")]
pub enum PlaceKind {
    /// A place like any other. With no transition that takes from it, it is terminal too.
    Normal,
    /// A case whose tokens are all in terminal places is completed.
    Terminal,
}

/// The effect of an input arc when its transition fires.
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
pub(crate) struct Place {
    of: Arc<models::StoredDefinition>,
    at: usize,
}

impl Place {
    /// The place at an index of a version of a workflow, which has as many.
    pub(crate) fn of(of: Arc<models::StoredDefinition>, at: usize) -> Self {
        Self { of, at }
    }

    fn place(&self) -> &models::Place {
        &self.of.definition.places[self.at]
    }
}

/// A place: holds tokens.
#[Object]
impl Place {
    /// An id that is unique across everything. In each version of the workflow it is another one.
    pub async fn id(&self) -> ID {
        let workflow = self.of.definition.id.clone();
        GlobalId::Place(workflow, self.of.sequence, self.place().id.clone()).into()
    }

    /// The place's own id, unique in the workflow.
    async fn place_id(&self) -> ID {
        ID::from(&self.place().id)
    }

    /// A name for people; the place's own id where none was given.
    async fn name(&self) -> &str {
        self.place().name.as_deref().unwrap_or(self.place().id.as_str())
    }

    /// The meaning of a token here.
    async fn description(&self) -> Option<&str> {
        self.place().description.as_deref()
    }

    /// The most tokens of one case that the place can hold; null where unlimited.
    async fn capacity(&self) -> Option<i32> {
        self.place().capacity.map(int)
    }

    /// The role of the place.
    async fn kind(&self) -> PlaceKind {
        self.place().kind.into()
    }
}

/// An arc from a place to a transition.
#[derive(SimpleObject)]
pub(super) struct InputArc {
    /// The id of the place where it starts.
    place: ID,
    /// Number of tokens; its meaning depends on the kind. A reset arc ignores it. 2,147,483,647
    /// where it is more.
    weight: i32,
    /// The effect of the arc.
    kind: ArcKind,
}

/// An arc from a transition to a place.
#[derive(SimpleObject)]
pub(super) struct OutputArc {
    /// The id of the place where it ends.
    place: ID,
    /// Number of tokens that it gives.
    weight: i32,
}

/// Arcs of a definition.
pub(super) fn output_arcs(of: &[models::OutputArc]) -> Vec<OutputArc> {
    let arc = |arc: &models::OutputArc| OutputArc {
        place: ID::from(&arc.place),
        weight: int(arc.weight),
    };
    of.iter().map(arc).collect()
}

/// A transition: takes tokens from places and gives tokens to places, all at once.
pub(crate) struct Transition {
    workflow: WorkflowId,
    version: LogSequence,
    transition: models::Transition,
}

impl Transition {
    /// A transition of the version of a workflow at a log sequence.
    pub(crate) fn of(
        workflow: WorkflowId,
        version: LogSequence,
        transition: models::Transition,
    ) -> Self {
        Self { workflow, version, transition }
    }
}

/// A transition: takes tokens from places and gives tokens to places, all at once.
#[Object]
impl Transition {
    /// An id that is unique across everything. In each version of the workflow it is another one.
    pub async fn id(&self) -> ID {
        let (workflow, transition) = (self.workflow.clone(), self.transition.id.clone());
        GlobalId::Transition(workflow, self.version, transition).into()
    }

    /// The transition's own id, unique in the workflow.
    async fn transition_id(&self) -> ID {
        ID::from(&self.transition.id)
    }

    /// A name for people; the transition's own id where none was given.
    async fn name(&self) -> &str {
        self.transition.name.as_deref().unwrap_or(self.transition.id.as_str())
    }

    /// The meaning of firing it.
    async fn description(&self) -> Option<&str> {
        self.transition.description.as_deref()
    }

    /// Arcs from places to this transition.
    async fn inputs(&self) -> Vec<InputArc> {
        let arc = |arc: &models::InputArc| InputArc {
            place: ID::from(&arc.place),
            weight: int(arc.weight),
            kind: arc.kind.into(),
        };
        self.transition.inputs.iter().map(arc).collect()
    }

    /// Arcs from this transition to places.
    async fn outputs(&self) -> Vec<OutputArc> {
        output_arcs(&self.transition.outputs)
    }

    /// Short form: the ids of the places of which it takes one token from any one.
    async fn from_places(&self) -> Vec<ID> {
        self.transition.from_places.iter().map(ID::from).collect()
    }

    /// Short form: the id of the place that it gives one token to.
    async fn to_place(&self) -> Option<ID> {
        self.transition.to_place.as_ref().map(ID::from)
    }

    /// Conditions that the tokens it would take must meet: CEL expressions as strings, rules as
    /// objects. All of them must hold.
    async fn conditions(&self) -> Json<Value> {
        // Guards were read from JSON, so they can be written as JSON.
        Json(serde_json::to_value(&self.transition.conditions).unwrap_or_default())
    }

    /// A CEL expression that gives a map, merged into the data of the produced tokens.
    async fn output(&self) -> Option<&str> {
        self.transition.output.as_deref()
    }

    /// True if it fires by itself as soon as it is enabled: an immediate transition.
    async fn auto(&self) -> bool {
        self.transition.auto
    }

    /// The rank of an immediate transition: of those that are enabled the highest fires first.
    async fn priority(&self) -> i32 {
        self.transition.priority.unwrap_or_default()
    }

    /// The time for which a timed transition is enabled before it fires by itself: `30s`, or a CEL
    /// expression.
    async fn after(&self) -> Option<&str> {
        self.transition.after.as_deref()
    }

    /// The CEL expression of the time at which a timed transition fires by itself.
    async fn at(&self) -> Option<&str> {
        self.transition.at.as_deref()
    }

    /// The work that a worker carries out before it fires. Null if none does.
    async fn activity(&self) -> Option<Activity> {
        self.transition.activity.as_ref().map(Activity::from)
    }

    /// True if it is a step that is no activity: event logs and exports leave out its label.
    async fn silent(&self) -> bool {
        self.transition.silent
    }
}
