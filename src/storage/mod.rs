//! Storage of definitions, case logs and token views: the trait, its contract, and two
//! implementations.

mod error;
mod memory;
pub mod nats;
mod nats_link;
mod page;
mod view;

use std::{fmt::Debug, time::Duration};

use async_trait::async_trait;
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};

pub use error::StorageError;
pub use memory::MemoryStorage;
pub use page::{Cursor, MAX_PAGE, Page, PageOf};
pub use view::{Outline, Register, RegisterState, ViewContent, ViewOutcome, ViewWrite};

use crate::models::{
    CaseId, CaseStatus, PlaceId, Record, Stored, StoredDefinition, Token, TokenId,
    WorkflowDefinition, WorkflowId,
};

/// Answer of a storage.
pub type Result<T> = std::result::Result<T, StorageError>;

/// A log of cases and definitions, and a view of live tokens.
///
/// # Contract
///
/// - **One log.** Definitions and records share one sequence, which only grows. A sequence
///   that was answered is durable to the degree that the server's settings say.
/// - **Atomicity.** [`append`](Self::append) and [`put_definition`](Self::put_definition)
///   happen whole or not at all. An error that is [`retryable`](StorageError::retryable) and
///   not [`LostRace`](StorageError::LostRace) leaves open which of the two; the caller looks
///   at the head.
/// - **Compare-and-swap.** The expected sequence is data. A lost race is
///   [`StorageError::LostRace`], and nothing was stored.
/// - **Ordering.** The records of a case are read in the order of their sequences, and a
///   record is visible to [`head`](Self::head) as soon as its append has returned.
/// - **Views decide nothing.** View writes are conditional on the sequence that the writer
///   saw in that register, so an older writer can't overwrite a newer one.
/// - **Absence** is `Ok(None)`: the word of the server; every other failure is an error.
/// - **Clones** of an implementation (or of an `Arc` of it) share one store.
///
/// `testing::conformance` (feature `testing`) checks all of it, for any
/// implementation.
#[async_trait]
pub trait Storage: Debug + Send + Sync {
    /// Name of the subject that keeps a token, for others who read the store.
    fn token_subject(&self, workflow: &WorkflowId, place: &PlaceId, token: &TokenId) -> String;

    /// Longest time from a read of the log to the end of a view write based on it. A later
    /// write is checked against the log again: by then a marker that would have stopped it may
    /// be gone.
    fn late_after(&self) -> Duration;

    /// Time after which a marker is surely gone from its register.
    fn marker_kept(&self) -> Duration;

    /// Way of reading tokens, by the settings of this storage.
    fn read_path(&self) -> ReadPath {
        ReadPath::Direct
    }

    /// Number of times that the connection was lost and made again. Messages written shortly
    /// before deserve another look.
    fn reconnects(&self) -> u64;

    /// A number that changes whenever the log may have lost messages, or be another one. A
    /// state read under an earlier number is read again before anything is decided on it. A
    /// log that went back behind a living connection is noticed within a second. If it goes
    /// back between this and an append, that is noticed after the append: it has another
    /// number then.
    async fn generation(&self) -> Result<u64>;

    /// The most bytes that a record, or a token in the view, may have as JSON, so that the
    /// message with its subject and headers is one that the server takes.
    fn max_message(&self) -> usize;

    /// Stores a version of a definition, if its latest version's sequence is `expected`
    /// (0: there is none yet).
    async fn put_definition(
        &self,
        definition: &WorkflowDefinition,
        version: u64,
        expected: u64,
    ) -> Result<StoredDefinition>;

    /// The latest version of a definition, or the one at a log sequence.
    async fn definition(
        &self,
        workflow: &WorkflowId,
        version: DefinitionVersion,
    ) -> Result<Option<StoredDefinition>>;

    /// All versions of a definition, oldest first; one that can't be decoded is an error that
    /// names it.
    async fn versions(&self, workflow: &WorkflowId) -> Result<Vec<Result<StoredDefinition>>>;

    /// The ids of all workflows, in the order of their text.
    async fn workflow_ids(&self) -> Result<Vec<WorkflowId>>;

