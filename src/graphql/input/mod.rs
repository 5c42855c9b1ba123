//! Inputs of mutations, and their conversion to requests to the core.

mod activity;
mod arc;
mod change;
mod firing;
mod queue;
mod reader;
mod token;
mod work;
mod workflow;

pub(super) use change::{CaseChangeInput, QuarantineCaseInput, RetryIncidentInput};
pub(super) use firing::{FireCaseInput, FireTransitionInput, TransitionTokenWithNatsInput};
pub(super) use queue::SetQueueInput;
pub(super) use token::{
    CreateTokenInput, CreateWorkflowInstanceInput, NewTokenRequest, UpdateTokenDataInput,
};
pub(super) use work::{CompleteIncidentInput, CompleteWorkInput, FailWorkInput};
pub(super) use workflow::CreateWorkflowInput;

use async_graphql::Json;
use serde_json::{Map, Value};

use crate::petrel::Error;

/// The object that is given as `input.metadata`, or an empty one. What is no object is refused
/// here, where the argument's name is known, and not by its type.
fn object(value: Option<Json<Value>>) -> Result<Map<String, Value>, Error> {
    object_or_reason(value).map_err(|reason| Error::argument("input.metadata", reason))
}

fn object_or_reason(value: Option<Json<Value>>) -> Result<Map<String, Value>, String> {
    let kind = match value.map(|value| value.0) {
        None | Some(Value::Null) => return Ok(Map::new()),
        Some(Value::Object(object)) => return Ok(object),
        Some(Value::Bool(_)) => "true or false",
        Some(Value::Number(_)) => "a number",
        Some(Value::String(_)) => "a string",
        Some(Value::Array(_)) => "a list",
    };
    Err(format!("is {kind}, and must be an object, as {{\"source\": \"shop\"}}"))
}
