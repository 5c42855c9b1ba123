//! Inputs of mutations, and their conversion to requests to the core.

mod change;
mod firing;
mod token;
mod workflow;

pub(super) use change::{CaseChangeInput, QuarantineCaseInput};
pub(super) use firing::{FireCaseInput, FireTransitionInput, TransitionTokenWithNatsInput};
pub(super) use token::{
    CreateTokenInput, CreateWorkflowInstanceInput, NewTokenRequest, UpdateTokenDataInput,
};
pub(super) use workflow::CreateWorkflowInput;

use async_graphql::Json;
use serde_json::{Map, Value};

/// A JSON object.
type Object = Json<Map<String, Value>>;

/// The object, or an empty one.
fn object(value: Option<Object>) -> Map<String, Value> {
    value.map(|value| value.0).unwrap_or_default()
}
