//! Calls of the log that are passed on, lost or held.

use async_trait::async_trait;
use futures::{StreamExt, stream::BoxStream};

use super::{FaultyStorage, unanswered};
use crate::{
    models::{
        CaseId, LogSequence, Record, Stored, StoredDefinition, WorkflowDefinition, WorkflowId,
    },
    storage::{
        AppendOptions, Appended, CaseLog, Consistency, DefinitionVersion, Lifecycle, LogRange,
        LogScope, PutOptions, Result, StatusAt, WatchOptions, WriteLevel,
    },
};

#[async_trait]
impl CaseLog for FaultyStorage {
    fn reconnects(&self) -> u64 {
        self.inner.reconnects()
    }

    fn max_message(&self) -> usize {
        self.inner.max_message()
    }

    async fn generation(&self) -> Result<u64> {
        let state = &self.state;
        state.send_modify(|state| state.generations = state.generations.map(|asked| asked + 1));
        Ok(self.inner.generation().await? + state.borrow().generations.unwrap_or_default())
    }

    async fn write_level(&self) -> Result<WriteLevel> {
        self.reach()?.write_level().await
    }

    async fn write_level_now(&self) -> Result<WriteLevel> {
        self.reach()?.write_level_now().await
    }

    async fn put_definition(
        &self,
        definition: &WorkflowDefinition,
        options: PutOptions,
    ) -> Result<StoredDefinition> {
        self.reach()?.put_definition(definition, options).await
    }

    async fn definition(
        &self,
        workflow: &WorkflowId,
        version: DefinitionVersion,
    ) -> Result<Option<StoredDefinition>> {
        if matches!(version, DefinitionVersion::Sequence(_)) {
            self.must_answer_by_sequence()?;
        }
        self.reach()?.definition(workflow, version).await
    }

    async fn versions(&self, workflow: &WorkflowId) -> Result<Vec<Result<StoredDefinition>>> {
        self.reach()?.versions(workflow).await
    }

    async fn workflow_ids(&self) -> Result<Vec<WorkflowId>> {
        self.reach()?.workflow_ids().await
    }

    async fn last_definition(&self) -> Result<Option<LogSequence>> {
        self.reach()?.last_definition().await
    }

    async fn append(&self, record: &Record, options: AppendOptions) -> Result<Appended> {
        let mut state = self.state.subscribe();
        if state.borrow_and_update().appends_held {
            self.state.send_modify(|state| state.append_waits = true);
            // Can't fail: `self` holds the sender.
            let _ = state.wait_for(|state| !state.appends_held).await;
            self.state.send_modify(|state| state.append_waits = false);
        }
        let appended = self.reach()?.append(record, options).await;
        let mut lost = false;
        self.state.send_modify(|state| {
            state.broken |= std::mem::take(&mut state.breaks_after_append);
            lost = state.broken || state.appends_unanswered;
        });
        if lost { Err(unanswered()) } else { appended }
    }

    async fn head(
        &self,
        workflow: &WorkflowId,
        case: &CaseId,
        consistency: Consistency,
    ) -> Result<Option<Stored<Record>>> {
        self.state.send_modify(|state| state.log_reads += 1);
        self.reach()?.head(workflow, case, consistency).await
    }

    async fn record(
        &self,
        workflow: &WorkflowId,
        case: &CaseId,
        sequence: LogSequence,
    ) -> Result<Option<Stored<Record>>> {
        self.state.send_modify(|state| state.log_reads += 1);
        self.must_answer_by_sequence()?;
        self.reach()?.record(workflow, case, sequence).await
    }

    async fn first_record(
        &self,
        workflow: &WorkflowId,
        case: &CaseId,
    ) -> Result<Option<Stored<Record>>> {
        self.state.send_modify(|state| state.log_reads += 1);
        self.reach()?.first_record(workflow, case).await
    }

    async fn last_of_lifecycle(
        &self,
        workflow: &WorkflowId,
        case: &CaseId,
    ) -> Result<Option<Stored<Record>>> {
        self.state.send_modify(|state| state.log_reads += 1);
        self.reach()?.last_of_lifecycle(workflow, case).await
    }

    async fn history(
        &self,
        scope: LogScope,
        range: LogRange,
    ) -> Result<BoxStream<'static, Result<Stored<Record>>>> {
        let state = self.state.clone();
        let count = move |_: &Result<_>| state.send_modify(|state| state.history_reads += 1);
        Ok(self.reach()?.history(scope, range).await?.inspect(count).boxed())
    }

    async fn lifecycles(&self) -> Result<BoxStream<'static, Result<Lifecycle>>> {
        self.reach()?.lifecycles().await
    }

    async fn watch(
        &self,
        scope: LogScope,
        options: WatchOptions,
    ) -> Result<BoxStream<'static, Result<Stored<Record>>>> {
        let faulty = self.clone();
        let records = self.reach()?.watch(scope, options).await?;
        Ok(records.inspect(move |_| faulty.may_panic("watch")).boxed())
    }

    async fn statuses(&self, range: LogRange) -> Result<BoxStream<'static, Result<StatusAt>>> {
        self.may_panic("statuses");
        self.reach()?.statuses(range).await
    }

    async fn last_sequence(&self) -> Result<Option<LogSequence>> {
        self.may_panic("last_sequence");
        self.reach()?.last_sequence().await
    }
}