    /// The log sequence of the version that was stored last, of any workflow; 0 if there is none.
    async fn last_definition(&self) -> Result<u64>;

    /// Appends a record to its case's log if the case's last sequence is `expected` (0: the
    /// case has none). Returns the sequence and the hash of the stored record.
    async fn append(&self, record: &Record, expected: u64) -> Result<Appended>;

    /// The last record of a case.
    async fn head(
        &self,
        workflow: &WorkflowId,
        case: &CaseId,
        consistency: Consistency,
    ) -> Result<Option<Stored<Record>>>;

    /// The record at a sequence; `None` if that is not a record of the case.
    async fn record(
        &self,
        workflow: &WorkflowId,
        case: &CaseId,
        sequence: u64,
    ) -> Result<Option<Stored<Record>>>;

    /// The first record of a case, which began it.
    async fn first_record(
        &self,
        workflow: &WorkflowId,
        case: &CaseId,
    ) -> Result<Option<Stored<Record>>> {
        let scope = LogScope::Case(workflow.clone(), case.clone());
        self.history(scope, 1).await?.next().await.transpose()
    }

    /// The last record of a case's lifecycle; firings since then don't matter.
    async fn last_of_lifecycle(
        &self,
        workflow: &WorkflowId,
        case: &CaseId,
    ) -> Result<Option<Stored<Record>>> {
        let scope = LogScope::Lifecycle(workflow.clone(), case.clone());
        let mut records = self.history(scope, 1).await?;
        let mut last = None;
        while let Some(record) = records.next().await {
            last = Some(record);
        }
        last.transpose()
    }

    /// The records in `scope` from the sequence `from` on, in order, up to the one that was
    /// last when the call began. A record that can't be decoded is an error item that names
    /// it.
    async fn history(
        &self,
        scope: LogScope,
        from: u64,
    ) -> Result<BoxStream<'static, Result<Stored<Record>>>>;

    /// The cases in the log, by the records of their lifecycles, of which each case has at
    /// least its first: an item for each such record, in order, without reading its contents.
    async fn lifecycles(&self) -> Result<BoxStream<'static, Result<Lifecycle>>>;

    /// The records in `scope` from the sequence `from` on, and then each new one as it comes:
    /// none lost, none twice, across reconnects too. Ends when dropped. Ends with
    /// [`StorageError::LogWentBack`] if the log lacks a record that was given already, or the
    /// part before `from`.
    async fn watch(
        &self,
        scope: LogScope,
        from: u64,
    ) -> Result<BoxStream<'static, Result<Stored<Record>>>>;

    /// The status of its case after each record of the log after the sequence `after` and up
    /// to `until`, in order. A record that can't be decoded is an error item that names it.
    async fn statuses(
        &self,
        after: u64,
        until: u64,
    ) -> Result<BoxStream<'static, Result<StatusAt>>> {
        if after >= until {
            return Ok(stream::empty().boxed());
        }
        let records = self.history(LogScope::All, after + 1).await?;
        let sequence = |record: &Result<Stored<Record>>| match record {
            Ok(record) => record.sequence,
            Err(StorageError::Corrupt { sequence, .. }) => *sequence,
            Err(_) => 0,
        };
        let records =
            records.take_while(move |record| std::future::ready(sequence(record) <= until));
        Ok(records.map(|record| record.map(StatusAt::from)).boxed())
    }

    /// The last sequence of the log; 0 when it is empty.
    async fn last_sequence(&self) -> Result<u64>;

    /// The state of the register of a token in a place; contents that can't be decoded are
    /// [`RegisterState::Unreadable`].
    async fn register(
        &self,
        workflow: &WorkflowId,
        place: &PlaceId,
        token: &TokenId,
    ) -> Result<Register>;

    /// The registers of tokens in places, in the order asked, for any number of them: as
    /// [`register`](Self::register) for each, in few requests.
    async fn registers_of(
        &self,
        workflow: &WorkflowId,
        wanted: &[(TokenId, PlaceId)],
    ) -> Result<Vec<Register>>;

    /// Writes registers, in the order given, each under its own condition, and returns an
    /// outcome for each; a failed one stops none of the others. When this returns, readers see
    /// all that is [`ViewOutcome::Written`].
    async fn write_views(&self, writes: Vec<ViewWrite>) -> Vec<Result<ViewOutcome>>;

    /// A token by its id, from the view: its last version, in any place.
    async fn token(
        &self,
        workflow: &WorkflowId,
        token: &TokenId,
        path: ReadPath,
    ) -> Result<Option<Token>>;

    /// Tokens from the view, ordered by the sequence of their last change there. A token that
    /// can't be decoded is logged and left out.
    async fn tokens(&self, scope: &TokenScope, page: Page, path: ReadPath)
    -> Result<PageOf<Token>>;

    /// All registers of the view with their contents, markers included: for reconciling.
    async fn registers(&self) -> Result<BoxStream<'static, Result<Register>>>;

    /// The registers of the view without their contents, markers included: at least all that
    /// were written since the record at the log sequence `since` was stored. If `since` is 0,
    /// or the view is older than the log, these are all registers.
    async fn outlines(&self, since: u64) -> Result<BoxStream<'static, Result<Outline>>>;

    /// State of the store: the server's answer, if it can be reached, and its numbers.
    async fn health(&self) -> Health;
}

