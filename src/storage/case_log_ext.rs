//! Reads that every log does in the same way.

use async_trait::async_trait;

use super::{CaseLog, DefinitionVersion, Result, WriteLevel};
use crate::models::{LogSequence, Record, Stored, StoredDefinition, WorkflowId};

/// Convenience on top of a log's methods.
#[async_trait]
pub trait CaseLogExt: CaseLog {
    /// Returns true if a record may have kinds and fields of a level. A no is of what the log says now.
    async fn may_write(&self, level: WriteLevel) -> Result<bool> {
        Ok(level <= self.write_level().await? || level <= self.write_level_now().await?)
    }

    /// The record that a record names as the one before it; `None` if it names none, or one that
    /// the log does not have.
    async fn record_before(&self, record: &Record) -> Result<Option<Stored<Record>>> {
        match record.previous {
            Some(previous) => self.record(&record.workflow, &record.case, previous).await,
            None => Ok(None),
        }
    }

    /// The version of a definition at a sequence; `None` if that is not one of the workflow.
    async fn definition_at(
        &self,
        workflow: &WorkflowId,
        sequence: LogSequence,
    ) -> Result<Option<StoredDefinition>> {
        self.definition(workflow, DefinitionVersion::Sequence(sequence)).await
    }
}

impl<L: CaseLog + ?Sized> CaseLogExt for L {}
