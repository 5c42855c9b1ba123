//! Answers of a log: what was appended, and records without their contents.

use chrono::{DateTime, Utc};

use crate::models::{CaseId, CaseStatus, LogSequence, Record, Stored, WorkflowId};

/// Facts about an appended record that its writer does not know before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// The record's sequence.
    pub sequence: LogSequence,
    /// Its subject.
    pub subject: String,
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
    pub sequence: LogSequence,
}

/// Status of a case after a record.
#[derive(Debug, Clone, PartialEq)]
pub struct StatusAt {
    /// The workflow.
    pub workflow: WorkflowId,
    /// The case.
    pub case: CaseId,
    /// The record's sequence in the log.
    pub sequence: LogSequence,
    /// Time at which the server stored it.
    pub timestamp: DateTime<Utc>,
    /// The case's status after it.
    pub status: CaseStatus,
}

impl StatusAt {
    /// The status that a record gives.
    pub fn of(record: Stored<Record>) -> Self {
        let Stored { value, sequence, timestamp, .. } = record;
        let Record { workflow, case, status, .. } = value;
        Self { workflow, case, sequence, timestamp, status }
    }
}