/// Choice of a definition's version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DefinitionVersion {
    /// The newest.
    Latest,
    /// The version whose message has this log sequence.
    Sequence(u64),
}

/// Freshness of a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Consistency {
    /// A read that sees every write that was answered before it began.
    #[default]
    Strong,
    /// A read that a follower may answer, or a view that lags by moments.
    Eventual,
}

/// Way of reading a view. The answers are the same; the costs differ. A listing of one case in
/// NATS is by direct get either way: its subjects are known from the case's head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReadPath {
    /// Direct gets: one request for a token, and for most pages of a place.
    #[default]
    Direct,
    /// An ephemeral consumer without acknowledgements, deleted after use: for a token over all
    /// its places, for a page over all tokens of the workflow.
    Consumer,
}

/// Choice of records.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum LogScope {
    /// All workflows'.
    All,
    /// One workflow's.
    Workflow(WorkflowId),
    /// Records of lifecycles, of all workflows or of one: the first record of every case is
    /// among them, firings are not.
    Lifecycles(Option<WorkflowId>),
    /// One case's.
    Case(WorkflowId, CaseId),
    /// One case's, without its firings.
    Lifecycle(WorkflowId, CaseId),
}

/// Choice of tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenScope {
    /// The workflow.
    pub workflow: WorkflowId,
    /// The only place, if given.
    pub place: Option<PlaceId>,
    /// The only case, if given: the tokens are those of the marking in its last record.
    pub case: Option<CaseId>,
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
    pub timestamp: chrono::DateTime<chrono::Utc>,
    /// The case's status after it.
    pub status: CaseStatus,
}

impl From<Stored<Record>> for StatusAt {
    fn from(Stored { value, sequence, timestamp, .. }: Stored<Record>) -> Self {
        let Record { workflow, case, status, .. } = value;
        Self { workflow, case, sequence, timestamp, status }
    }
}

/// Sequence and hash of an appended record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// The record's sequence.
    pub sequence: u64,
    /// SHA-256 of the stored bytes, in hexadecimal.
    pub hash: String,
}

/// State of the store.
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize)]
pub struct Health {
    /// True if requests are answered now.
    pub connected: bool,
    /// Round trip of a request to the server, in milliseconds.
    pub round_trip_ms: Option<f64>,
    /// The server's version.
    pub server_version: Option<String>,
    /// Time since which it has been away.
    pub away_since: Option<chrono::DateTime<chrono::Utc>>,
    /// Records and definitions in the log.
    pub log_messages: Option<u64>,
    /// Bytes of the log.
    pub log_bytes: Option<u64>,
    /// Messages of the marking view: live tokens, and markers that have not yet expired.
    pub view_messages: Option<u64>,
    /// The fault, in words for people.
    pub problem: Option<String>,
}
