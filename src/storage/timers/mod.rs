//! Armed timers: what is to come due, and what has.

mod arming;
mod due;

use std::{fmt::Debug, time::Duration};

use async_trait::async_trait;

pub use arming::Arming;
pub use due::Due;

use super::{Page, PageOf, Result};
use crate::models::{CaseId, WorkflowId};

/// Timers of cases, which come due by the store's clock. They are a view: a case's log says which
/// timers it has, and whoever takes one that has come due looks there.
///
/// # Contract
///
/// - **Arming** the same again changes nothing until it was settled, whether it has come due or not:
///   any number of processes may arm what a record has set, at any time. What was settled or disarmed
///   and is armed again comes once more. Under another time it is another one, and takes the place of
///   the first.
/// - **Due.** An arming comes due once the store's clock has passed its time, not before; at once if
///   that is over. It is given to one taker at a time, and to another one if that one neither settles
///   nor gives it back within [`lease`](Self::lease). So each comes *at least once*, in any order: a
///   crash of a taker or of the store can bring it again, and the taker's look at the log makes that
///   harmless.
/// - **Settling** ends it. A settlement that has returned is not undone, but by a crash of the store.
///   One whose delivery is over, since another taker has it, ends it all the same.
/// - **Disarming** ends it. What has come due already, or does so at that moment, may still be given out.
/// - **Nothing is decided here.** All of it can be lost and is armed again from the log.
/// - **An error** that is [`retryable`](super::StorageError::retryable) leaves open which of the armings
///   it was about are done; the same call may be made again.
/// - **Clones** of an implementation (or of an `Arc` of it) share one set of timers.
///
/// `testing::conformance::timers` (feature `testing`) checks all of it, for any implementation.
#[async_trait]
pub trait Timers: Debug + Send + Sync {
    /// Longest time that a taker may keep what has come due, before another one gets it.
    fn lease(&self) -> Duration;

    /// Arms timers, in any order, and answers when all of them are stored.
    async fn arm(&self, armings: &[Arming]) -> Result<()>;

    /// Ends armings. One that is not there is no error.
    async fn disarm(&self, armings: &[Arming]) -> Result<()>;

    /// Takes up to `most` armings that have come due. Where there is none it waits up to `wait` for the
    /// first, through absences of the store too, and answers with none after that; with an error if
    /// the store is away then. If the call is dropped, what was on its way to it comes again when its
    /// lease is over.
    async fn take_due(&self, most: usize, wait: Duration) -> Result<Vec<Due>>;

    /// Ends an arming that has come due and was looked at. One that is not there any more is no error.
    async fn settle(&self, due: &Due) -> Result<()>;

    /// Gives an arming back that has come due, to be given out again after `delay`. One that is not
    /// there any more, or is with another taker by now, is no error.
    async fn give_back(&self, due: &Due, delay: Duration) -> Result<()>;

    /// The armings of some cases that are not settled, due or not, in any order: all that were there before
    /// the call, and what came meanwhile or not.
    async fn armed_in(&self, workflow: &WorkflowId, cases: &[CaseId]) -> Result<Vec<Arming>>;

    /// The armings of all cases that are not settled, in an order of the store's. One that comes due
    /// between two pages may be on both, and none is left out.
    async fn armed(&self, page: Page) -> Result<PageOf<Arming>>;

    /// The life of this set of timers, if it was made anew and may lack some that cases have: its name, until
    /// somebody who has armed all of them says so by [`filled`](Self::filled).
    async fn to_be_filled(&self) -> Result<Option<String>>;

    /// Notes that all timers are armed, if this is still the same life.
    async fn filled(&self, life: &str) -> Result<()>;
}
