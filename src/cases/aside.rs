//! The messages of a case's log that are put aside: readers pass over them.

use futures::{StreamExt, future, stream::BoxStream};

use super::{Inner, Result, by_case::case_of};
use crate::{
    models::{Aside, CaseId, Record, RecordKind, Stored, WorkflowId},
    storage::{Consistency, LogScope, StorageError},
};

impl Inner {
    /// What in a case's log is put aside.
    pub(super) async fn put_aside_in(
        &self,
        workflow: &WorkflowId,
        case: &CaseId,
    ) -> Result<Vec<Aside>> {
        match self.storage.head(workflow, case, Consistency::Strong).await {
            Ok(Some(head)) => self.put_aside_by(&head).await,
            Ok(None) => Ok(Vec::new()),
            // What was put aside before is said there.
            Err(StorageError::Corrupt { .. }) => self.put_aside_before(workflow, case).await,
            Err(error) => Err(error.into()),
        }
    }

    /// What is put aside, by the head of its case. An older version has not written it on: then
    /// the last record that has it says it.
    pub(super) async fn put_aside_by(&self, head: &Stored<Record>) -> Result<Vec<Aside>> {
        let record = &head.value;
        match record.aside.is_empty() && record.is_without_lists() {
            true => self.put_aside_before(&record.workflow, &record.case).await,
            false => Ok(record.aside.clone()),
        }
    }

    /// What the last record says that put something aside; it is no firing.
    async fn put_aside_before(&self, workflow: &WorkflowId, case: &CaseId) -> Result<Vec<Aside>> {
        let scope = LogScope::Lifecycle(workflow.clone(), case.clone());
        let mut records = self.storage.history(scope, 1).await?;
        let mut aside = Vec::new();
        while let Some(record) = records.next().await {
            match record {
                Ok(record) if record.value.kind == RecordKind::Quarantined => {
                    aside = record.value.aside;
                }
                Ok(_) | Err(StorageError::Corrupt { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(aside)
    }

    /// Whether an error is about a message that is put aside.
    pub(super) async fn is_put_aside(&self, error: &StorageError) -> bool {
        let StorageError::Corrupt { subject, sequence, .. } = error else {
            return false;
        };
        let Some((workflow, case)) = case_of(subject) else { return false };
        let aside = self.put_aside_in(&workflow, &case).await;
        aside.is_ok_and(|aside| Aside::any(&aside, *sequence))
    }

    /// A case's records from a sequence on, without what is put aside.
    pub(super) async fn records(
        &self,
        workflow: &WorkflowId,
        case: &CaseId,
        from: u64,
        aside: Vec<Aside>,
    ) -> Result<BoxStream<'static, std::result::Result<Stored<Record>, StorageError>>> {
        let scope = LogScope::Case(workflow.clone(), case.clone());
        let records = self.storage.history(scope, from).await?;
        if aside.is_empty() {
            return Ok(records);
        }
        let counts = move |record: &std::result::Result<Stored<Record>, StorageError>| {
            let sequence = match record {
                Ok(record) => record.sequence,
                Err(StorageError::Corrupt { sequence, .. }) => *sequence,
                Err(_) => 0,
            };
            future::ready(!Aside::any(&aside, sequence))
        };
        Ok(records.filter(counts).boxed())
    }
}
