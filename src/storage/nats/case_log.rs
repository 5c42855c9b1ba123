//! The storage as a log: each request asked again where it had no answer.

use async_trait::async_trait;
use futures::stream::BoxStream;

use super::NatsStorage;
use crate::{
    models::{
        CaseId, LogSequence, Record, Stored, StoredDefinition, WorkflowDefinition, WorkflowId,
    },
    storage::{
        AppendOptions, Appended, CaseLog, Consistency, DefinitionVersion, Heads, Lifecycle,
        LogRange, LogScope, PutOptions, Result, StatusAt, WatchOptions, WriteLevel,
    },
};

/// Most bytes of a message beside its JSON: the longest headers and subject have some 600
/// bytes, and the prefix twice.
const HEADERS: usize = 1_024;

#[async_trait]
impl CaseLog for NatsStorage {
    fn reconnects(&self) -> u64 {
        self.inner().link.breaker.reconnects()
    }

    fn max_message(&self) -> usize {
        let around = HEADERS + 2 * self.inner().config.prefix.len();
        self.inner().link.client.max_payload().saturating_sub(around)
    }

    async fn generation(&self) -> Result<u64> {
        self.inner().seen.look().await?;
        Ok(self.inner().seen.generation())
    }

    async fn write_level(&self) -> Result<WriteLevel> {
        self.inner().seen.look().await?;
        Ok(self.inner().seen.write_level())
    }

    async fn write_level_now(&self) -> Result<WriteLevel> {
        self.inner().seen.look_again().await?;
        Ok(self.inner().seen.write_level())
    }

    async fn put_definition(
        &self,
        definition: &WorkflowDefinition,
        options: PutOptions,
    ) -> Result<StoredDefinition> {
        self.inner().put_definition(definition, options).await
    }

    async fn definition(
        &self,
        workflow: &WorkflowId,
        version: DefinitionVersion,
    ) -> Result<Option<StoredDefinition>> {
        self.inner().read(|| self.inner().definition(workflow, version)).await
    }

    async fn versions(&self, workflow: &WorkflowId) -> Result<Vec<Result<StoredDefinition>>> {
        self.inner().read(|| self.inner().versions(workflow)).await
    }

    async fn workflow_ids(&self) -> Result<Vec<WorkflowId>> {
        self.inner().read(|| self.inner().workflow_ids()).await
    }

    async fn last_definition(&self) -> Result<Option<LogSequence>> {
        self.inner().read(|| self.inner().last_definition()).await
    }

    async fn append(&self, record: &Record, options: AppendOptions) -> Result<Appended> {
        self.inner().append(record, options).await
    }

    async fn head(
        &self,
        workflow: &WorkflowId,
        case: &CaseId,
        consistency: Consistency,
    ) -> Result<Option<Stored<Record>>> {
        self.inner().read(|| self.inner().head(workflow, case, consistency)).await
    }

    fn heads<'a>(&'a self, workflow: &'a WorkflowId, cases: &'a [CaseId]) -> Heads<'a> {
        self.inner().heads(workflow, cases)
    }

    async fn record(
        &self,
        workflow: &WorkflowId,
        case: &CaseId,
        sequence: LogSequence,
    ) -> Result<Option<Stored<Record>>> {
        self.inner().read(|| self.inner().record(workflow, case, sequence)).await
    }

    async fn first_record(
        &self,
        workflow: &WorkflowId,
        case: &CaseId,
    ) -> Result<Option<Stored<Record>>> {
        self.inner().read(|| self.inner().first_record(workflow, case)).await
    }

    async fn last_of_lifecycle(
        &self,
        workflow: &WorkflowId,
        case: &CaseId,
    ) -> Result<Option<Stored<Record>>> {
        self.inner().read(|| self.inner().last_of_lifecycle(workflow, case)).await
    }

    async fn history(
        &self,
        scope: LogScope,
        range: LogRange,
    ) -> Result<BoxStream<'static, Result<Stored<Record>>>> {
        self.inner().history(scope, range).await
    }

    async fn lifecycles(&self) -> Result<BoxStream<'static, Result<Lifecycle>>> {
        self.inner().lifecycles().await
    }

    async fn watch(
        &self,
        scope: LogScope,
        options: WatchOptions,
    ) -> Result<BoxStream<'static, Result<Stored<Record>>>> {
        self.inner().watch(scope, options).await
    }

    async fn statuses(&self, range: LogRange) -> Result<BoxStream<'static, Result<StatusAt>>> {
        self.inner().statuses(range).await
    }

    async fn last_sequence(&self) -> Result<Option<LogSequence>> {
        self.inner().read(|| self.inner().last_sequence()).await
    }
}
