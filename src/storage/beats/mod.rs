//! Beats: who is alive, and how far he has come.

mod beat;

use std::{fmt::Debug, time::Duration};

use async_trait::async_trait;
use futures::stream::BoxStream;

pub use beat::{Beat, BeatSequence, Hint, LastBeat, LastProgress, Progress};

use super::Result;
use crate::models::{CaseId, WorkflowId};

/// Signs of life of those who do work, and their progress: one beat and one progress of each item at most,
/// the last ones. They prolong claims, and claims are in the log.
///
/// # Contract
///
/// - **A condition** is on each write: what its writer saw last is still the last, or there is nothing if
///   he saw nothing. Of many writers who expect the same, one writes. Where it does not hold, the error is
///   [`LostRace`](super::StorageError::LostRace), and nothing was stored: look again, and decide again.
/// - **A beat** is there for its life, by the store's clock, and then as if it had never been: a read finds
///   none, and the next writer expects none. Whoever expects it is refused, a second later at the latest:
///   until then he is taken at his word if nobody else has written, which harms nobody.
/// - **Progress** stays until it is replaced or ended. Its condition is its own: beat and progress of an
///   item do not count for each other.
/// - **Reads** are of whoever has everything that was stored: what was written before a read began is
///   found, or what came after it.
/// - **A turn** at a duty is a beat without an item, which its holder does not prolong.
/// - **A hint** comes to all who listen at that moment, or is lost without a word. It proves nothing: who hears
///   it looks at the log.
/// - **All of it can be lost.** Then there is none, and the next writer expects none: claims go on as their
///   records say, and somebody else may begin the item.
/// - **An error** that is [`retryable`](super::StorageError::retryable) and no lost race leaves open if it
///   was written. After one, the condition is what a read finds then.
/// - **Clones** of an implementation (or of an `Arc` of it) share one set of beats.
///
/// `testing::conformance::beats` (feature `testing`) checks all of it, for any implementation.
#[async_trait]
pub trait Beats: Debug + Send + Sync {
    /// Stores a beat that lives for `life`, in whole seconds, one at least: a part of one counts as one.
    /// Returns its position.
    async fn beat(
        &self,
        beat: &Beat,
        life: Duration,
        expected: Option<BeatSequence>,
    ) -> Result<BeatSequence>;

    /// The last beat of an item, if its life is not over.
    async fn last_beat(
        &self,
        workflow: &WorkflowId,
        case: &CaseId,
        item: u64,
    ) -> Result<Option<LastBeat>>;

    /// Ends beat and progress of an item. Where there is none that is no error.
    async fn end_beats(&self, workflow: &WorkflowId, case: &CaseId, item: u64) -> Result<()>;

    /// Stores the progress of an item. Returns its position.
    async fn progress(
        &self,
        progress: &Progress,
        expected: Option<BeatSequence>,
    ) -> Result<BeatSequence>;

    /// The last progress of an item.
    async fn last_progress(
        &self,
        workflow: &WorkflowId,
        case: &CaseId,
        item: u64,
    ) -> Result<Option<LastProgress>>;

    /// Takes the turn at a duty that one process is to see to, for a time in whole seconds: true for one of all
    /// who ask, until that is over. `duty` is a word of letters and dashes.
    async fn take_turn(&self, duty: &'static str, life: Duration) -> Result<bool>;

    /// Tells whoever listens, and waits for nobody.
    async fn tell(&self, hints: &[Hint]) -> Result<()>;

    /// The hints of all who tell, from now on, and through absences of the store those after them.
    async fn hints(&self) -> Result<BoxStream<'static, Hint>>;
}

/// Seconds that a beat lives for which this life was asked: a part of one counts as one.
pub(in crate::storage) fn whole_seconds(life: Duration) -> u64 {
    (life.as_secs() + u64::from(life.subsec_nanos() > 0)).max(1)
}
