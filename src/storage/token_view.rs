//! The view of live tokens: one register for each token in each place.

use std::{fmt::Debug, time::Instant};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures::stream::BoxStream;

use super::{
    Checkpoint, ListOptions, Outline, PageOf, ReadOptions, ReadPath, Recovery, Register, Result,
    ViewOutcome, ViewScope, ViewWrite, WriteOptions,
};
use crate::models::{LogSequence, PlaceId, Token, TokenId, WorkflowId};

/// A view of live tokens, which can be made again from the log.
///
/// # Contract
///
/// - **Views decide nothing.** A write is conditional on what its writer saw in that register,
///   so an older writer can't overwrite a newer one.
/// - **A place that was left stays left.** Its register keeps a marker for as long as a writer
///   who saw the token there, or nothing, may still write. The view knows that time and nobody
///   else: a write that took longer is answered as [`ViewOutcome::Unfenced`].
/// - **Ordering.** Each write gives its register a sequence of the view, which only grows, as long as the
///   view loses nothing (see [`recovery`](Self::recovery)).
/// - **Absence** is an empty register, or `Ok(None)`; every other failure is an error.
/// - **Clones** of an implementation (or of an `Arc` of it) share one view.
///
/// `testing::conformance::view` (feature `testing`) checks all of it, for any implementation.
#[async_trait]
pub trait TokenView: Debug + Send + Sync {
    /// Name of the subject that keeps a token, for others who read the store.
    fn token_subject(&self, workflow: &WorkflowId, place: &PlaceId, token: &TokenId) -> String;

    /// Way of reading tokens, by the settings of this view.
    fn read_path(&self) -> ReadPath {
        ReadPath::Direct
    }

    /// True if what was read of the log at `log_read` is so old by now that a write which comes
    /// from it would hardly be fenced. Never where markers stay.
    fn is_stale(&self, _log_read: Instant) -> bool {
        false
    }

    /// True if a register that its token left at `left` is surely empty at `now`, by the clocks
    /// of any two processes. Never where markers stay.
    fn has_forgotten(&self, _left: DateTime<Utc>, _now: DateTime<Utc>) -> bool {
        false
    }

    /// The state of the register of a token in a place; contents that can't be decoded are
    /// [`RegisterState::Unreadable`](super::RegisterState::Unreadable).
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
    /// all that is written.
    async fn write_views(
        &self,
        writes: Vec<ViewWrite>,
        options: WriteOptions,
    ) -> Vec<Result<ViewOutcome>>;

    /// A token by its id, from the view: its last version, in any place.
    async fn token(
        &self,
        workflow: &WorkflowId,
        token: &TokenId,
        options: ReadOptions,
    ) -> Result<Option<Token>>;

    /// Tokens from the view, ordered by the sequence of their last change there. A token that
    /// can't be decoded is logged and left out. A page ends before the tokens take more than
    /// [`PAGE_BYTES`](super::PAGE_BYTES) of memory, by an estimate that is the implementor's, and
    /// has one token at least.
    async fn tokens(&self, scope: &ViewScope, options: ListOptions) -> Result<PageOf<Token>>;

    /// All registers of the view with their contents, markers included: for reconciling.
    async fn registers(&self) -> Result<BoxStream<'static, Result<Register>>>;

    /// The registers of the view without their contents, markers included: at least all that
    /// were written since the record at the log sequence `since` was stored. Without one, or if
    /// the view is older than the log, these are all registers.
    async fn outlines(
        &self,
        since: Option<LogSequence>,
    ) -> Result<BoxStream<'static, Result<Outline>>>;

    /// The writes that the view acknowledged and may have lost, by its last checkpoint. One that
    /// acknowledges before its writes are safe loses some where its store ends by a crash.
    async fn recovery(&self) -> Result<Recovery> {
        Ok(Recovery::Nothing(String::new()))
    }

    /// Keeps a checkpoint, for all processes. One of an earlier life of the view may be kept: it
    /// says nothing of a later one but what is [`kept`](Checkpoint::kept). Returns false if another
    /// process has kept one at the same moment, and this one is not.
    async fn keep_checkpoint(&self, _checkpoint: &Checkpoint) -> Result<bool> {
        Ok(true)
    }
}
