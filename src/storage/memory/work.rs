//! Open work in memory: by the machine's clock, or by one that is given.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use tokio::{sync::Notify, time::Instant};

use super::{
    MemoryStorage,
    clock::{LOOK, StoreClock},
    queues::{Key, Part, State, key},
    timers::{delivery, later},
};
use crate::{
    models::{CaseId, Clock, LogSequence, QueueId, WorkClass, WorkflowId},
    storage::{
        Cursor, Delivery, Filling, Offer, Page, PageOf, QueueSettings, QueueState, Result,
        StorageError, Work,
    },
};

/// Memory of an item of a page, by a rough estimate.
const BYTES: usize = 512;

/// Open work in memory. A clone shares it.
#[derive(Debug, Clone, Default)]
pub struct MemoryWork {
    work: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// Something was offered or given back, or has made room.
    changed: Notify,
    clock: StoreClock,
}

/// A taker who waits, until he is dropped.
struct Waits<'a> {
    work: &'a MemoryWork,
    part: &'a Part,
}

impl<'a> Waits<'a> {
    fn new(work: &'a MemoryWork, part: &'a Part) -> Self {
        work.state().part(&part.0, part.1).pulls += 1;
        Self { work, part }
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.work.state().part(&self.part.0, self.part.1).pulls -= 1;
    }
}

impl MemoryWork {
    /// No work, by the machine's clock.
    pub fn new() -> Self {
        Self::default()
    }

    /// No work, by a clock that may be moved: whoever waits notices it within milliseconds.
    pub fn with_clock(clock: Arc<dyn Clock>) -> Self {
        let clock = StoreClock::of(clock);
        Self { work: Arc::new(Shared { clock, ..Shared::default() }) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics between the parts of one change, so the state is whole.
        self.work.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state, and wakes those who wait.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let changed = change(&mut self.state());
        self.work.changed.notify_waiters();
        changed
    }

    /// Time until the next look, where nothing changes before.
    fn pause(&self, part: &Part) -> Duration {
        let next = self.state().part(&part.0, part.1).in_flight.first().map(|(at, _)| *at);
        self.work.clock.pause_until(next)
    }
}

#[async_trait]
impl Work for MemoryWork {
    async fn offer(&self, offers: &[Offer]) -> Result<()> {
        let now = self.work.clock.now();
        self.change(|state| offers.iter().for_each(|offer| state.offer(offer, now)));
        Ok(())
    }

    async fn withdraw(&self, offers: &[Offer]) -> Result<()> {
        self.change(|state| {
            for offer in offers {
                if let Some(number) = state.numbers.get(&key(offer)).copied() {
                    state.end(number);
                }
            }
        });
        Ok(())
    }

    async fn take(
        &self,
        queue: &QueueId,
        class: WorkClass,
        most: usize,
        wait: Duration,
    ) -> Result<Vec<Delivery>> {
        let (begun, part) = (Instant::now(), (queue.clone(), class));
        let _waits = Waits::new(self, &part);
        loop {
            let mut changed = std::pin::pin!(self.work.changed.notified());
            // Before the look, so that nothing is offered between the two and not noticed.
            changed.as_mut().enable();
            let now = self.work.clock.now();
            let taken = self.state().take(&part, most, now);
            let left = wait.saturating_sub(begun.elapsed());
            if most == 0 || !taken.is_empty() || left.is_zero() {
                return Ok(taken);
            }
            // Looked at again, whichever of the two it was.
            let pause = self.pause(&part).max(LOOK / 5);
            let _ = tokio::time::timeout(left.min(pause), changed).await;
        }
    }

    async fn acknowledge(&self, delivery: &Delivery) -> Result<()> {
        self.change(|state| state.end(self::delivery(&delivery.receipt).0));
        Ok(())
    }

    async fn extend(&self, delivery: &Delivery) -> Result<()> {
        let (number, now) = (self::delivery(&delivery.receipt).0, self.work.clock.now());
        self.change(|state| {
            let wait = state.settings(&delivery.offer.queue).ack_wait;
            state.put_off(number, later(now, wait));
        });
        Ok(())
    }

    async fn give_work_back(&self, delivery: &Delivery, delay: Duration) -> Result<()> {
        let (number, now) = (self::delivery(&delivery.receipt).0, self.work.clock.now());
        self.change(|state| state.put_off(number, later(now, delay)));
        Ok(())
    }

    async fn offered(&self, offers: &[Offer]) -> Result<Vec<bool>> {
        let state = self.state();
        Ok(offers.iter().map(|offer| state.numbers.contains_key(&key(offer))).collect())
    }

