//! Cases: the engine and the storage joined. Every operation of the product is a method of
//! [`Cases`].

mod error;
mod requests;

pub use error::Error;
pub use requests::{Change, Changed, ExpectedVersion, Fire, FireIn, NewCase, NewToken};

use std::sync::Arc;
use futures::stream::BoxStream;
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use crate::{engine::Explanation, models::*, storage::{Consistency, Health, LogScope, Page, PageOf, Storage, TokenScope}};

/// What an operation answers.
pub type Result<T> = std::result::Result<T, Error>;

/// Workflows and cases over a store. A clone shares everything.
#[derive(Debug, Clone)]
pub struct Cases {}

#[allow(unused_variables)]
impl Cases {
    pub fn new(storage: Arc<dyn Storage>) -> Self { todo!() }
    /// The store beneath.
    pub fn storage(&self) -> &Arc<dyn Storage> { todo!() }

    // workflows.rs
    /// Checks and stores a definition. The same definition again makes no new version.
    pub async fn create_workflow(&self, definition: WorkflowDefinition, expected: ExpectedVersion) -> Result<StoredDefinition> { todo!() }
    /// The latest version; NotFound otherwise.
    pub async fn workflow(&self, id: &WorkflowId) -> Result<Arc<StoredDefinition>> { todo!() }
    /// Latest versions, ordered by id. The cursor is a position in that order.
    pub async fn workflows(&self, first: usize, after: Option<&WorkflowId>) -> Result<(Vec<Arc<StoredDefinition>>, bool /*has next*/)> { todo!() }

    // changes
    pub async fn create_case(&self, request: NewCase) -> Result<Changed> { todo!() }
    pub async fn create_token(&self, request: NewToken) -> Result<Changed> { todo!() }
    pub async fn fire(&self, request: Fire) -> Result<Changed> { todo!() }
    /// Merges `patch` (RFC 7396) into the token's data.
    pub async fn update_token_data(&self, workflow: Option<&WorkflowId>, token: &TokenId, patch: Value, change: Change) -> Result<Changed> { todo!() }
    pub async fn pause(&self, workflow: &WorkflowId, case: &CaseId, change: Change) -> Result<Changed> { todo!() }
    pub async fn resume(&self, workflow: &WorkflowId, case: &CaseId, change: Change) -> Result<Changed> { todo!() }
    pub async fn cancel(&self, workflow: &WorkflowId, case: &CaseId, change: Change) -> Result<Changed> { todo!() }

    // reads
    /// A token by id; across workflows where none is named. NotFound if not alive.
    pub async fn token(&self, workflow: Option<&WorkflowId>, token: &TokenId, consistency: Consistency) -> Result<Token> { todo!() }
    pub async fn tokens(&self, scope: &TokenScope, page: Page) -> Result<PageOf<Token>> { todo!() }
    pub async fn case(&self, workflow: &WorkflowId, case: &CaseId) -> Result<Arc<Case>> { todo!() }
    /// Cases in the order of their creation; the cursor is the sequence of the `created` record.
    pub async fn cases(&self, workflow: &WorkflowId, status: Option<CaseStatus>, page: Page) -> Result<PageOf<Arc<Case>>> { todo!() }
    pub async fn explain(&self, workflow: &WorkflowId, case: &CaseId) -> Result<Explanation> { todo!() }
    /// The transitions that could fire now and would take this token.
    pub async fn available_transitions(&self, workflow: Option<&WorkflowId>, token: &TokenId) -> Result<Vec<Transition>> { todo!() }
    /// The case's records in order; the cursor is the sequence.
    pub async fn history(&self, workflow: &WorkflowId, case: &CaseId, page: Page) -> Result<PageOf<Stored<Record>>> { todo!() }
    /// Records from a log sequence on (None: only new ones), live, without loss or repetition.
    pub async fn watch(&self, scope: LogScope, from_sequence: Option<u64>) -> Result<BoxStream<'static, Result<Stored<Record>>>> { todo!() }
    pub async fn health(&self) -> Health { todo!() }

    // recovery
    /// Makes the view equal to the log, from the beginning; `progress(done, of)` in log sequences.
    pub async fn rebuild(&self, progress: &(dyn Fn(u64, u64) + Send + Sync)) -> Result<Repaired> { todo!() }
    /// Follows the log and mends views until `shutdown`.
    pub async fn run_reconciler(&self, shutdown: CancellationToken) { todo!() }
    /// Counters and latency histograms.
    pub fn metrics(&self) -> &Metrics { todo!() }
}

/// What a repair did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Repaired {
    /// Cases looked at.
    pub cases: u64,
    /// Registers that were wrong and have been written.
    pub mended: u64,
    /// Cases that could not be read; each was logged with its subject and sequence.
    pub failed: u64,
}

/// Prometheus metrics of the process.
#[derive(Debug)]
pub struct Metrics {}
impl Metrics { /// Prometheus text format
    pub fn render(&self) -> String { todo!() } }
