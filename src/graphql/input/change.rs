//! Inputs of changes of a case as a whole, and the fields that all changes have.

use async_graphql::{ID, InputObject, Json};
use serde_json::Value;

use super::object;
use crate::{
    graphql::{
        request::arguments::{id, id_in, optional_id},
        scalars::Sequence,
    },
    models::{CaseId, LogSequence, Revision, WorkflowId},
    petrel::{Change, Correction, Error, Following},
};

/// The input of `quarantineCase`.
#[derive(InputObject)]
pub(crate) struct QuarantineCaseInput {
    /// The workflow.
    workflow_id: ID,
    /// The case.
    case_id: ID,
    /// True to put aside as well the changes that can be read and were made upon a message that
    /// has to be put aside: they were acknowledged. If false, they are named in an error, the
    /// first 100 of them, and nothing is stored.
    #[graphql(default)]
    with_following: bool,
    /// The reason, noted in the log's metadata as `reason`.
    reason: Option<String>,
    /// The name of the caller.
    triggered_by: Option<String>,
    /// The id of this attempt: repeated with the same id, it happens once.
    firing_id: Option<ID>,
    /// The sequence of the case's last message, readable or not, that the caller has seen; a
    /// `CONFLICT` if it has another.
    expected_revision: Option<Sequence>,
    /// Notes about the change for the log.
    metadata: Option<Json<Value>>,
}

impl QuarantineCaseInput {
    /// The case, the treatment of the records that follow, and the change's own details.
    pub(crate) fn into_request(self) -> Result<(WorkflowId, CaseId, Following, Change), Error> {
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

/// A retry: the case, the number of the incident, the corrections, and the change's own details.
pub(crate) type Retry = (WorkflowId, CaseId, u64, Vec<Correction>, Change);

/// The input of `retryIncident`.
#[derive(InputObject)]
pub(crate) struct RetryIncidentInput {
    /// The workflow.
    workflow_id: ID,
    /// The case.
    case_id: ID,
    /// The number of the incident in the case.
    incident: u32,
    /// Corrections of the data of the case's tokens, made in the same record before it is tried again.
    #[graphql(default)]
    corrections: Vec<CorrectionInput>,
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

/// A correction of a token's data.
#[derive(InputObject)]
pub(crate) struct CorrectionInput {
    /// The token.
    token_id: ID,
    /// A patch to merge into the token's data (JSON merge patch, RFC 7396: null removes a key).
    patch: Json<Value>,
}

impl RetryIncidentInput {
    /// The case, the number of the incident, the corrections, and the change's own details.
    pub(crate) fn into_request(self) -> Result<Retry, Error> {
        let Self { workflow_id, case_id, incident, reason, triggered_by, firing_id, .. } = self;
        let Self { expected_revision, metadata, corrections, .. } = self;
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
        let corrections = corrections.into_iter().enumerate().map(|(number, correction)| {
            let argument = format!("input.corrections[{number}].tokenId");
            let token = id_in(&workflow, &argument, &correction.token_id)?;
            Ok(Correction { token, patch: correction.patch.0 })
        });
        let corrections = corrections.collect::<Result<_, Error>>()?;
        Ok((workflow, case, incident.into(), corrections, change))
    }
}

/// The input of `pauseCase`, `resumeCase` and `cancelCase`.
#[derive(InputObject)]
pub(crate) struct CaseChangeInput {
    /// The workflow.
    pub(super) workflow_id: ID,
    /// The case.
    pub(super) case_id: ID,
    /// The reason, noted in the log's metadata as `reason`.
    pub(super) reason: Option<String>,
    /// The name of the caller.
    pub(super) triggered_by: Option<String>,
    /// The id of this attempt: repeated with the same id, it happens once.
    pub(super) firing_id: Option<ID>,
    /// The `revision` of the case that the caller has seen; a `CONFLICT` if it has another.
    pub(super) expected_revision: Option<Sequence>,
    /// Notes about the change for the log.
    pub(super) metadata: Option<Json<Value>>,
}

impl CaseChangeInput {
    /// The case, and the change's own details.
    pub(crate) fn into_request(self) -> Result<(WorkflowId, CaseId, Change), Error> {
        let workflow = id("input.workflowId", &self.workflow_id)?;
        let case = id_in(&workflow, "input.caseId", &self.case_id)?;
        let mut change = change(
            self.triggered_by,
            self.firing_id.as_ref(),
            self.expected_revision,
            self.metadata,
        )?;
        if let Some(reason) = self.reason {
            if change.metadata.contains_key("reason") {
                let why = "has a `reason` already, and `input.reason` is noted under this name; \
                           give one of them";
                return Err(Error::argument("input.metadata", why));
            }
            change.metadata.insert("reason".to_owned(), reason.into());
        }
        Ok((workflow, case, change))
    }
}

/// The revision that a caller expects. No case has revision 0.
fn revision(sequence: Sequence) -> Result<Revision, Error> {
    LogSequence::new(sequence.0).map(Revision::from).ok_or_else(|| {
        let reason = "is 0, and no case has that; leave it out where any revision will do";
        Error::argument("input.expectedRevision", reason)
    })
}

/// The details of a change, from the fields that all inputs have.
pub(super) fn change(
    by: Option<String>,
    firing: Option<&ID>,
    expected: Option<Sequence>,
    metadata: Option<Json<Value>>,
) -> Result<Change, Error> {
    Ok(Change {
        by,
        firing: optional_id("input.firingId", firing)?,
        expected_revision: expected.map(revision).transpose()?,
        metadata: object(metadata)?,
        ..Change::default()
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn input(reason: Option<&str>, metadata: Value) -> CaseChangeInput {
        CaseChangeInput {
            workflow_id: "loop".into(),
            case_id: "k".into(),
            reason: reason.map(str::to_owned),
            triggered_by: None,
            firing_id: None,
            expected_revision: None,
            metadata: Some(Json(metadata)),
        }
    }

    #[test]
    fn a_reason_never_replaces_one_in_the_metadata() {
        let error = input(Some("a"), json!({ "reason": "b" })).into_request().unwrap_err();
        assert!(
            matches!(&error, Error::InvalidArgument { argument, .. } if argument == "input.metadata")
        );
        for (reason, metadata) in [(Some("a"), json!({ "x": 1 })), (None, json!({ "reason": "a" }))]
        {
            let (_, _, change) = input(reason, metadata).into_request().unwrap();
            assert_eq!(change.metadata["reason"], "a");
        }
    }
}
