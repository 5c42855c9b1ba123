//! Timers in memory: by the machine's clock, or by one that is given.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use tokio::{sync::Notify, time::Instant};

use super::{MemoryStorage, clock::StoreClock};
use crate::{
    models::{CaseId, Clock, LogSequence, WorkflowId},
    storage::{Arming, Cursor, Due, Filling, Page, PageOf, Receipt, Result, Timers},
};

/// Longest time that a taker may keep what has come due.
const LEASE: Duration = Duration::from_secs(30);

/// Memory of an item of a page, by a rough estimate.
const BYTES: usize = 256;

/// Timers in memory. A clone shares them.
#[derive(Debug, Clone, Default)]
pub struct MemoryTimers {
    timers: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// Something was armed or given back.
    changed: Notify,
    clock: StoreClock,
}

/// Identity of an arming.
type Key = (WorkflowId, CaseId, u64, LogSequence);

#[derive(Debug, Default)]
struct State {
    entries: BTreeMap<u64, Entry>,
    numbers: BTreeMap<Key, u64>,
    /// The entries by the time at which each may be given out next.
    next: BTreeSet<(DateTime<Utc>, u64)>,
    last: u64,
}

#[derive(Debug)]
struct Entry {
    arming: Arming,
    /// Time at which it comes due, or came.
    at: DateTime<Utc>,
    /// Time at which it may be given out next.
    next: DateTime<Utc>,
    /// Number of times that it was given out.
    deliveries: u64,
}

impl State {
    fn arm(&mut self, arming: &Arming, now: DateTime<Utc>) {
        let key = key(arming);
        let due = arming.due.duration_trunc(TimeDelta::microseconds(1)).unwrap_or(arming.due);
        match self.numbers.get(&key).copied() {
            Some(number) if self.entries.get(&number).is_none_or(|of| of.arming.due != due) => {
                self.end(number);
            }
            Some(_) => return,
            None => {}
        }
        self.last += 1;
        let (arming, at) = (Arming { due, ..arming.clone() }, due.max(now));
        self.numbers.insert(key, self.last);
        self.next.insert((at, self.last));
        self.entries.insert(self.last, Entry { arming, at, next: at, deliveries: 0 });
    }

    fn end(&mut self, number: u64) {
        if let Some(entry) = self.entries.remove(&number) {
            self.next.remove(&(entry.next, number));
            self.numbers.remove(&key(&entry.arming));
        }
    }

    /// Lets an entry be given out again at a time.
    fn put_off(&mut self, number: u64, until: DateTime<Utc>) {
        if let Some(entry) = self.entries.get_mut(&number) {
            self.next.remove(&(entry.next, number));
            entry.next = until;
            self.next.insert((until, number));
        }
    }

    fn take(&mut self, most: usize, now: DateTime<Utc>) -> Vec<Due> {
        let ready = self.next.iter().take_while(|(at, _)| *at <= now).take(most);
        let ready: Vec<u64> = ready.map(|(_, number)| *number).collect();
        let mut taken = Vec::with_capacity(ready.len());
        for number in ready {
            self.put_off(number, later(now, LEASE));
            if let Some(entry) = self.entries.get_mut(&number) {
                entry.deliveries += 1;
                let receipt = Receipt(format!("{number} {}", entry.deliveries));
                taken.push(Due { arming: entry.arming.clone(), at: entry.at, receipt });
            }
        }
        taken
    }
}

fn key(arming: &Arming) -> Key {
    (arming.workflow.clone(), arming.case.clone(), arming.timer, arming.armed)
}

/// The number of an entry and of its delivery; of another store's receipt nothing that is here.
pub(super) fn delivery(receipt: &Receipt) -> (u64, u64) {
    let words = receipt.0.split_once(' ');
    let numbers = words.map(|(entry, delivery)| (entry.parse(), delivery.parse()));
    match numbers {
        Some((Ok(entry), Ok(delivery))) => (entry, delivery),
        _ => (0, 0),
    }
}

