//! What any change of a case may say about itself.

use async_graphql::{ID, InputObject};

use super::{Object, object};
use crate::{
    graphql::{
        arguments::{id, id_in, optional_id},
        scalars::Sequence,
    },
    models::{CaseId, WorkflowId},
    petrel::{Change, Error, Following},
};

/// What `quarantineCase` takes.
#[derive(InputObject)]
pub struct QuarantineCaseInput {
    /// The workflow.
    workflow_id: ID,
    /// The case.
    case_id: ID,
    /// Whether to put aside as well the changes that can be read and were made upon what has to be
    /// put aside: they were acknowledged. Without it they are named in an error, the first 100 of
    /// them, and nothing is stored.
    #[graphql(default)]
    with_following: bool,
    /// Why; noted in the log's metadata as `reason`.
    reason: Option<String>,
    /// Who asks.
    triggered_by: Option<String>,
    /// The id of this attempt: repeated with the same id, it happens once.
    firing_id: Option<ID>,
    /// The `revision` of the case that the caller has seen; a `CONFLICT` if it has another.
    expected_revision: Option<Sequence>,
    /// What is noted about the change in the log.
    metadata: Option<Object>,
}

impl QuarantineCaseInput {
    /// The case, what to do with the records that follow, and what the change says about itself.
    pub fn into_request(self) -> Result<(WorkflowId, CaseId, Following, Change), Error> {
        let Self { workflow_id, case_id, with_following, .. } = self;
        let Self { reason, triggered_by, firing_id, expected_revision, metadata, .. } = self;
        let following = match with_following {
            true => Following::PutAside,
            false => Following::Refuse,
        };
        let change = CaseChangeInput {
            workflow_id,
            case_id,
            reason,
            triggered_by,
            firing_id,
            expected_revision,
            metadata,
        };
        let (workflow, case, change) = change.into_request()?;
        Ok((workflow, case, following, change))
    }
}

/// What `pauseCase`, `resumeCase` and `cancelCase` take.
#[derive(InputObject)]
pub struct CaseChangeInput {
    /// The workflow.
    workflow_id: ID,
    /// The case.
    case_id: ID,
    /// Why; noted in the log's metadata as `reason`.
    reason: Option<String>,
    /// Who asks.
    triggered_by: Option<String>,
    /// The id of this attempt: repeated with the same id, it happens once.
    firing_id: Option<ID>,
    /// The `revision` of the case that the caller has seen; a `CONFLICT` if it has another.
    expected_revision: Option<Sequence>,
    /// What is noted about the change in the log.
    metadata: Option<Object>,
}

impl CaseChangeInput {
    /// The case, and what the change says about itself.
    pub fn into_request(self) -> Result<(WorkflowId, CaseId, Change), Error> {
        let workflow = id("input.workflowId", &self.workflow_id)?;
        let case = id_in(&workflow, "input.caseId", &self.case_id)?;
        let mut change = change(
            self.triggered_by,
            self.firing_id.as_ref(),
            self.expected_revision,
            self.metadata,
        )?;
        if let Some(reason) = self.reason {
            change.metadata.insert("reason".to_owned(), reason.into());
        }
        Ok((workflow, case, change))
    }
}

/// What a change says about itself, from the fields that all inputs have.
pub(super) fn change(
    by: Option<String>,
    firing: Option<&ID>,
    expected: Option<Sequence>,
    metadata: Option<Object>,
) -> Result<Change, Error> {
    Ok(Change {
        by,
        firing: optional_id("input.firingId", firing)?,
        expected_revision: expected.map(|sequence| sequence.0),
        metadata: object(metadata),
    })
}
