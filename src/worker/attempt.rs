//! An attempt at a work item, as its handler sees it.

use std::sync::{
    Arc, Mutex, OnceLock, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::Notify;
use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};

use crate::{
    engine::{PutOff, Refused},
    models::{Item, KindId, TransitionId},
    petrel::{Error, Petrel, Result, Standing, WorkId, WorkRefused},
    storage::{BeatSequence, LastProgress, Progress, StorageError},
};

/// Reason that an attempt is to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StopReason {
    /// The case was cancelled.
    Cancelled,
    /// Its item is over: somebody took its tokens, or completed it.
    Withdrawn,
    /// Its worker could not tell that it is alive, so somebody else may begin the item now.
    Lost,
    /// It took longer than its activity allows.
    TimedOut,
    /// The worker shuts down, and the time for what runs is over.
    Draining,
}

impl StopReason {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cancelled => "cancelled",
            Self::Withdrawn => "withdrawn",
            Self::Lost => "lost",
            Self::TimedOut => "timed out",
            Self::Draining => "draining",
        }
    }
}

/// An attempt at a work item. A clone is the same.
#[derive(Debug, Clone)]
pub struct Attempt {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    petrel: Petrel,
    worker: String,
    work: WorkId,
    kind: KindId,
    transition: TransitionId,
    claim: u64,
    number: u64,
    is_first: bool,
    stop: CancellationToken,
    reason: OnceLock<StopReason>,
    progress: Mutex<Option<Option<BeatSequence>>>,
    given_back: OnceLock<Option<PutOff>>,
    news: Notify,
    has_failed: AtomicBool,
    is_paused: AtomicBool,
    shutdown: CancellationToken,
}

impl Attempt {
    pub(super) fn new(
        (petrel, worker, shutdown): (Petrel, String, CancellationToken),
        work: WorkId,
        (kind, transition): (KindId, TransitionId),
        item: &Item,
    ) -> Self {
        let (claim, number) = (item.claim, item.attempt);
        let is_first = item.failed + item.lost == 0;
        let (stop, reason, progress, given_back) = Default::default();
        let (news, has_failed, is_paused) = Default::default();
        let inner = Inner {
            petrel,
            worker,
            work,
            kind,
            transition,
            claim,
            number,
            is_first,
            stop,
            reason,
            progress,
            given_back,
            news,
            has_failed,
            is_paused,
            shutdown,
        };
        Self { inner: Arc::new(inner) }
    }

    /// The handle through which the worker works.
    pub(crate) fn petrel(&self) -> &Petrel {
        &self.inner.petrel
    }

    /// Name of the worker.
    pub fn worker(&self) -> &str {
        &self.inner.worker
    }

    /// The item.
    pub fn work(&self) -> &WorkId {
        &self.inner.work
    }

    /// Kind of the work.
    pub fn kind(&self) -> &KindId {
        &self.inner.kind
    }

    /// The activity.
    pub fn transition(&self) -> &TransitionId {
        &self.inner.transition
    }

    /// Number of the claim: each start of an item has another one. What a handler does outside can be
    /// told apart by item and claim.
    pub fn claim(&self) -> u64 {
        self.inner.claim
    }

    /// Number of the attempt, counted from 1.
    pub fn number(&self) -> u64 {
        self.inner.number
    }

    /// Returns true if none before it failed or was lost, since the item was made or somebody had it tried again.
    pub(crate) fn is_first(&self) -> bool {
        self.inner.is_first
    }

