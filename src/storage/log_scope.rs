//! Choices of a reader of the log.

use crate::models::{CaseId, LogSequence, WorkflowId};

/// Choice of records.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum LogScope {
    /// All workflows'.
    All,
    /// One workflow's.
    Workflow(WorkflowId),
    /// Records of lifecycles, of all workflows or of one: the first record of every case is
    /// among them, firings are not.
    Lifecycles(Option<WorkflowId>),
    /// One case's.
    Case(WorkflowId, CaseId),
    /// One case's, without its firings.
    Lifecycle(WorkflowId, CaseId),
}

/// Choice of a definition's version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DefinitionVersion {
    /// The newest.
    Latest,
    /// The version whose message has this log sequence.
    Sequence(LogSequence),
}

/// Freshness of a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Consistency {
    /// A read that sees every write that was answered before it began.
    #[default]
    Strong,
    /// A read that a follower may answer, or a view that lags by moments.
    Eventual,
}
