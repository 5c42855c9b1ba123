//! Calls that are passed on, lost or held.

use std::time::Duration;

use async_trait::async_trait;
use futures::{StreamExt, stream::BoxStream};

use super::{FaultyStorage, Views, unanswered};
use crate::models::{
    CaseId, PlaceId, Record, Stored, StoredDefinition, Token, TokenId, WorkflowDefinition,
    WorkflowId,
};
use crate::storage::{
    Appended, Consistency, DefinitionVersion, Health, Lifecycle, LogScope, Outline, Page, PageOf,
    ReadPath, Register, Result, StatusAt, Storage, TokenScope, ViewOutcome, ViewWrite,
};

#[async_trait]
impl Storage for FaultyStorage {
    fn token_subject(&self, workflow: &WorkflowId, place: &PlaceId, token: &TokenId) -> String {
        self.inner.token_subject(workflow, place, token)
    }

    fn late_after(&self) -> Duration {
        self.state.borrow().late_after.unwrap_or_else(|| self.inner.late_after())
    }

    fn marker_kept(&self) -> Duration {
        self.inner.marker_kept()
    }

    fn read_path(&self) -> ReadPath {
        self.inner.read_path()
    }

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

    async fn put_definition(
        &self,
        definition: &WorkflowDefinition,
        version: u64,
        expected: u64,
    ) -> Result<StoredDefinition> {
        self.reach()?.put_definition(definition, version, expected).await
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

    async fn last_definition(&self) -> Result<u64> {
        self.reach()?.last_definition().await
    }

    async fn append(&self, record: &Record, expected: u64) -> Result<Appended> {
        let mut state = self.state.subscribe();
        if state.borrow_and_update().appends_held {
            self.state.send_modify(|state| state.append_waits = true);
            // Can't fail: `self` holds the sender.
            let _ = state.wait_for(|state| !state.appends_held).await;
            self.state.send_modify(|state| state.append_waits = false);
        }
        let appended = self.reach()?.append(record, expected).await;
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
        sequence: u64,
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
        from: u64,
    ) -> Result<BoxStream<'static, Result<Stored<Record>>>> {
        let state = self.state.clone();
        let count = move |_: &Result<_>| state.send_modify(|state| state.history_reads += 1);
        Ok(self.reach()?.history(scope, from).await?.inspect(count).boxed())
    }

    async fn lifecycles(&self) -> Result<BoxStream<'static, Result<Lifecycle>>> {
        self.reach()?.lifecycles().await
    }

    async fn watch(
        &self,
        scope: LogScope,
        from: u64,
    ) -> Result<BoxStream<'static, Result<Stored<Record>>>> {
        let faulty = self.clone();
        let records = self.reach()?.watch(scope, from).await?;
        Ok(records.inspect(move |_| faulty.may_panic("watch")).boxed())
    }

    async fn statuses(
        &self,
        after: u64,
        until: u64,
    ) -> Result<BoxStream<'static, Result<StatusAt>>> {
        self.may_panic("statuses");
        self.reach()?.statuses(after, until).await
    }

    async fn last_sequence(&self) -> Result<u64> {
        self.may_panic("last_sequence");
        self.reach()?.last_sequence().await
    }

    async fn register(
        &self,
        workflow: &WorkflowId,
        place: &PlaceId,
        token: &TokenId,
    ) -> Result<Register> {
        self.state.send_modify(|state| state.register_reads += 1);
        self.reach()?.register(workflow, place, token).await
    }

    async fn registers_of(
        &self,
        workflow: &WorkflowId,
        wanted: &[(TokenId, PlaceId)],
    ) -> Result<Vec<Register>> {
        self.state.send_modify(|state| state.register_reads += wanted.len());
        self.reach()?.registers_of(workflow, wanted).await
    }

    async fn write_views(&self, writes: Vec<ViewWrite>) -> Vec<Result<ViewOutcome>> {
        let mut state = self.state.subscribe();
        if state.borrow_and_update().views == Views::Hold {
            self.state.send_modify(|state| state.held += 1);
            // Can't fail: `self` holds the sender.
            let _ = state.wait_for(|state| state.views != Views::Hold).await;
            self.state.send_modify(|state| state.held -= 1);
        }
        let now = *self.state.borrow();
        if now.broken || now.views == Views::Drop {
            return writes.iter().map(|_| Err(unanswered())).collect();
        }
        if now.view_races > 0 {
            self.state.send_modify(|state| state.view_races -= 1);
            return writes.iter().map(|_| Ok(ViewOutcome::LostRace)).collect();
        }
        let outcomes = self.inner.write_views(writes).await;
        self.state.send_modify(|state| state.view_writes += 1);
        outcomes
    }

    async fn token(
        &self,
        workflow: &WorkflowId,
        token: &TokenId,
        path: ReadPath,
    ) -> Result<Option<Token>> {
        self.reach()?.token(workflow, token, path).await
    }

    async fn tokens(
        &self,
        scope: &TokenScope,
        page: Page,
        path: ReadPath,
    ) -> Result<PageOf<Token>> {
        self.reach()?.tokens(scope, page, path).await
    }

    async fn registers(&self) -> Result<BoxStream<'static, Result<Register>>> {
        self.reach()?.registers().await
    }

    async fn outlines(&self, since: u64) -> Result<BoxStream<'static, Result<Outline>>> {
        self.state.send_modify(|state| state.outline_reads += 1);
        self.reach()?.outlines(since).await
    }

    async fn health(&self) -> Health {
        self.inner.health().await
    }
}
