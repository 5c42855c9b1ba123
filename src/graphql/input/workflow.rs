//! The input of the creation of a workflow.

use std::collections::BTreeMap;

use async_graphql::{ID, InputObject, Json};
use serde_json::Value;
use uuid::Uuid;

use super::{
    activity::{ActivityDefaultsInput, ActivityInput},
    arc::{InputArcInput, OutputArcInput, inputs, outputs},
    reader::Reader,
};
use crate::{
    engine::Net,
    graphql::{global::GlobalId, types::PlaceKind},
    models::{self, Guard, PlaceId, Version, WorkflowDefinition},
    petrel::{Error, ExpectedVersion},
};

/// The input of `createWorkflow`.
#[derive(InputObject)]
pub(crate) struct CreateWorkflowInput {
    /// The workflow's id; a new UUID where absent. An id that exists gets a new version,
    /// unless the definition is the same.
    id: Option<ID>,
    /// A name for people.
    name: String,
    /// The purpose of the workflow.
    description: Option<String>,
    /// The places, at least one.
    places: Vec<PlaceInput>,
    /// The transitions.
    transitions: Vec<TransitionInput>,
    /// The id of the place where a new case gets its first token.
    initial_place: ID,
    /// The markings that a case is to come to, where that is not a token in each terminal place.
    final_markings: Option<Vec<Vec<PlaceTokensInput>>>,
    /// The most immediate firings that may follow one change: 1 to 10,000, and 1,000 where absent.
    max_cascade: Option<u32>,
    /// Defaults of its activities, for those that say nothing else.
    defaults: Option<ActivityDefaultsInput>,
    /// Other data to keep with the definition.
    metadata: Option<Json<Value>>,
    /// The version that the workflow is believed to have: 0 for none yet. A `CONFLICT` if it has
    /// another; any version will do where absent.
    expected_version: Option<u32>,
}

/// A place.
#[derive(InputObject)]
struct PlaceInput {
    /// The place's id, unique in the workflow.
    id: ID,
    /// A name for people; the id where absent.
    name: Option<String>,
    /// The meaning of a token here.
    description: Option<String>,
    /// The most tokens of one case that the place can hold; unlimited where absent.
    capacity: Option<u32>,
    /// The role of the place.
    #[graphql(default_with = "PlaceKind::Normal")]
    kind: PlaceKind,
}

/// A transition: in the short form with `fromPlaces` and `toPlace`, or with arcs.
#[derive(InputObject)]
struct TransitionInput {
    /// The transition's id, unique in the workflow.
    id: ID,
    /// A name for people; the id where absent.
    name: Option<String>,
    /// The meaning of firing it.
    description: Option<String>,
    /// Short form: the ids of the places of which it takes one token from any one.
    from_places: Option<Vec<ID>>,
    /// Short form: the id of the place that it gives one token to.
    to_place: Option<ID>,
    /// Arcs from places to this transition.
    inputs: Option<Vec<InputArcInput>>,
    /// Arcs from this transition to places.
    outputs: Option<Vec<OutputArcInput>>,
    /// Conditions that the tokens it would take must meet: CEL expressions as strings, rules as
    /// objects (`{equals: {path: "amount", value: 7}}`). All of them must hold.
    conditions: Option<Vec<Json<Value>>>,
    /// A CEL expression that gives a map, merged into the data of the produced tokens.
    output: Option<String>,
    /// True if it fires by itself as soon as it is enabled: an immediate transition.
    #[graphql(default)]
    auto: bool,
    /// The rank of an immediate transition: of those that are enabled the highest fires first, and of
    /// equal ones the first in the definition. 0 where absent.
    priority: Option<i32>,
    /// A timed transition fires by itself once it has been enabled for so long: a time such as `30s` or
    /// `2h 30m`, or a CEL expression that gives a duration.
    after: Option<String>,
    /// A CEL expression that gives the time at which a timed transition fires by itself, once it is
    /// enabled.
    at: Option<String>,
    /// Work that a worker carries out, after which the transition fires.
    activity: Option<ActivityInput>,
    /// True if it is a step that is no activity: event logs leave it out.
    #[graphql(default)]
    silent: bool,
}

/// Number of tokens of a place in a final marking.
#[derive(InputObject)]
struct PlaceTokensInput {
    /// The id of the place.
    place_id: ID,
    /// Number of tokens.
    tokens: u32,
}

