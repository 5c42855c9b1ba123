//! Inputs for tokens and cases: their creation, and changes of a token's data.

use async_graphql::{ID, InputObject, Json};
use serde_json::{Map, Value};

use super::{change::change, object};
use crate::{
    graphql::{
        request::arguments::{id, located, optional_id, optional_id_in},
        scalars::Sequence,
    },
    models::{TokenId, WorkflowId},
    petrel::{Change, Error, NewCase, NewToken},
};

/// The input of `createToken`.
#[derive(InputObject)]
pub(crate) struct CreateTokenInput {
    /// The workflow.
    workflow_id: ID,
    /// The id of the place where the token goes; the workflow's initial place where absent.
    initial_place: Option<ID>,
    /// The data that the token carries; an empty object where absent.
    data: Option<Json<Value>>,
    /// Notes about the token.
    metadata: Option<Json<Value>>,
    /// The case that gets the token; it is created if it does not exist. A new case with an
    /// id of its own where absent.
    case_id: Option<ID>,
    /// The name of the caller.
    triggered_by: Option<String>,
    /// The id of this attempt: repeated with the same id, it happens once. Needs `caseId`.
    firing_id: Option<ID>,
    /// The `revision` of the case that the caller has seen; a `CONFLICT` if it has another.
    /// Needs `caseId`.
    expected_revision: Option<Sequence>,
}

/// The input of `createWorkflowInstance`.
#[derive(InputObject)]
pub(crate) struct CreateWorkflowInstanceInput {
    /// The workflow; the case runs its latest version.
    workflow_id: ID,
    /// The data that the first token carries; an empty object where absent.
    initial_data: Option<Json<Value>>,
    /// Notes about the first token.
    metadata: Option<Json<Value>>,
    /// The name of the caller.
    triggered_by: Option<String>,
    /// The case's id. Repeated with the same id, the answer is the case that exists. A new
    /// id where absent.
    case_id: Option<ID>,
}

/// The input of `updateTokenData`.
#[derive(InputObject)]
pub(crate) struct UpdateTokenDataInput {
    /// The token.
    token_id: ID,
    /// A patch to merge into the token's data (JSON merge patch, RFC 7396: null removes a key).
    patch: Json<Value>,
    /// The token's workflow; it is found by the token's id where absent.
    workflow_id: Option<ID>,
    /// The name of the caller.
    triggered_by: Option<String>,
    /// The id of this attempt: repeated with the same id, it happens once.
    firing_id: Option<ID>,
    /// The `revision` of the case that the caller has seen; a `CONFLICT` if it has another.
    expected_revision: Option<Sequence>,
    /// Notes about the change for the log.
    metadata: Option<Json<Value>>,
}

/// A token in a new case, or in a named one.
pub(crate) enum NewTokenRequest {
    /// The first token of a new case.
    Case(NewCase),
    /// A token of a named case.
    Token(NewToken),
}

impl CreateTokenInput {
    /// The request for a token.
    pub(crate) fn into_request(self) -> Result<NewTokenRequest, Error> {
        let workflow = id("input.workflowId", &self.workflow_id)?;
        let place = optional_id_in(&workflow, "input.initialPlace", self.initial_place.as_ref())?;
        let (data, metadata) = (data(self.data), object(self.metadata)?);
        let case = optional_id_in(&workflow, "input.caseId", self.case_id.as_ref())?;
        let Some(case) = case else {
            let needs_case = "needs caseId: without one, each call makes a new case";
            if self.firing_id.is_some() {
                return Err(Error::argument("input.firingId", needs_case));
            }
            if self.expected_revision.is_some() {
                return Err(Error::argument("input.expectedRevision", needs_case));
            }
            let by = self.triggered_by;
            let case = NewCase { workflow, case: None, place, data, metadata, by };
            return Ok(NewTokenRequest::Case(case));
        };
        let change =
            change(self.triggered_by, self.firing_id.as_ref(), self.expected_revision, None)?;
        Ok(NewTokenRequest::Token(NewToken { workflow, case, place, data, metadata, change }))
    }
}

impl CreateWorkflowInstanceInput {
    /// The request for a case.
    pub(crate) fn into_request(self) -> Result<NewCase, Error> {
        let workflow = id("input.workflowId", &self.workflow_id)?;
        Ok(NewCase {
            case: optional_id_in(&workflow, "input.caseId", self.case_id.as_ref())?,
            workflow,
            place: None,
            data: data(self.initial_data),
            metadata: object(self.metadata)?,
            by: self.triggered_by,
        })
    }
}

impl UpdateTokenDataInput {
    /// The token, its workflow where that is known, the patch, and the change's own details.
    pub(crate) fn into_request(
        self,
    ) -> Result<(Option<WorkflowId>, TokenId, Value, Change), Error> {
        let workflow = optional_id("input.workflowId", self.workflow_id.as_ref())?;
        let (workflow, token) = located(workflow, "input.tokenId", &self.token_id)?;
        let change = change(
            self.triggered_by,
            self.firing_id.as_ref(),
            self.expected_revision,
            self.metadata,
        )?;
        Ok((workflow, token, self.patch.0, change))
    }
}

fn data(data: Option<Json<Value>>) -> Value {
    data.map_or_else(|| Value::Object(Map::new()), |data| data.0)
}
