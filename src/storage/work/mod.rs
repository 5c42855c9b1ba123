//! Open work: items on their way to workers.

mod delivery;
mod offer;
mod queue;

use std::{fmt::Debug, time::Duration};

use async_trait::async_trait;

pub use delivery::Delivery;
pub use offer::Offer;
pub use queue::{ClassState, MostInFlight, QueueSettings, QueueState};

use super::{Page, PageOf, Result};
use crate::models::{CaseId, LogSequence, QueueId, WorkClass, WorkflowId};

/// Open work items on their way to workers, in queues. They are a view: a case's log says which items are
/// open, and whoever gets one looks there.
///
/// # Contract
///
/// - **Offering** what is there already changes nothing, whether somebody has it or not: any number of
///   processes may offer the same, at any time. What was acknowledged or withdrawn and is offered again
///   is there once more.
/// - **Given out** in the order of offering, in each class for itself, to one taker at a time, and to
///   another one if that one neither acknowledges, nor extends, nor gives it back within the queue's
///   [`ack_wait`](QueueSettings::ack_wait). So each comes *at least once*: a crash of a taker or of the
///   store can bring it again, also while its worker lives.
/// - **Limits.** Over all takers no more of a class are in flight than the queue's settings say; what was
///   given back for later counts until it has ended. A paused queue gives nothing out, and takes
///   everything else.
/// - **Acknowledging** ends an offer. One that has returned is not undone, but by a crash of the store.
/// - **An earlier delivery** is as good as the present one: an acknowledgement of it ends the offer,
///   an extension prolongs the time of whoever has it now, and a return takes it from him. So nothing of
///   it is proof of a right to the item: that is the claim, which is in the log.
/// - **Withdrawing** ends an offer, whoever has it.
/// - **Nothing is decided here.** All of it can be lost and is offered again from the log. The settings
///   of queues are no view: they are kept where the log is.
/// - **An error** that is [`retryable`](super::StorageError::retryable) leaves open which of the offers
///   it was about are done; the same call may be made again. After one of
///   [`set_queue`](Self::set_queue) that is no lost race, look at the settings first.
/// - **Clones** of an implementation (or of an `Arc` of it) share one set of queues.
///
/// `testing::conformance::work` (feature `testing`) checks all of it, for any implementation.
#[async_trait]
pub trait Work: Debug + Send + Sync {
    /// Offers items, in any order, and answers when all of them are stored.
    async fn offer(&self, offers: &[Offer]) -> Result<()>;

    /// Ends offers, whoever has them. One that is not there is no error.
    async fn withdraw(&self, offers: &[Offer]) -> Result<()>;

    /// Takes up to `most` offers of a class: those that are there. Where there is none it waits up to
    /// `wait` for the first, through absences of the store too, and answers with none after that; with an
    /// error if the store is away then. If the call is dropped, what was on its way to it comes again when
    /// its time is over.
    async fn take(
        &self,
        queue: &QueueId,
        class: WorkClass,
        most: usize,
        wait: Duration,
    ) -> Result<Vec<Delivery>>;

    /// Ends an offer that was given out, and answers when the store has said so. One that is not there any
    /// more is no error.
    async fn acknowledge(&self, delivery: &Delivery) -> Result<()>;

    /// Begins the taker's time anew. Where the offer is not there any more, nothing happens, and that is
    /// no error.
    async fn extend(&self, delivery: &Delivery) -> Result<()>;

    /// Gives an offer back, to be given out again after `delay`. One that is not there any more is no
    /// error.
    async fn give_work_back(&self, delivery: &Delivery, delay: Duration) -> Result<()>;

    /// For each of these, true if it is there, given out or not, by the word of whoever has everything
    /// that was stored.
    async fn offered(&self, offers: &[Offer]) -> Result<Vec<bool>>;

    /// The offers of a case, given out or not, in any order: all that were there before the call, and what
    /// came meanwhile or not.
    async fn offered_in(&self, workflow: &WorkflowId, case: &CaseId) -> Result<Vec<Offer>>;

    /// The offers of all cases, given out or not, in an order of the store's: all that were there before
    /// the first page and are there still.
    async fn all_offered(&self, page: Page) -> Result<PageOf<Offer>>;

    /// The settings of a queue and its state. Every queue is there, with the default settings where nobody
    /// has set others.
    async fn queue(&self, queue: &QueueId) -> Result<QueueState>;

    /// The queues that have settings, offers or had takers, in the order of their ids.
    async fn queues(&self) -> Result<Vec<QueueId>>;

    /// Sets a queue's settings, if their version is still `expected` (`None`: nobody has set any), and
    /// returns the new version. They hold for what is given out from then on.
    ///
    /// # Errors
    ///
    /// [`LostRace`](super::StorageError::LostRace) where the version is another one, and
    /// [`Config`](super::StorageError::Config) where a setting is out of its limits; nothing is stored then.
    async fn set_queue(
        &self,
        queue: &QueueId,
        settings: QueueSettings,
        expected: Option<LogSequence>,
    ) -> Result<LogSequence>;

    /// The life of these queues, if they were made anew and may lack offers of open items: its name, until
    /// somebody who has offered all of them says so by [`work_filled`](Self::work_filled).
    async fn work_to_be_filled(&self) -> Result<Option<String>>;

    /// Notes that all open items are offered, if this is still the same life.
    async fn work_filled(&self, life: &str) -> Result<()>;
}
