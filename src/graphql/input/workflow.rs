//! What the creation of a workflow takes.

use async_graphql::{ID, InputObject, Json};
use serde_json::Value;
use uuid::Uuid;

use super::{Object, object};
use crate::{
    cases::{Error, ExpectedVersion},
    graphql::{
        arguments::{id, ids, optional_id},
        types::{ArcKind, PlaceKind},
    },
    models::{self, Guard, WorkflowDefinition},
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

impl CreateWorkflowInput {
    /// The definition, and the version it is believed to have.
    pub fn into_request(self) -> Result<(WorkflowDefinition, ExpectedVersion), Error> {
        let own_id = || ID::from(Uuid::now_v7());
        let places = self.places.into_iter().enumerate();
        let transitions = self.transitions.into_iter().enumerate();
        let definition = WorkflowDefinition {
            id: id("input.id", &self.id.unwrap_or_else(own_id))?,
            name: self.name,
            description: self.description,
            places: places.map(place).collect::<Result<_, _>>()?,
            transitions: transitions.map(transition).collect::<Result<_, _>>()?,
            initial_place: id("input.initialPlace", &self.initial_place)?,
            metadata: object(self.metadata),
        };
        let expected = match self.expected_version {
            None => ExpectedVersion::Any,
            Some(0) => ExpectedVersion::New,
            Some(version) => ExpectedVersion::Version(version.into()),
        };
        Ok((definition, expected))
    }
}

fn place((at, place): (usize, PlaceInput)) -> Result<models::Place, Error> {
    Ok(models::Place {
        id: id(&format!("input.places[{at}].id"), &place.id)?,
        name: place.name,
        description: place.description,
        capacity: place.capacity.map(u64::from),
        kind: place.kind.into(),
    })
}

fn transition((at, of): (usize, TransitionInput)) -> Result<models::Transition, Error> {
    let path = format!("input.transitions[{at}]");
    let inputs = of.inputs.unwrap_or_default().into_iter().enumerate();
    let input = |(at, arc): (usize, InputArcInput)| {
        let place = id(&format!("{path}.inputs[{at}].place"), &arc.place)?;
        Ok(models::InputArc { place, weight: arc.weight.into(), kind: arc.kind.into() })
    };
    let outputs = of.outputs.unwrap_or_default().into_iter().enumerate();
    let output = |(at, arc): (usize, OutputArcInput)| {
        let place = id(&format!("{path}.outputs[{at}].place"), &arc.place)?;
        Ok(models::OutputArc { place, weight: arc.weight.into() })
    };
    let conditions = of.conditions.unwrap_or_default().into_iter().enumerate();
    let condition = |(at, condition): (usize, Json<Value>)| {
        guard(&format!("{path}.conditions[{at}]"), condition.0)
    };
    Ok(models::Transition {
        id: id(&format!("{path}.id"), &of.id)?,
        name: of.name,
        description: of.description,
        inputs: inputs.map(input).collect::<Result<_, Error>>()?,
        outputs: outputs.map(output).collect::<Result<_, Error>>()?,
        from_places: ids(&format!("{path}.fromPlaces"), &of.from_places.unwrap_or_default())?,
        to_place: optional_id(&format!("{path}.toPlace"), of.to_place.as_ref())?,
        conditions: conditions.map(condition).collect::<Result<_, _>>()?,
        output: of.output,
    })
}

/// A condition. Read as the one that its shape says it is, so that the message is about that.
fn guard(argument: &str, condition: Value) -> Result<Guard, Error> {
    match condition {
        Value::String(expression) => Ok(Guard::Cel(expression)),
        rule => serde_json::from_value(rule).map(Guard::Rule).map_err(|error| {
            let expected = "expected a CEL expression as a string, or a rule as an object";
            Error::argument(argument, format!("{expected}: {error}"))
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
        let cel = guard("c", json!("token.data.amount > 5")).unwrap();
        assert_eq!(cel, Guard::Cel("token.data.amount > 5".into()));
        let rule = guard("c", json!({ "exists": "amount" })).unwrap();
        assert_eq!(rule, Guard::Rule(Rule::Exists("amount".into())));
    }

    #[test]
    fn a_condition_that_is_neither_names_its_argument() {
        let error = guard("input.transitions[0].conditions[1]", json!({ "near": "x" }));
        let text = error.unwrap_err().to_string();
        assert!(text.starts_with("input.transitions[0].conditions[1]: expected a CEL"), "{text}");
        assert!(text.contains("near"), "{text}");
    }
}
