//! Invocations that did not come to a result.

use crate::{
    models::{CaseId, Failure, WorkflowId},
    petrel,
};

/// An invocation without a result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvokeError {
    /// It has failed, and waits for somebody who has it tried again or ends it.
    #[error("{function} {id} has failed: {}: {}", .failure.code, .failure.message)]
    Failed {
        /// The function.
        function: WorkflowId,
        /// Id of the invocation.
        id: CaseId,
        /// The error of its handler.
        failure: Box<Failure>,
        /// Number of the incident, by which it is tried again; `None` if somebody has ended it.
        incident: Option<u64>,
    },
    /// It was cancelled.
    #[error("{function} {id} was cancelled")]
    Cancelled {
        /// The function.
        function: WorkflowId,
        /// Id of the invocation.
        id: CaseId,
    },
    /// It runs on; the wait is over.
    #[error("{function} {id} is still running")]
    StillRunning {
        /// The function.
        function: WorkflowId,
        /// Id of the invocation.
        id: CaseId,
    },
    /// Its input or its result is not what the caller's type is.
    #[error("the {what} of {function} is not of the type that was asked for: {reason}")]
    Type {
        /// The function.
        function: String,
        /// `input` or `result`.
        what: &'static str,
        /// The fault.
        reason: String,
    },
    /// The core or the store refused it: for example no worker has ever served the function.
    #[error(transparent)]
    Petrel(#[from] petrel::Error),
}

impl InvokeError {
    /// A stable name of the reason, for programs: `FAILED`, `CANCELLED`, `STILL_RUNNING`, `TYPE`, or a code of the
    /// core.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Failed { .. } => "FAILED",
            Self::Cancelled { .. } => "CANCELLED",
            Self::StillRunning { .. } => "STILL_RUNNING",
            Self::Type { .. } => "TYPE",
            Self::Petrel(error) => error.code(),
        }
    }
}
