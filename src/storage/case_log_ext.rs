//! Reads that every log does in the same way.

use async_trait::async_trait;

use super::{CaseLog, DefinitionVersion, Result, WriteLevel};
use crate::models::{CaseId, LogSequence, Record, Stored, StoredDefinition, WorkflowId};

/// Convenience on top of a log's methods, for sequences as records have them: numbers, of which
/// 0 stands for none.
#[async_trait]
pub trait CaseLogExt: CaseLog {
    /// The record of a case at a number; `None` if that is not a record of the case.
    async fn record_at(
        &self,
        workflow: &WorkflowId,
        case: &CaseId,
        number: u64,
    ) -> Result<Option<Stored<Record>>> {
        match LogSequence::new(number) {
            Some(sequence) => self.record(workflow, case, sequence).await,
            None => Ok(None),
        }
    }

    /// Returns true if a record may have kinds and fields of a level.
    async fn may_write(&self, level: WriteLevel) -> Result<bool> {
        Ok(level <= self.write_level().await?)
    }

    /// The record that a record names as the one before it; `None` if it names none, or one that
    /// the log does not have.
    async fn record_before(&self, record: &Record) -> Result<Option<Stored<Record>>> {
        self.record_at(&record.workflow, &record.case, record.previous).await
    }

    /// The version of a definition at a number; `None` if that is not one of the workflow.
    async fn definition_at(
        &self,
        workflow: &WorkflowId,
        number: u64,
    ) -> Result<Option<StoredDefinition>> {
        match LogSequence::new(number) {
            Some(sequence) => {
                self.definition(workflow, DefinitionVersion::Sequence(sequence)).await
            }
            None => Ok(None),
        }
    }
}

impl<L: CaseLog + ?Sized> CaseLogExt for L {}
