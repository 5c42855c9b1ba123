//! Inputs of firings.

use async_graphql::{ID, InputObject, Json};
use serde_json::Value;

use super::change::change;
use crate::{
    graphql::{
        request::arguments::{id, id_in, ids, located, optional_id},
        scalars::Sequence,
    },
    models::TransitionId,
    petrel::{Change, Error, Fire, FireIn},
};

/// The input of `fireTransition`.
#[derive(InputObject)]
pub(crate) struct FireTransitionInput {
    /// A token that the transition must take. It fires in the token's case.
    token_id: ID,
    /// The transition.
    transition_id: ID,
    /// The token's workflow; it is found by the token's id where absent.
    workflow_id: Option<ID>,
    /// More tokens that must be among those taken; the oldest that satisfy the guard fill the
    /// rest.
    token_ids: Option<Vec<ID>>,
    /// Data to merge into that of the produced tokens (JSON merge patch, RFC 7396).
    data: Option<Json<Value>>,
    /// The name of the caller.
    triggered_by: Option<String>,
    /// The id of this attempt: repeated with the same id, it happens once.
    firing_id: Option<ID>,
    /// The `revision` of the case that the caller has seen; a `CONFLICT` if it has another.
    expected_revision: Option<Sequence>,
    /// Notes about the firing for the log.
    metadata: Option<Json<Value>>,
}

/// The input of `fireCase`.
#[derive(InputObject)]
pub(crate) struct FireCaseInput {
    /// The workflow.
    workflow_id: ID,
    /// The case.
    case_id: ID,
    /// The transition.
    transition_id: ID,
    /// Tokens that must be among those taken; the oldest that satisfy the guard fill the rest.
    token_ids: Option<Vec<ID>>,
    /// Data to merge into that of the produced tokens (JSON merge patch, RFC 7396).
    data: Option<Json<Value>>,
    /// The name of the caller.
    triggered_by: Option<String>,
    /// The id of this attempt: repeated with the same id, it happens once.
    firing_id: Option<ID>,
    /// The `revision` of the case that the caller has seen; a `CONFLICT` if it has another.
    expected_revision: Option<Sequence>,
    /// Notes about the firing for the log.
    metadata: Option<Json<Value>>,
}

/// The input of `transitionTokenWithNats`.
#[derive(InputObject)]
pub(crate) struct TransitionTokenWithNatsInput {
    /// The token to move.
    token_id: ID,
    /// The transition that moves it.
    transition_id: ID,
    /// The place that the transition must lead to; `INVALID_ARGUMENT` if it does not.
    new_place: ID,
    /// The name of the caller.
    triggered_by: Option<String>,
    /// Data to merge into that of the produced tokens (JSON merge patch, RFC 7396).
    data: Option<Json<Value>>,
    /// The id of this attempt: repeated with the same id, it happens once.
    firing_id: Option<ID>,
    /// The `revision` of the case that the caller has seen; a `CONFLICT` if it has another.
    expected_revision: Option<Sequence>,
}

impl FireTransitionInput {
    /// The firing that is asked for.
    pub(crate) fn into_request(self) -> Result<Fire, Error> {
        let workflow = optional_id("input.workflowId", self.workflow_id.as_ref())?;
        let (workflow, token) = located(workflow, "input.tokenId", &self.token_id)?;
        let target = FireIn::Token { workflow, token };
        let change = change(
            self.triggered_by,
            self.firing_id.as_ref(),
            self.expected_revision,
            self.metadata,
        )?;
        fire(target, &self.transition_id, self.token_ids, self.data, change)
    }
}

impl FireCaseInput {
    /// The firing that is asked for.
    pub(crate) fn into_request(self) -> Result<Fire, Error> {
        let workflow = id("input.workflowId", &self.workflow_id)?;
        let case = id_in(&workflow, "input.caseId", &self.case_id)?;
        let target = FireIn::Case { workflow, case };
        let change = change(
            self.triggered_by,
            self.firing_id.as_ref(),
            self.expected_revision,
            self.metadata,
        )?;
        fire(target, &self.transition_id, self.token_ids, self.data, change)
    }
}

impl TransitionTokenWithNatsInput {
    /// The firing that is asked for.
    pub(crate) fn into_request(self) -> Result<Fire, Error> {
        let (workflow, token) = located(None, "input.tokenId", &self.token_id)?;
        let (workflow, to_place) = located(workflow, "input.newPlace", &self.new_place)?;
        let change =
            change(self.triggered_by, self.firing_id.as_ref(), self.expected_revision, None)?;
        let target = FireIn::Token { workflow, token };
        let fire = fire(target, &self.transition_id, None, self.data, change)?;
        Ok(Fire { to_place: Some(to_place), ..fire })
    }
}

fn fire(
    target: FireIn,
    transition: &ID,
    tokens: Option<Vec<ID>>,
    data: Option<Json<Value>>,
    change: Change,
) -> Result<Fire, Error> {
    let workflow = match &target {
        FireIn::Token { workflow, .. } => workflow.clone(),
        FireIn::Case { workflow, .. } => Some(workflow.clone()),
    };
    let (workflow, transition) =
        located::<TransitionId>(workflow, "input.transitionId", transition)?;
    let tokens = ids(workflow.as_ref(), "input.tokenIds", &tokens.unwrap_or_default())?;
    let data = data.map(|data| data.0);
    Ok(Fire { target, transition, tokens, to_place: None, data, change })
}
