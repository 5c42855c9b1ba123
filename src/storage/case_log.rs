//! The log of cases and definitions: the truth of a store.

use std::fmt::Debug;

use async_trait::async_trait;
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};

use super::{
    AppendOptions, Appended, Consistency, DefinitionVersion, Lifecycle, LogRange, LogScope,
    PutOptions, Result, StatusAt, WatchOptions, WriteLevel,
};
use crate::models::{
    CaseId, LogSequence, Record, Stored, StoredDefinition, WorkflowDefinition, WorkflowId,
};

/// Cases, each with its last record.
pub type Heads<'a> = BoxStream<'a, (CaseId, Result<Option<Stored<Record>>>)>;

/// Number of last records that are asked for at once where each is asked for alone.
const HEADS_AT_ONCE: usize = 16;

/// A log of cases and definitions.
///
/// # Contract
///
/// - **One log.** Definitions and records share one sequence, which only grows. A sequence
///   that was answered is durable to the degree that the server's settings say.
/// - **Atomicity.** [`append`](Self::append) and [`put_definition`](Self::put_definition)
///   happen whole or not at all. An error that is [`retryable`](super::StorageError::retryable) and
///   not [`LostRace`](super::StorageError::LostRace) leaves open which of the two; the caller looks
///   at the head.
/// - **Compare-and-swap.** The expected sequence is data. A lost race is
///   [`StorageError::LostRace`](super::StorageError::LostRace), and nothing was stored.
/// - **Ordering.** The records of a case are read in the order of their sequences, and a
///   record is visible to [`head`](Self::head) as soon as its append has returned.
/// - **Absence** is `Ok(None)`: the word of the server; every other failure is an error.
/// - **Clones** of an implementation (or of an `Arc` of it) share one log.
///
/// `testing::conformance::log` (feature `testing`) checks all of it, for any implementation.
#[async_trait]
pub trait CaseLog: Debug + Send + Sync {
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

    /// The level of kinds and fields that records may have, since every program of this system reads
    /// them: an operator says so once all of them do. It is at most a second old, and never lowered.
    /// A program may write less.
    async fn write_level(&self) -> Result<WriteLevel> {
        Ok(WriteLevel::FIRST)
    }

    /// The level as it is now: asked before something is refused for it.
    async fn write_level_now(&self) -> Result<WriteLevel> {
        self.write_level().await
    }

    /// Stores a version of a definition, if its latest version's sequence is the expected one.
    async fn put_definition(
        &self,
        definition: &WorkflowDefinition,
        options: PutOptions,
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

    /// The log sequence of the version that was stored last, of any workflow.
    async fn last_definition(&self) -> Result<Option<LogSequence>>;

    /// Appends a record to its case's log if the case's last sequence is the expected one.
    /// Returns the sequence, the subject and the hash of the stored record.
    async fn append(&self, record: &Record, options: AppendOptions) -> Result<Appended>;

    /// The last record of a case.
    async fn head(
        &self,
        workflow: &WorkflowId,
        case: &CaseId,
        consistency: Consistency,
    ) -> Result<Option<Stored<Record>>>;

    /// The last records of cases of one workflow, each read by [`Consistency::Strong`], with their
    /// cases in the order of these. Whoever wants many has them for fewer requests.
    fn heads<'a>(&'a self, workflow: &'a WorkflowId, cases: &'a [CaseId]) -> Heads<'a> {
        let heads = stream::iter(cases).map(move |case| async move {
            (case.clone(), self.head(workflow, case, Consistency::Strong).await)
        });
        heads.buffered(HEADS_AT_ONCE).boxed()
    }

    /// The record at a sequence; `None` if that is not a record of the case.
    async fn record(
        &self,
        workflow: &WorkflowId,
        case: &CaseId,
        sequence: LogSequence,
    ) -> Result<Option<Stored<Record>>>;

    /// The first record of a case, which began it.
    async fn first_record(
        &self,
        workflow: &WorkflowId,
        case: &CaseId,
    ) -> Result<Option<Stored<Record>>> {
        let scope = LogScope::Case(workflow.clone(), case.clone());
        self.history(scope, LogRange::ALL).await?.next().await.transpose()
    }

    /// The last record of a case's lifecycle; firings since then don't matter.
    async fn last_of_lifecycle(
        &self,
        workflow: &WorkflowId,
        case: &CaseId,
    ) -> Result<Option<Stored<Record>>> {
        let scope = LogScope::Lifecycle(workflow.clone(), case.clone());
        let mut records = self.history(scope, LogRange::ALL).await?;
        let mut last = None;
        while let Some(record) = records.next().await {
            last = Some(record);
        }
        last.transpose()
    }

    /// The records in `scope` and in `range`, in order, and none after the one that was last
    /// when the call began. A record that can't be decoded is an error item that names it.
    async fn history(
        &self,
        scope: LogScope,
        range: LogRange,
    ) -> Result<BoxStream<'static, Result<Stored<Record>>>>;

    /// The cases in the log, by the records of their lifecycles, of which each case has at
    /// least its first: an item for each such record, in order, without reading its contents.
    async fn lifecycles(&self) -> Result<BoxStream<'static, Result<Lifecycle>>>;

    /// The records in `scope` from a sequence on, and then each new one as it comes: none lost,
    /// none twice, across reconnects too. Ends when dropped. Ends with
    /// [`StorageError::LogWentBack`](super::StorageError::LogWentBack) if the log lacks a record that was given already, or the
    /// part before the first sequence of interest.
    async fn watch(
        &self,
        scope: LogScope,
        options: WatchOptions,
    ) -> Result<BoxStream<'static, Result<Stored<Record>>>>;

    /// The status of its case after each record of the log that is in `range`, in order. A record
    /// that can't be decoded is an error item that names it.
    async fn statuses(&self, range: LogRange) -> Result<BoxStream<'static, Result<StatusAt>>> {
        let records = self.history(LogScope::All, range).await?;
        Ok(records.map(|record| record.map(StatusAt::of)).boxed())
    }

    /// The last sequence of the log; `None` when it is empty.
    async fn last_sequence(&self) -> Result<Option<LogSequence>>;
}
