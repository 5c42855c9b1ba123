//! What any change of a case may say about itself.

use async_graphql::{ID, InputObject};

use super::{Object, object};
use crate::{
    cases::{Change, Error},
    graphql::{
        arguments::{id, optional_id},
        scalars::Sequence,
    },
    models::{CaseId, WorkflowId},
};

/// What `pauseCase`, `resumeCase`, `cancelCase` and `quarantineCase` take.
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
        let case = id("input.caseId", &self.case_id)?;
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
