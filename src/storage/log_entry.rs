//! Answers of a log: what was appended, and records without their contents.

use chrono::{DateTime, Utc};

use crate::models::{CaseId, CaseStatus, Record, Stored, WorkflowId};

/// Sequence and hash of an appended record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// The record's sequence.
    pub sequence: u64,
    /// SHA-256 of the stored bytes, in hexadecimal.
    pub hash: String,
}

/// A record of a case's lifecycle, without its contents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lifecycle {
    /// The workflow.
    pub workflow: WorkflowId,
    /// The case.
    pub case: CaseId,
    /// The record's sequence.
    pub sequence: u64,
}

/// Status of a case after a record.
#[derive(Debug, Clone, PartialEq)]
pub struct StatusAt {
    /// The workflow.
    pub workflow: WorkflowId,
    /// The case.
    pub case: CaseId,
    /// The record's sequence in the log.
    pub sequence: u64,
    /// Time at which the server stored it.
    pub timestamp: DateTime<Utc>,
    /// The case's status after it.
    pub status: CaseStatus,
}

impl From<Stored<Record>> for StatusAt {
    fn from(Stored { value, sequence, timestamp, .. }: Stored<Record>) -> Self {
        let Record { workflow, case, status, .. } = value;
        Self { workflow, case, sequence, timestamp, status }
    }
}
