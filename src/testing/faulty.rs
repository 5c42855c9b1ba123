use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::{StreamExt, stream::BoxStream};
use tokio::sync::watch;

use crate::models::{
    CaseId, PlaceId, Record, Stored, StoredDefinition, Token, TokenId, WorkflowDefinition,
    WorkflowId,
};
use crate::storage::{
    Appended, Consistency, DefinitionVersion, Health, Lifecycle, LogScope, Outline, Page, PageOf,
    ReadPath, Register, Result, StatusAt, Storage, StorageError, TokenScope, ViewOutcome,
    ViewWrite,
};

/// A storage that passes everything on to another one, until it is told to lose or to hold
/// view writes, to lose the answers of appends, or to break after one: what a process that
/// dies, or a network that breaks, does between the two halves of a change.
///
/// A clone shares the faults.
#[derive(Debug, Clone)]
pub struct FaultyStorage {
    inner: Arc<dyn Storage>,
    state: watch::Sender<State>,
}

#[derive(Debug, Clone, Copy, Default)]
struct State {
    views: Views,
    appends_unanswered: bool,
    appends_held: bool,
    append_waits: bool,
    breaks_after_append: bool,
    broken: bool,
    view_races: usize,
    held: usize,
    view_writes: usize,
    log_reads: usize,
    history_reads: usize,
    register_reads: usize,
    late_after: Option<Duration>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq)]
enum Views {
    #[default]
    Pass,
    Drop,
    Hold,
}

impl FaultyStorage {
    /// Passes everything on to `inner`.
    pub fn new(inner: Arc<dyn Storage>) -> Self {
        Self { inner, state: watch::Sender::default() }
    }

    /// From now on view writes are not passed on, and fail.
    pub fn drop_views(&self) {
        self.state.send_modify(|state| state.views = Views::Drop);
    }

    /// From now on view writes wait until [`pass_views`](Self::pass_views).
    pub fn hold_views(&self) {
        self.state.send_modify(|state| state.views = Views::Hold);
    }

    /// Passes view writes on again, those that wait among them.
    pub fn pass_views(&self) {
        self.state.send_modify(|state| state.views = Views::Pass);
    }

    /// Waits until a call that writes views is being held.
    pub async fn until_views_held(&self) {
        let mut state = self.state.subscribe();
        // Can't fail: `self` holds the sender.
        let _ = state.wait_for(|state| state.held > 0).await;
    }

    /// Waits until so many more calls have written views, or failed to.
    pub async fn until_more_view_writes(&self, count: usize) {
        let mut state = self.state.subscribe();
        let from = state.borrow_and_update().view_writes;
        // Can't fail: `self` holds the sender.
        let _ = state.wait_for(|state| state.view_writes >= from + count).await;
    }

    /// From now on a view write is late after this time.
    pub fn set_late_after(&self, time: Duration) {
        self.state.send_modify(|state| state.late_after = Some(time));
    }

    /// How many times somebody has asked for one record, or for the last one of a case.
    pub fn log_reads(&self) -> usize {
        self.state.borrow().log_reads
    }

    /// How many records histories have given.
    pub fn history_reads(&self) -> usize {
        self.state.borrow().history_reads
    }

    /// So many calls from now on write no view, since another writer is first each time.
    pub fn lose_view_races(&self, count: usize) {
        self.state.send_modify(|state| state.view_races = count);
    }

    /// Whether appends wait before they happen.
    pub fn hold_appends(&self, held: bool) {
        self.state.send_modify(|state| state.appends_held = held);
    }

    /// Waits until an append is being held.
    pub async fn until_append_held(&self) {
        let mut state = self.state.subscribe();
        // Can't fail: `self` holds the sender.
        let _ = state.wait_for(|state| state.append_waits).await;
    }

    /// How many times somebody has asked what the view holds of a token at a place.
    pub fn register_reads(&self) -> usize {
        self.state.borrow().register_reads
    }

    /// Whether appends happen, but are answered as if the server had not.
    pub fn lose_append_answers(&self, lost: bool) {
        self.state.send_modify(|state| state.appends_unanswered = lost);
    }

    /// Lets one more append happen; its answer is lost, and after it nothing gets through any
    /// more until [`restore`](Self::restore).
    pub fn break_after_append(&self) {
        self.state.send_modify(|state| state.breaks_after_append = true);
    }

    /// Ends what [`break_after_append`](Self::break_after_append) began.
    pub fn restore(&self) {
        self.state.send_modify(|state| {
            state.breaks_after_append = false;
            state.broken = false;
        });
    }

    /// What lies beneath, if it can be reached.
    fn reach(&self) -> Result<&dyn Storage> {
        if self.state.borrow().broken { Err(unanswered()) } else { Ok(self.inner.as_ref()) }
    }
}

fn unanswered() -> StorageError {
    let reason = "a fault that a test asked for".to_owned();
    StorageError::Unavailable { reason, away_since: None }
}

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
        self.inner.generation().await
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
        self.reach()?.watch(scope, from).await
    }

    async fn statuses(
        &self,
        after: u64,
        until: u64,
    ) -> Result<BoxStream<'static, Result<StatusAt>>> {
        self.reach()?.statuses(after, until).await
    }

    async fn last_sequence(&self) -> Result<u64> {
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
        self.reach()?.outlines(since).await
    }

    async fn health(&self) -> Health {
        self.inner.health().await
    }
}