pub(super) fn later(now: DateTime<Utc>, by: Duration) -> DateTime<Utc> {
    let by = TimeDelta::from_std(by).unwrap_or(TimeDelta::MAX);
    now.checked_add_signed(by).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

impl MemoryTimers {
    /// No timers, by the machine's clock.
    pub fn new() -> Self {
        Self::default()
    }

    /// No timers, by a clock that may be moved: whoever waits notices it within milliseconds.
    pub fn with_clock(clock: Arc<dyn Clock>) -> Self {
        let clock = StoreClock::of(clock);
        Self { timers: Arc::new(Shared { clock, ..Shared::default() }) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics between the parts of one change, so the state is whole.
        self.timers.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> DateTime<Utc> {
        self.timers.clock.now()
    }

    /// Time until the next look, where nothing is armed or given back before.
    fn pause(&self) -> Duration {
        self.timers.clock.pause_until(self.state().next.first().map(|(at, _)| *at))
    }
}

#[async_trait]
impl Timers for MemoryTimers {
    fn lease(&self) -> Duration {
        LEASE
    }

    async fn arm(&self, armings: &[Arming]) -> Result<()> {
        let now = self.now();
        let mut state = self.state();
        armings.iter().for_each(|arming| state.arm(arming, now));
        drop(state);
        self.timers.changed.notify_waiters();
        Ok(())
    }

    async fn disarm(&self, armings: &[Arming]) -> Result<()> {
        let mut state = self.state();
        for arming in armings {
            if let Some(number) = state.numbers.get(&key(arming)).copied() {
                state.end(number);
            }
        }
        Ok(())
    }

    async fn take_due(&self, most: usize, wait: Duration) -> Result<Vec<Due>> {
        let begun = Instant::now();
        loop {
            let mut changed = std::pin::pin!(self.timers.changed.notified());
            // Before the look, so that nothing is armed between the two and not noticed.
            changed.as_mut().enable();
            let now = self.now();
            let taken = self.state().take(most, now);
            let left = wait.saturating_sub(begun.elapsed());
            if most == 0 || !taken.is_empty() || left.is_zero() {
                return Ok(taken);
            }
            // Looked at again, whichever of the two it was.
            let _ = tokio::time::timeout(left.min(self.pause()), changed).await;
        }
    }

    async fn settle(&self, due: &Due) -> Result<()> {
        self.state().end(delivery(&due.receipt).0);
        Ok(())
    }

    async fn give_back(&self, due: &Due, delay: Duration) -> Result<()> {
        let (number, delivery) = delivery(&due.receipt);
        let until = later(self.now(), delay);
        let mut state = self.state();
        if state.entries.get(&number).is_some_and(|entry| entry.deliveries == delivery) {
            state.put_off(number, until);
        }
        drop(state);
        self.timers.changed.notify_waiters();
        Ok(())
    }

    async fn armed_in(&self, workflow: &WorkflowId, cases: &[CaseId]) -> Result<Vec<Arming>> {
        let state = self.state();
        let numbers = cases.iter().flat_map(|case| {
            let first = (workflow.clone(), case.clone(), 0, LogSequence::FIRST);
            let numbers = state.numbers.range(first..);
            numbers.take_while(move |((of, it, ..), _)| of == workflow && it == case)
        });
        let entries = numbers.filter_map(|(_, number)| state.entries.get(number));
        Ok(entries.map(|entry| entry.arming.clone()).collect())
    }

    async fn armed(&self, page: Page) -> Result<PageOf<Arming>> {
        let mut filling = Filling::new(page.first);
        let state = self.state();
        let after = page.after.map_or(0, |Cursor(after)| after);
        for (number, entry) in state.entries.range(after.saturating_add(1)..) {
            if !filling.add(Cursor(*number), entry.arming.clone(), BYTES) {
                break;
            }
        }
        Ok(filling.page())
    }

    async fn to_be_filled(&self) -> Result<Option<String>> {
        // They end with the log.
        Ok(None)
    }

    async fn filled(&self, _life: &str) -> Result<()> {
        Ok(())
    }
}

#[async_trait]
impl Timers for MemoryStorage {
    fn lease(&self) -> Duration {
        self.timers.lease()
    }

    async fn arm(&self, armings: &[Arming]) -> Result<()> {
        self.timers.arm(armings).await
    }

    async fn disarm(&self, armings: &[Arming]) -> Result<()> {
        self.timers.disarm(armings).await
    }

    async fn take_due(&self, most: usize, wait: Duration) -> Result<Vec<Due>> {
        self.timers.take_due(most, wait).await
    }

    async fn settle(&self, due: &Due) -> Result<()> {
        self.timers.settle(due).await
    }

    async fn give_back(&self, due: &Due, delay: Duration) -> Result<()> {
        self.timers.give_back(due, delay).await
    }

    async fn armed_in(&self, workflow: &WorkflowId, cases: &[CaseId]) -> Result<Vec<Arming>> {
        self.timers.armed_in(workflow, cases).await
    }

    async fn armed(&self, page: Page) -> Result<PageOf<Arming>> {
        self.timers.armed(page).await
    }

    async fn to_be_filled(&self) -> Result<Option<String>> {
        self.timers.to_be_filled().await
    }

    async fn filled(&self, life: &str) -> Result<()> {
        self.timers.filled(life).await
    }
}
