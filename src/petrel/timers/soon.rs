//! Timers of this process's own changes that are due soon: it fires them itself, since the store may give
//! out what is due in ticks. What the store has armed is the safety net.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};
use tokio::sync::{
    Semaphore,
    mpsc::{self, Receiver, Sender},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::petrel::Petrel;
use crate::{
    models::{CaseId, WorkflowId},
    storage::Arming,
};

/// Longest time before a timer is due that this process keeps it itself.
const SOON: Duration = Duration::from_secs(10);

/// Number of times that a timer is tried, and the wait between two. The store gives it out as well.
const MOST_TRIES: u32 = 60;
const AGAIN: Duration = Duration::from_millis(500);

/// Number of timers that are on their way to the task that fires them. What finds no room is left to the
/// store.
const MOST: usize = 10_000;

/// The way of armed timers to the task that fires them, if it runs.
#[derive(Debug, Default)]
pub(in crate::petrel) struct Soon(Mutex<Option<Sender<Arming>>>);

impl Soon {
    fn sender(&self) -> MutexGuard<'_, Option<Sender<Arming>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins: what is armed from now on comes out here.
    pub(super) fn begin(&self) -> Receiver<Arming> {
        let (sender, receiver) = mpsc::channel(MOST);
        *self.sender() = Some(sender);
        receiver
    }

    /// Ends: the store has all that is armed.
    pub(super) fn end(&self) {
        *self.sender() = None;
    }

    /// Passes on those that are due soon, by the process's clock.
    pub(super) fn pass(&self, armings: &[Arming], now: DateTime<Utc>) {
        let sender = self.sender();
        let Some(sender) = sender.as_ref() else { return };
        for arming in armings.iter().filter(|arming| left(arming.due, now) <= SOON) {
            // The store has it, too.
            let _ = sender.try_send(arming.clone());
        }
    }
}

/// Time until something is due.
fn left(due: DateTime<Utc>, now: DateTime<Utc>) -> Duration {
    (due - now).to_std().unwrap_or_default()
}

/// Timers that wait, by the times at which they are due.
#[derive(Default)]
struct Waiting {
    timers: BTreeMap<(DateTime<Utc>, u64), Arming>,
    count: u64,
}

impl Waiting {
    fn add(&mut self, arming: Arming) {
        self.count += 1;
        self.timers.insert((arming.due, self.count), arming);
    }

    /// Time until the first is due.
    fn next(&self, now: DateTime<Utc>) -> Option<Duration> {
        self.timers.first_key_value().map(|((due, _), _)| left(*due, now))
    }

    /// The cases of those that are due, each with the last of their times.
    fn take(&mut self, now: DateTime<Utc>) -> HashMap<(WorkflowId, CaseId), DateTime<Utc>> {
        let mut cases = HashMap::new();
        while let Some(first) = self.timers.first_entry().filter(|first| first.key().0 <= now) {
            let arming = first.remove();
            let last = cases.entry((arming.workflow, arming.case)).or_insert(arming.due);
            *last = arming.due.max(*last);
        }
        cases
    }
}

impl Petrel {
    /// Fires what this process has armed and is due soon, until `shutdown`.
    pub(super) async fn fire_soon(
        self,
        turns: Arc<Semaphore>,
        running: TaskTracker,
        shutdown: CancellationToken,
    ) {
        let mut armed = self.inner.views.soon.begin();
        let mut waiting = Waiting::default();
        let clock = &self.inner.reader.clock;
        loop {
            let next = waiting.next(clock.now());
            let due = async {
                match next {
                    Some(left) => tokio::time::sleep(left).await,
                    None => std::future::pending().await,
                }
            };
            // All of them are cancel-safe.
            tokio::select! {
                () = shutdown.cancelled() => break,
                arming = armed.recv() => match arming {
                    Some(arming) => waiting.add(arming),
                    None => break,
                },
                () = due => for ((workflow, case), until) in waiting.take(clock.now()) {
                    // The semaphore is never closed.
                    let Ok(turn) = Arc::clone(&turns).acquire_owned().await else { break };
                    let (petrel, stop) = (self.clone(), shutdown.clone());
                    running.spawn(async move {
                        tokio::select! {
                            () = stop.cancelled() => {}
                            () = petrel.fire_at_once(&workflow, &case, until) => {}
                        }
                        drop(turn);
                    });
                },
            }
        }
        self.inner.views.soon.end();
    }

    /// Fires the timers of a case that are due by `until`; tries again for a while if the store is away, as
    /// between two leaders.
    async fn fire_at_once(&self, workflow: &WorkflowId, case: &CaseId, until: DateTime<Utc>) {
        for _ in 0..MOST_TRIES {
            match self.elapse_all(workflow, case, until).await {
                Err(error) if error.retryable() => tokio::time::sleep(AGAIN).await,
                Ok(_) => return,
                Err(error) => {
                    tracing::debug!(%workflow, %case, %error, "a timer is left to the store");
                    return;
                }
            }
        }
    }
}