    /// Waits until the attempt is to stop. A handler that does not look is ended at one of its pauses a few
    /// seconds later, or at once if it is lost.
    pub fn stopped(&self) -> WaitForCancellationFuture<'_> {
        self.inner.stop.cancelled()
    }

    /// The reason that it is to stop; `None` as long as it is not.
    pub fn stop_reason(&self) -> Option<StopReason> {
        self.inner.reason.get().copied()
    }

    pub(super) fn stop(&self, reason: StopReason) {
        let _ = self.inner.reason.set(reason);
        self.inner.stop.cancel();
    }

    /// Says that it is to go on in another run of its handler, which ends now; after a wait, if there is one.
    pub(crate) fn give_back(&self, put_off: Option<PutOff>) {
        let _ = self.inner.given_back.set(put_off);
    }

    /// Waits until something may have happened to the item.
    pub(crate) async fn news(&self) {
        self.inner.news.notified().await;
    }

    pub(super) fn hears(&self) {
        self.inner.news.notify_one();
    }

    /// The wait after which it is to go on, if it said so.
    pub(super) fn given_back(&self) -> Option<Option<PutOff>> {
        self.inner.given_back.get().copied()
    }

    /// Says that its failure is on its way into its journal, so it counts, also if the worker shuts down now.
    pub(crate) fn fails(&self) {
        self.inner.has_failed.store(true, Ordering::Relaxed);
    }

    pub(super) fn has_failed(&self) -> bool {
        self.inner.has_failed.load(Ordering::Relaxed)
    }

    /// Returns true if nothing of it is to begin that can begin later as well: its case is paused, or its worker shuts
    /// down.
    pub(crate) fn is_paused(&self) -> bool {
        self.inner.is_paused.load(Ordering::Relaxed) || self.inner.shutdown.is_cancelled()
    }

    /// Notes what is heard of its case.
    pub(super) fn pauses(&self, is_paused: bool) {
        self.inner.is_paused.store(is_paused, Ordering::Relaxed);
    }

    /// Stores how far it has come, for watchers and for the next attempt. It replaces what was there.
    ///
    /// # Errors
    ///
    /// [`Error::Work`] with `LEASE_LOST` if the attempt has ended, for the log or for its worker, and
    /// [`StorageError::LostRace`] if another one has stored its progress at this moment.
    pub async fn progress(&self, progress: &Value) -> Result<()> {
        let Inner { petrel, work, claim, .. } = &*self.inner;
        let standing = petrel.work_standing(work, *claim).await?;
        let goes_on = [Standing::GoesOn, Standing::Paused, Standing::TimedOut].contains(&standing);
        if !goes_on || self.stop_reason() == Some(StopReason::Lost) {
            let reason = Refused::LeaseLost { claim: *claim, is_over: true };
            return Err(Error::Work(Box::new(WorkRefused { work: work.clone(), reason })));
        }
        let known = *self.inner.progress.lock().unwrap_or_else(PoisonError::into_inner);
        let expected = match known {
            Some(expected) => expected,
            None => {
                let last =
                    petrel.storage().last_progress(&work.workflow, &work.case, work.item).await?;
                last.map(|last| last.sequence)
            }
        };
        let json = Bytes::from(progress.to_string());
        let (workflow, case) = (work.workflow.clone(), work.case.clone());
        let progress = Progress { workflow, case, item: work.item, claim: *claim, json };
        let stored = petrel.storage().progress(&progress, expected).await;
        let next = match &stored {
            Ok(sequence) => Some(Some(*sequence)),
            Err(StorageError::LostRace { .. }) => known,
            // It may have been stored.
            Err(_) => None,
        };
        *self.inner.progress.lock().unwrap_or_else(PoisonError::into_inner) = next;
        stored?;
        Ok(())
    }

    /// The progress that an attempt before, or this one, stored last.
    pub async fn last_progress(&self) -> Result<Option<Value>> {
        let Inner { petrel, work, .. } = &*self.inner;
        let last = petrel.storage().last_progress(&work.workflow, &work.case, work.item).await?;
        let read = |last: LastProgress| {
            serde_json::from_slice(&last.progress.json).map_err(|error| Error::InvalidArgument {
                argument: "progress".to_owned(),
                reason: format!("of claim {} is no JSON: {error}", last.progress.claim),
            })
        };
        last.map(read).transpose()
    }
}
