//! The lease of an attempt: signs of life, and the end of it by the worker's own clock.

use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::{Attempt, StopReason, builder::Shared};
use crate::{
    models::Held,
    petrel::{Standing, WorkId, is_of},
    storage::{Beat, BeatSequence, Delivery, StorageError},
};

/// Wait after a sign of life that could not be given.
const AGAIN: Duration = Duration::from_millis(500);

/// The lease of a delivery, through all items of its chain.
#[derive(Debug)]
pub(super) struct Lease {
    held: Held,
    ack_wait: Duration,
    /// Its end by this process's clock, counted from when the last accepted sign was sent.
    until: Instant,
    next: Instant,
    /// The position of the last sign, if it is known.
    last: Option<BeatSequence>,
}

impl Lease {
    /// A lease that began with a record for which was asked at this time.
    pub(super) fn new(held: Held, ack_wait: Duration, asked: Instant) -> Self {
        let (until, next) = (asked + ack_wait, asked + ack_wait / 3);
        Self { held, ack_wait, until, next, last: None }
    }

    /// Its names.
    pub(super) fn held(&self) -> &Held {
        &self.held
    }

    /// End of it by this process's clock.
    pub(super) fn until(&self) -> Instant {
        self.until
    }

    /// Begins it anew with a record that was sent at this time: the start of the next item.
    pub(super) fn renew(&mut self, sent: Instant) {
        self.until = self.until.max(sent + self.ack_wait);
    }

    /// Its length.
    pub(super) fn length(&self) -> Duration {
        self.ack_wait
    }

    /// Gives signs of life for an attempt until it is to stop; the next one at once when it is told that
    /// something has happened. Cancel-safe: a sign that was given and not noted is found by the next.
    pub(super) async fn keep(
        &mut self,
        shared: &Shared,
        delivery: &Delivery,
        (work, claim): (&WorkId, u64),
        (attempt, told): (&Attempt, &Notify),
    ) -> StopReason {
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(self.next.min(self.until).into()) => {}
                () = told.notified() => {}
            }
            let left = self.until.saturating_duration_since(Instant::now());
            let beat = self.beat(shared, delivery, (work, claim), attempt);
            let beaten = tokio::time::timeout(left, beat);
            match beaten.await {
                Ok(Ok(())) => {}
                Ok(Err(Some(reason))) => return reason,
                Ok(Err(None)) => self.next = Instant::now() + AGAIN,
                Err(_) => return StopReason::Lost,
            }
        }
    }

    /// One sign of life; the reason to stop, or none if it could not be given.
    async fn beat(
        &mut self,
        shared: &Shared,
        delivery: &Delivery,
        (work, claim): (&WorkId, u64),
        attempt: &Attempt,
    ) -> Result<(), Option<StopReason>> {
        let sent = Instant::now();
        let standing = shared.petrel.work_standing(work, claim).await.map_err(|error| {
            tracing::debug!(case = %work.case, item = work.item, %error, "no sign of life now");
            None
        })?;
        match standing {
            Standing::GoesOn | Standing::Paused => {
                attempt.pauses(standing == Standing::Paused);
                attempt.hears();
            }
            Standing::Cancelled => return Err(Some(StopReason::Cancelled)),
            Standing::Withdrawn => return Err(Some(StopReason::Withdrawn)),
            Standing::TimedOut => return Err(Some(StopReason::TimedOut)),
            _ => return Err(Some(StopReason::Lost)),
        }
        let storage = shared.petrel.storage();
        let beat = Beat {
            workflow: work.workflow.clone(),
            case: work.case.clone(),
            item: self.held.message,
            claim: self.held.claim,
            holder: self.held.item.to_string(),
            worker: shared.name.clone(),
        };
        match storage.beat(&beat, self.ack_wait, self.last).await {
            Ok(sequence) => {
                self.last = Some(sequence);
                (self.until, self.next) = (sent + self.ack_wait, sent + self.ack_wait / 3);
            }
            Err(StorageError::LostRace { .. }) => {
                // It was one of this lease whose answer was lost, or what there was has ended; or somebody
                // else has the item.
                let last = storage.last_beat(&work.workflow, &work.case, beat.item).await;
                match last.map_err(|_| None)? {
                    // What an earlier claim has left is replaced; the head says that this one counts.
                    Some(last) => {
                        let is_own = is_of(&last.beat, &self.held);
                        tracing::debug!(case = %work.case, item = work.item, is_own, "a sign was there");
                        self.last = Some(last.sequence);
                    }
                    None => self.last = None,
                }
                return Err(None);
            }
            Err(_) => return Err(None),
        }
        // The beat is the lease; this only spares a delivery that would find it.
        let _ = storage.extend(delivery).await;
        Ok(())
    }
}
