//! What the creation of a workflow takes.

use std::{collections::BTreeMap, str::FromStr};

use async_graphql::{ID, InputObject, Json};
use serde_json::Value;
use uuid::Uuid;

use super::{Object, object};
use crate::{
    engine::Net,
    graphql::{
        global::GlobalId,
        types::{ArcKind, PlaceKind},
    },
    models::{self, Guard, IdError, PlaceId, Problems, WorkflowDefinition},
    petrel::{Error, ExpectedVersion},
};

/// What `createWorkflow` takes.
#[derive(InputObject)]
pub struct CreateWorkflowInput {
    /// The workflow's id; a new UUID where absent. An id that exists gets a new version,
    /// unless the definition is the same.
    id: Option<ID>,
    /// A name for people.
    name: String,
    /// What the workflow is for.
    description: Option<String>,
    /// The places, at least one.
    places: Vec<PlaceInput>,
    /// The transitions.
    transitions: Vec<TransitionInput>,
    /// The id of the place where a new case gets its first token.
    initial_place: ID,
    /// The markings that a case is to come to, where that is not a token in each terminal place.
    final_markings: Option<Vec<Vec<PlaceTokensInput>>>,
    /// Whatever else is to be kept with the definition.
    metadata: Option<Object>,
    /// The version that the workflow is believed to have: 0 for none yet. A `CONFLICT` if it
    /// has another; whatever it is where absent.
    expected_version: Option<u32>,
}

/// A place.
#[derive(InputObject)]
struct PlaceInput {
    /// The place's id, unique in the workflow.
    id: ID,
    /// A name for people; the id where absent.
    name: Option<String>,
    /// What a token here means.
    description: Option<String>,
    /// The most tokens of one case that the place can hold; unlimited where absent.
    capacity: Option<u32>,
    /// What the place is for.
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
    /// What firing it means.
    description: Option<String>,
    /// Short form: the ids of the places of which it takes one token from any one.
    from_places: Option<Vec<ID>>,
    /// Short form: the id of the place that it gives one token to.
    to_place: Option<ID>,
    /// Arcs from places to this transition.
    inputs: Option<Vec<InputArcInput>>,
    /// Arcs from this transition to places.
    outputs: Option<Vec<OutputArcInput>>,
    /// What must be true of the tokens it would take: CEL expressions as strings, rules as
    /// objects (`{equals: {path: "amount", value: 7}}`). All of them must hold.
    conditions: Option<Vec<Json<Value>>>,
    /// A CEL expression that gives a map, merged into the data of the produced tokens.
    output: Option<String>,
    /// Whether it is a step that is no activity: event logs leave it out.
    #[graphql(default)]
    silent: bool,
}

/// An arc from a place to a transition.
#[derive(InputObject)]
struct InputArcInput {
    /// The id of the place where it starts.
    place: ID,
    /// How many tokens; what the number means is the kind's to say.
    #[graphql(default = 1)]
    weight: u32,
    /// What the arc does.
    #[graphql(default_with = "ArcKind::Consume")]
    kind: ArcKind,
}

/// An arc from a transition to a place.
#[derive(InputObject)]
struct OutputArcInput {
    /// The id of the place where it ends.
    place: ID,
    /// How many tokens it gives.
    #[graphql(default = 1)]
    weight: u32,
}

/// How many tokens a place holds in a final marking.
#[derive(InputObject)]
struct PlaceTokensInput {
    /// The id of the place.
    place_id: ID,
    /// How many.
    tokens: u32,
}

impl CreateWorkflowInput {
    /// The definition, and the version it is believed to have. What is wrong with it is found
    /// all at once: what can't be read, and what does not fit together.
    pub fn into_request(self) -> Result<(WorkflowDefinition, ExpectedVersion), Error> {
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
            metadata: object(self.metadata),
        };
        let mut problems = reader.problems;
        if !problems.0.is_empty() {
            problems.0.extend(Net::compile(&definition).err().into_iter().flat_map(|more| more.0));
            return Err(Error::InvalidDefinition(problems));
        }
        let expected = match self.expected_version {
            None => ExpectedVersion::Any,
            Some(0) => ExpectedVersion::New,
            Some(version) => ExpectedVersion::Version(version.into()),
        };
        Ok((definition, expected))
    }
}

/// Reads a definition to its end, and notes what can't be read.
#[derive(Default)]
struct Reader {
    problems: Problems,
}

impl Reader {
    /// `value` as an id. One that is refused is noted, and something like it stands for it, so
    /// that the rest of the definition can be looked at.
    fn id<T: FromStr<Err = IdError>>(&mut self, path: &str, value: &ID) -> T {
        value.parse().unwrap_or_else(|error: IdError| {
            self.problems.add(path, error.to_string());
            let fits = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
            let like: String = value.chars().take(32).map(fits).collect();
            let like = if like.is_empty() { "_" } else { &like };
            // 1 to 32 of the characters that every id may have.
            like.parse().expect("an id")
        })
    }

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
        let inputs = of.inputs.unwrap_or_default().into_iter().enumerate();
        let inputs = inputs.map(|(at, arc)| {
            let place = self.id(&format!("{path}.inputs[{at}].place"), &arc.place);
            models::InputArc { place, weight: arc.weight.into(), kind: arc.kind.into() }
        });
        let inputs = inputs.collect();
        let outputs = of.outputs.unwrap_or_default().into_iter().enumerate();
        let outputs = outputs.map(|(at, arc)| {
            let place = self.id(&format!("{path}.outputs[{at}].place"), &arc.place);
            models::OutputArc { place, weight: arc.weight.into() }
        });
        let outputs = outputs.collect();
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
            silent: of.silent,
        }
    }
}

/// A condition, or why it is none. Read as the one that its shape says it is, so that the
/// reason is about that.
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
