//! Failed operations of durable handlers.

use crate::models::{Failure, Operation};

/// A failed operation of a durable handler. It is the same error in every run of the handler.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{operation} failed ({}): {}", failure.code, failure.message)]
pub struct OperationError {
    pub(crate) operation: Operation,
    pub(crate) failure: Failure,
    pub(crate) attempts: u64,
}

impl OperationError {
    /// Name of the operation.
    pub fn name(&self) -> &str {
        &self.operation.name
    }

    /// Code of the failure.
    pub fn code(&self) -> &str {
        &self.failure.code
    }

    /// Words about it.
    pub fn message(&self) -> &str {
        &self.failure.message
    }

    /// Number of the attempts, those that were lost with their workers among them.
    pub fn attempts(&self) -> u64 {
        self.attempts
    }

    /// The failure of the attempt at which nothing more was tried.
    pub fn failure(&self) -> &Failure {
        &self.failure
    }
}