    async fn offered_in(&self, workflow: &WorkflowId, case: &CaseId) -> Result<Vec<Offer>> {
        let state = self.state();
        let theirs = |(of, it, ..): &&Key| of == workflow && it == case;
        let numbers = state.numbers.iter().filter(|(key, _)| theirs(key));
        let entries = numbers.filter_map(|(_, number)| state.entries.get(number));
        Ok(entries.map(|entry| entry.offer.clone()).collect())
    }

    async fn all_offered(&self, page: Page) -> Result<PageOf<Offer>> {
        let mut filling = Filling::new(page.first);
        let state = self.state();
        let after = page.after.map_or(0, |Cursor(after)| after);
        for (number, entry) in state.entries.range(after.saturating_add(1)..) {
            if !filling.add(Cursor(*number), entry.offer.clone(), BYTES) {
                break;
            }
        }
        Ok(filling.page())
    }

    async fn queue(&self, queue: &QueueId) -> Result<QueueState> {
        let (state, now) = (self.state(), self.work.clock.now());
        Ok(QueueState {
            queue: queue.clone(),
            settings: state.settings(queue),
            version: state.settings.get(queue).map(|(_, version)| *version),
            classes: WorkClass::ALL.map(|class| state.class(queue, class, now)),
        })
    }

    async fn queues(&self) -> Result<Vec<QueueId>> {
        let state = self.state();
        let parts = state.parts.keys().map(|(queue, _)| queue);
        let all: BTreeSet<_> = state.settings.keys().chain(parts).cloned().collect();
        Ok(all.into_iter().collect())
    }

    async fn set_queue(
        &self,
        queue: &QueueId,
        settings: QueueSettings,
        expected: Option<LogSequence>,
    ) -> Result<LogSequence> {
        settings.validate()?;
        self.change(|state| {
            if state.settings.get(queue).map(|(_, version)| *version) != expected {
                let subject = format!("memory.queues.{queue}");
                return Err(StorageError::LostRace { subject, expected });
            }
            state.versions += 1;
            let version = LogSequence::new(state.versions).unwrap_or(LogSequence::FIRST);
            state.settings.insert(queue.clone(), (settings, version));
            Ok(version)
        })
    }

    async fn work_to_be_filled(&self) -> Result<Option<String>> {
        // It ends with the log.
        Ok(None)
    }

    async fn work_filled(&self, _life: &str) -> Result<()> {
        Ok(())
    }
}

#[async_trait]
impl Work for MemoryStorage {
    async fn offer(&self, offers: &[Offer]) -> Result<()> {
        self.work.offer(offers).await
    }

    async fn withdraw(&self, offers: &[Offer]) -> Result<()> {
        self.work.withdraw(offers).await
    }

    async fn take(
        &self,
        queue: &QueueId,
        class: WorkClass,
        most: usize,
        wait: Duration,
    ) -> Result<Vec<Delivery>> {
        self.work.take(queue, class, most, wait).await
    }

    async fn acknowledge(&self, delivery: &Delivery) -> Result<()> {
        self.work.acknowledge(delivery).await
    }

    async fn extend(&self, delivery: &Delivery) -> Result<()> {
        self.work.extend(delivery).await
    }

    async fn give_work_back(&self, delivery: &Delivery, delay: Duration) -> Result<()> {
        self.work.give_work_back(delivery, delay).await
    }

    async fn offered(&self, offers: &[Offer]) -> Result<Vec<bool>> {
        self.work.offered(offers).await
    }

    async fn offered_in(&self, workflow: &WorkflowId, case: &CaseId) -> Result<Vec<Offer>> {
        self.work.offered_in(workflow, case).await
    }

    async fn all_offered(&self, page: Page) -> Result<PageOf<Offer>> {
        self.work.all_offered(page).await
    }

    async fn queue(&self, queue: &QueueId) -> Result<QueueState> {
        self.work.queue(queue).await
    }

    async fn queues(&self) -> Result<Vec<QueueId>> {
        self.work.queues().await
    }

    async fn set_queue(
        &self,
        queue: &QueueId,
        settings: QueueSettings,
        expected: Option<LogSequence>,
    ) -> Result<LogSequence> {
        self.work.set_queue(queue, settings, expected).await
    }

    async fn work_to_be_filled(&self) -> Result<Option<String>> {
        self.work.work_to_be_filled().await
    }

    async fn work_filled(&self, life: &str) -> Result<()> {
        self.work.work_filled(life).await
    }
}
