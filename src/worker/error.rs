//! Failures of attempts, and of workers.

use std::{error::Error, fmt};

use chrono::{DateTime, Utc};

use super::OperationError;
use crate::{
    models::{Failure, KindId, Operation, QueueId, WorkflowId},
    petrel,
};

/// A failed attempt, as its handler tells it. Any error becomes one, with the code `ERROR`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkError {
    pub(super) failure: Failure,
    /// The operation of a durable handler that failed, where it hands that on.
    of: Option<Box<Operation>>,
}

impl WorkError {
    /// Code of an error that names none.
    pub const CODE: &str = "ERROR";

    /// A failure with a code, by which the activity's definition knows it, and words for people.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Failure { code: code.into(), message: message.into(), ..Failure::default() }.into()
    }

    /// The same; another attempt makes no sense.
    #[must_use]
    pub fn without_retry(mut self) -> Self {
        self.failure.is_final = true;
        self
    }

    /// The same; no attempt begins before this time.
    #[must_use]
    pub fn not_before(mut self, time: DateTime<Utc>) -> Self {
        self.failure.not_before = Some(time);
        self
    }

    /// The same, with the place where it happened, for those who mend it.
    #[must_use]
    pub fn with_stack(mut self, stack: impl Into<String>) -> Self {
        self.failure.stack = Some(stack.into());
        self
    }
}

impl WorkError {
    /// The failure that it stands for.
    pub(crate) fn into_failure(self) -> Failure {
        self.failure
    }
}

impl WorkError {
    /// The operation of a durable handler whose error it is.
    pub(crate) fn operation(&self) -> Option<&Operation> {
        self.of.as_deref()
    }

    /// The failure that it stands for.
    pub(crate) fn failure(&self) -> &Failure {
        &self.failure
    }
}

impl From<Failure> for WorkError {
    fn from(failure: Failure) -> Self {
        Self { failure, of: None }
    }
}

impl fmt::Display for WorkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.failure.code, self.failure.message)
    }
}

// It is no `Error` itself, so that all others become one by `?`.
impl<E: Error + 'static> From<E> for WorkError {
    fn from(error: E) -> Self {
        // What failed in a durable handler keeps its code.
        if let Some(failed) = (&error as &dyn Error).downcast_ref::<OperationError>() {
            let failure = Failure { message: failed.to_string(), ..failed.failure().clone() };
            return Self { failure, of: Some(Box::new(failed.operation.clone())) };
        }
        let (mut message, mut source) = (error.to_string(), error.source());
        while let Some(cause) = source {
            message.push_str(": ");
            message.push_str(&cause.to_string());
            source = cause.source();
        }
        Self::new(Self::CODE, message)
    }
}

/// A worker that can't begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkerError {
    /// Two handlers have the same kind.
    #[error("there are two handlers of kind {0}; give each a kind of its own")]
    TwoHandlers(KindId),
    /// Nothing to do.
    #[error("a worker needs at least one queue and one handler")]
    Nothing,
    /// A queue is there twice, or without concurrency.
    #[error("queue {queue}: {reason}")]
    Queue {
        /// The queue.
        queue: QueueId,
        /// The fault, with advice.
        reason: String,
    },
    /// A function whose id another workflow has.
    #[error(
        "workflow {0} is there and is no function; give the function another id, so that the workflow stays"
    )]
    Function(WorkflowId),
    /// The store failed.
    #[error(transparent)]
    Petrel(#[from] petrel::Error),
}

impl From<crate::storage::StorageError> for WorkerError {
    fn from(error: crate::storage::StorageError) -> Self {
        Self::Petrel(error.into())
    }
}
