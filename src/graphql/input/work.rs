//! The inputs of changes of work items.

use async_graphql::{ID, InputObject, Json};
use serde_json::Value;

use super::change::CaseChangeInput;
use crate::{
    engine::Answered,
    graphql::scalars::Sequence,
    models::{CaseId, Failure, OutcomeId, WorkflowId},
    petrel::{Change, Error, WorkId},
};

/// The input of `completeWork`.
#[derive(InputObject)]
pub(crate) struct CompleteWorkInput {
    /// The workflow.
    workflow_id: ID,
    /// The case.
    case_id: ID,
    /// The number of the item in its case.
    item: u32,
    /// The claim that answers. Absent, it is a person's word, which ends the item whoever has it.
    claim: Option<u32>,
    /// The outcome by which the activity ends; absent if it has one or none.
    outcome: Option<ID>,
    /// The result, which the activity's output sees.
    #[graphql(default_with = "Json(Value::Object(Default::default()))")]
    result: Json<Value>,
    /// The reason, noted in the log's metadata as `reason`.
    reason: Option<String>,
    /// The name of the caller.
    triggered_by: Option<String>,
    /// The id of this attempt: repeated with the same id, it happens once. A claim has an id of its own.
    firing_id: Option<ID>,
    /// The `revision` of the case that the caller has seen; a `CONFLICT` if it has another.
    expected_revision: Option<Sequence>,
    /// Notes about the change for the log.
    metadata: Option<Json<Value>>,
}

/// The input of `failWork`.
#[derive(InputObject)]
pub(crate) struct FailWorkInput {
    /// The workflow.
    workflow_id: ID,
    /// The case.
    case_id: ID,
    /// The number of the item in its case.
    item: u32,
    /// The claim that answers. Absent, it is a person's word, whoever has the item.
    claim: Option<u32>,
    /// The code of the failure, 1 to 128 bytes.
    code: String,
    /// Words about it.
    #[graphql(default)]
    message: String,
    /// True if another attempt makes no sense.
    #[graphql(default)]
    is_final: bool,
    /// The reason, noted in the log's metadata as `reason`.
    reason: Option<String>,
    /// The name of the caller.
    triggered_by: Option<String>,
    /// The id of this attempt: repeated with the same id, it happens once. A claim has an id of its own.
    firing_id: Option<ID>,
    /// The `revision` of the case that the caller has seen; a `CONFLICT` if it has another.
    expected_revision: Option<Sequence>,
    /// Notes about the change for the log.
    metadata: Option<Json<Value>>,
}

/// The input of `completeIncident`.
#[derive(InputObject)]
pub(crate) struct CompleteIncidentInput {
    /// The workflow.
    workflow_id: ID,
    /// The case.
    case_id: ID,
    /// The number of the incident in the case: one that stops a work item.
    incident: u32,
    /// The outcome by which the activity ends; absent if it has one or none.
    outcome: Option<ID>,
    /// The result, which the activity's output sees.
    #[graphql(default_with = "Json(Value::Object(Default::default()))")]
    result: Json<Value>,
    /// The reason, noted in the log's metadata as `reason`.
    reason: Option<String>,
    /// The name of the caller.
    triggered_by: Option<String>,
    /// The id of this attempt: repeated with the same id, it happens once.
    firing_id: Option<ID>,
    /// The `revision` of the case that the caller has seen; a `CONFLICT` if it has another.
    expected_revision: Option<Sequence>,
    /// Notes about the change for the log.
    metadata: Option<Json<Value>>,
}

impl CompleteIncidentInput {
    /// The case, the number of the incident, the answer, and the change's own details.
    pub(crate) fn into_request(
        self,
    ) -> Result<((WorkflowId, CaseId), u64, Answered, Change), Error> {
        let outcome = outcome(self.outcome.as_ref())?;
        let answer = Answered { outcome, result: self.result.0, hand_over: None };
        let change = CaseChangeInput {
            workflow_id: self.workflow_id,
            case_id: self.case_id,
            reason: self.reason,
            triggered_by: self.triggered_by,
            firing_id: self.firing_id,
            expected_revision: self.expected_revision,
            metadata: self.metadata,
        };
        let (workflow, case, change) = change.into_request()?;
        Ok(((workflow, case), self.incident.into(), answer, change))
    }
}

type About = (WorkId, Option<u64>);

impl CompleteWorkInput {
    /// The item, the claim, the answer, and the change's own details.
    pub(crate) fn into_request(self) -> Result<(About, Answered, Change), Error> {
        let outcome = outcome(self.outcome.as_ref())?;
        let answer = Answered { outcome, result: self.result.0, hand_over: None };
        let change = CaseChangeInput {
            workflow_id: self.workflow_id,
            case_id: self.case_id,
            reason: self.reason,
            triggered_by: self.triggered_by,
            firing_id: self.firing_id,
            expected_revision: self.expected_revision,
            metadata: self.metadata,
        };
        let (workflow, case, change) = change.into_request()?;
        let work = WorkId { workflow, case, item: self.item.into() };
        Ok(((work, self.claim.map(u64::from)), answer, change))
    }
}

impl FailWorkInput {
    /// The item, the claim, the failure, and the change's own details.
    pub(crate) fn into_request(self) -> Result<(About, Failure, Change), Error> {
        let Self { code, message, is_final, .. } = self;
        let failure = Failure { code, message, is_final, ..Failure::default() };
        let change = CaseChangeInput {
            workflow_id: self.workflow_id,
            case_id: self.case_id,
            reason: self.reason,
            triggered_by: self.triggered_by,
            firing_id: self.firing_id,
            expected_revision: self.expected_revision,
            metadata: self.metadata,
        };
        let (workflow, case, change) = change.into_request()?;
        let work = WorkId { workflow, case, item: self.item.into() };
        Ok(((work, self.claim.map(u64::from)), failure, change))
    }
}

/// The outcome of an answer.
fn outcome(named: Option<&ID>) -> Result<Option<OutcomeId>, Error> {
    let outcome = named.map(|id| OutcomeId::new(id.as_str())).transpose();
    outcome.map_err(|error| Error::argument("input.outcome", error.to_string()))
}