impl CreateWorkflowInput {
    /// The definition, and the version it is believed to have. The error has all faults at once:
    /// parts that can't be read, and parts that do not fit together.
    pub(crate) fn into_request(self) -> Result<(WorkflowDefinition, ExpectedVersion), Error> {
        let mut reader = Reader::default();
        let own_id = || ID::from(Uuid::now_v7());
        let id = self.id.unwrap_or_else(own_id);
        // The one that clients get of a workflow that exists stands for its own.
        let id = match id.parse() {
            Ok(GlobalId::Workflow(workflow, _)) => ID::from(workflow),
            _ => id,
        };
        let id = reader.id("id", &id);
        let places = self.places.into_iter().enumerate();
        let places = places.map(|(at, place)| reader.place(at, place)).collect();
        let transitions = self.transitions.into_iter().enumerate();
        let transitions = transitions.map(|(at, of)| reader.transition(at, of)).collect();
        let definition = WorkflowDefinition {
            id,
            name: self.name,
            description: self.description,
            places,
            transitions,
            initial_place: reader.id("initialPlace", &self.initial_place),
            final_markings: reader.final_markings(self.final_markings.unwrap_or_default()),
            max_cascade: self.max_cascade,
            defaults: self.defaults.map(|of| of.read(&mut reader)),
            metadata: reader.object("metadata", self.metadata),
        };
        let mut problems = reader.problems;
        if !problems.0.is_empty() {
            problems.0.extend(Net::compile(&definition).err().into_iter().flat_map(|more| more.0));
            return Err(Error::InvalidDefinition(problems));
        }
        let expected = match self.expected_version {
            None => ExpectedVersion::Any,
            Some(version) => {
                Version::new(version.into()).map_or(ExpectedVersion::New, ExpectedVersion::Version)
            }
        };
        Ok((definition, expected))
    }
}

impl Reader {
    fn place(&mut self, at: usize, place: PlaceInput) -> models::Place {
        models::Place {
            id: self.id(&format!("places[{at}].id"), &place.id),
            name: place.name,
            description: place.description,
            capacity: place.capacity.map(u64::from),
            kind: place.kind.into(),
        }
    }

    fn final_markings(&mut self, of: Vec<Vec<PlaceTokensInput>>) -> Vec<BTreeMap<PlaceId, u64>> {
        let markings = of.into_iter().enumerate().map(|(number, marking)| {
            let place = |(at, of): (usize, PlaceTokensInput)| {
                let path = format!("finalMarkings[{number}][{at}].placeId");
                (self.id(&path, &of.place_id), of.tokens.into())
            };
            marking.into_iter().enumerate().map(place).collect()
        });
        markings.collect()
    }

    fn transition(&mut self, at: usize, of: TransitionInput) -> models::Transition {
        let path = format!("transitions[{at}]");
        let inputs = inputs(of.inputs, &path, self);
        let outputs = outputs(of.outputs, &path, self);
        let from_places = of.from_places.unwrap_or_default().into_iter().enumerate();
        let from_places = from_places
            .map(|(at, place)| self.id(&format!("{path}.fromPlaces[{at}]"), &place))
            .collect();
        let conditions = of.conditions.unwrap_or_default().into_iter().enumerate();
        let conditions = conditions.filter_map(|(at, condition)| {
            let guard = guard(condition.0);
            guard.map_err(|why| self.problems.add(format!("{path}.conditions[{at}]"), why)).ok()
        });
        let conditions = conditions.collect();
        models::Transition {
            id: self.id(&format!("{path}.id"), &of.id),
            name: of.name,
            description: of.description,
            inputs,
            outputs,
            from_places,
            to_place: of.to_place.map(|place| self.id(&format!("{path}.toPlace"), &place)),
            conditions,
            output: of.output,
            auto: of.auto,
            priority: of.priority,
            after: of.after,
            at: of.at,
            activity: of.activity.map(|of| of.read(&format!("{path}.activity"), self)),
            silent: of.silent,
        }
    }
}

/// A condition, or the reason against it. It is read as the kind that its shape shows, so that the
/// reason is about that kind.
fn guard(condition: Value) -> Result<Guard, String> {
    match condition {
        Value::String(expression) => Ok(Guard::Cel(expression)),
        rule => serde_json::from_value(rule).map(Guard::Rule).map_err(|error| {
            let expected = "expected a CEL expression as a string, or a rule as an object";
            format!("{expected}: {error}")
        }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::models::Rule;

    #[test]
    fn a_condition_is_an_expression_or_a_rule() {
        let cel = guard(json!("token.data.amount > 5")).unwrap();
        assert_eq!(cel, Guard::Cel("token.data.amount > 5".into()));
        let rule = guard(json!({ "exists": "amount" })).unwrap();
        assert_eq!(rule, Guard::Rule(Rule::Exists("amount".into())));
    }

    #[test]
    fn a_condition_that_is_neither_says_what_was_expected() {
        let text = guard(json!({ "near": "x" })).unwrap_err();
        assert!(text.starts_with("expected a CEL") && text.contains("near"), "{text}");
    }
}
