//! A queue as a worker serves it: takes what it has room for, and gives the rest back.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use chrono::{DateTime, TimeDelta, Utc};
use futures::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::MissedTickBehavior,
};
use tokio_util::task::TaskTracker;

use super::{QueueOptions, WorkerError, builder::Shared, carry::carry, draw::Draw};
use crate::{
    models::{QueueId, WorkClass},
    storage::{Delivery, QueueSettings, QueueState, StorageError},
};

/// Longest time that one request for work waits. A shutdown waits for its end, so that nothing is on its way
/// to a worker that is gone.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// Wait after a failed request for work.
const AFTER_FAILURE: Duration = Duration::from_millis(500);

/// Time between two reports of a lasting failure.
const COMPLAIN_EVERY: Duration = Duration::from_secs(60);

/// Time between two looks at a queue's settings, which somebody may change.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// The settings of a queue as they were found last.
#[derive(Debug)]
pub(super) struct Live {
    ack_wait: AtomicU64,
    paused: AtomicBool,
    /// A time of the store's clock, and when it was heard.
    heard: Mutex<Option<(DateTime<Utc>, Instant)>>,
}

impl Live {
    fn new(state: &QueueState) -> Arc<Self> {
        let (ack_wait, paused, heard) = Default::default();
        let live = Self { ack_wait, paused, heard };
        live.set(state);
        Arc::new(live)
    }

    fn set(&self, QueueState { settings, classes, .. }: &QueueState) {
        let heard = classes.iter().filter_map(|class| class.at).max();
        if let Some(at) = heard {
            *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = Some((at, Instant::now()));
        }
        let millis = u64::try_from(settings.ack_wait.as_millis()).unwrap_or(u64::MAX);
        self.ack_wait.store(millis, Ordering::Relaxed);
        self.paused.store(settings.paused, Ordering::Relaxed);
    }

    /// The time for which a claim that begins now is left alone.
    pub(super) fn ack_wait(&self) -> Duration {
        Duration::from_millis(self.ack_wait.load(Ordering::Relaxed))
    }

    /// The time by the store's clock, or a moment earlier: leases are judged by it, since the clocks of two
    /// processes may be any. `None` if the store has not said it.
    pub(super) fn store_time(&self) -> Option<DateTime<Utc>> {
        let heard = *self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, when) = heard?;
        TimeDelta::from_std(when.elapsed()).ok().map(|since| at + since)
    }

    /// Returns true if nothing is to begin.
    pub(super) fn is_paused(&self) -> bool {
        self.paused.load(Ordering::Relaxed)
    }
}

/// A queue as a worker serves it.
#[derive(Debug)]
pub(super) struct ServedQueue {
    queue: QueueId,
    concurrency: usize,
    live: Arc<Live>,
}

/// End of a request: number of the class, number of items that were asked for, and those that came.
type Taken = (usize, usize, Result<Vec<Delivery>, StorageError>);

impl ServedQueue {
    /// Looks at a queue's settings, and sets them if nobody has and the worker asks for some.
    pub(super) async fn look(shared: &Shared, options: &QueueOptions) -> Result<Self, WorkerError> {
        let storage = shared.petrel.storage();
        let QueueOptions { queue, concurrency, ack_wait } = options.clone();
        let mut state = storage.queue(&queue).await?;
        if let Some(wanted) = ack_wait.filter(|wanted| *wanted != state.settings.ack_wait) {
            if state.version.is_none() {
                let settings = QueueSettings { ack_wait: wanted, ..state.settings };
                match storage.set_queue(&queue, settings, None).await {
                    Ok(_) | Err(StorageError::LostRace { .. }) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            state = storage.queue(&queue).await?;
            if state.settings.ack_wait != wanted {
                let reason = format!(
                    "its ack_wait is {:?}, and this worker asks for {wanted:?}; ask for the same, or \
                     change the queue's: `petrel queue set {queue} --ack-wait {}s`",
                    state.settings.ack_wait,
                    wanted.as_secs_f64()
                );
                return Err(WorkerError::Queue { queue, reason });
            }
        }
        shared.petrel.metrics().work().found(&state);
        let waiting: u64 = state.classes.iter().map(|class| class.waiting).sum();
        let in_flight: u64 = state.classes.iter().map(|class| class.in_flight).sum();
        let kinds: Vec<_> = shared.handlers.keys().map(|kind| kind.as_str()).collect();
        let settings = state.settings;
        tracing::info!(
            worker = shared.name, %queue, kinds = kinds.join(", "), concurrency, waiting, in_flight,
            ack_wait = ?settings.ack_wait, paused = settings.paused,
            "the worker serves a queue"
        );
        Ok(Self { queue, concurrency, live: Live::new(&state) })
    }

    /// Takes work and carries it out until the shutdown.
    pub(super) async fn serve(self, shared: Arc<Shared>, tasks: TaskTracker) {
        let slots = Arc::new(Semaphore::new(self.concurrency));
        let (mut asks, mut complained) = (Asks::default(), None);
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            asks.ask(&self, &shared, slots.available_permits());
            let is_full = slots.available_permits() == 0;
            // All are cancel-safe: an ask goes on where it was.
            let taken = tokio::select! {
                () = shared.shutdown.cancelled() => break,
                Some(taken) = asks.open.next() => taken,
                permit = Arc::clone(&slots).acquire_owned(), if is_full => {
                    drop(permit);
                    continue;
                }
                _ = look.tick() => {
                    // They stay as they were while the store is away.
                    let looked = shared.petrel.storage().queue(&self.queue);
                    if let Ok(Ok(state)) = tokio::time::timeout(AFTER_FAILURE, looked).await {
                        self.live.set(&state);
                        shared.petrel.metrics().work().found(&state);
                    }
                    continue;
                }
            };
            let (class, most, taken) = taken;
            asks.asked[class] = 0;
            match taken {
                Ok(taken) => {
                    // Those that come again are not among what waits behind.
                    let waits =
                        taken.last().is_some_and(|last| last.behind > 0 || last.deliveries > 1);
                    asks.has[class] = taken.len() >= most && waits;
                    for delivery in taken {
                        match Arc::clone(&slots).try_acquire_owned() {
                            Ok(slot) => self.begin(&shared, slot, &tasks, delivery),
                            Err(_) => {
                                asks.has[class] = true;
                                give_back(&shared, &delivery).await;
                            }
                        }
                    }
                    // What has come begins before more is asked for.
                    tokio::task::yield_now().await;
                }
                Err(error) => {
                    asks.has[class] = false;
                    // One that waiting does not mend, as a right that the user lacks, has to be seen.
                    if error.retryable() {
                        tracing::debug!(queue = %self.queue, %error, "no work can be asked for now");
                    } else if complained.is_none_or(|at: Instant| at.elapsed() > COMPLAIN_EVERY) {
                        complained = Some(Instant::now());
                        tracing::warn!(queue = %self.queue, %error, "no work can be asked for");
                    }
                    tokio::select! {
                        () = shared.shutdown.cancelled() => break,
                        () = tokio::time::sleep(AFTER_FAILURE) => {}
                    }
                }
            }
        }
        shared.petrel.metrics().work().left(&self.queue);
        // What is on its way comes to nobody else for as long as a claim is left alone, so it is awaited.
        let rest = async {
            while let Some((_, _, taken)) = asks.open.next().await {
                for delivery in taken.unwrap_or_default() {
                    give_back(&shared, &delivery).await;
                }
            }
        };
        // Of a store that is away nothing comes.
        let _ = tokio::time::timeout(LONGEST_WAIT + AFTER_FAILURE, rest).await;
    }

    /// Begins a delivery in a slot.
    fn begin(
        &self,
        shared: &Arc<Shared>,
        slot: OwnedSemaphorePermit,
        tasks: &TaskTracker,
        delivery: Delivery,
    ) {
        let (shared, live) = (Arc::clone(shared), Arc::clone(&self.live));
        tasks.spawn(async move {
            let _slot = slot;
            Box::pin(carry(&shared, delivery, &live)).await;
        });
    }
}

/// The requests for work that are open, at most one of each class.
#[derive(Default)]
struct Asks {
    open: FuturesUnordered<BoxFuture<'static, Taken>>,
    draw: Draw,
    /// Number of items that the open request of each class asks for.
    asked: [usize; 3],
    /// True of a class that has more than it gave: it takes part in the draw. The others have one
    /// request open, that waits.
    has: [bool; 3],
}

impl Asks {
    fn ask(&mut self, of: &ServedQueue, shared: &Shared, slots: usize) {
        let drawn = (0..3).filter(|class| self.has[*class]).map(|class| self.asked[class]);
        let free = slots.saturating_sub(drawn.sum());
        if free == 0 {
            return;
        }
        let mut shares = [0; 3];
        for _ in 0..free {
            let can = [0, 1, 2].map(|class| self.has[class] && self.asked[class] == 0);
            let Some(class) = self.draw.next(can) else { break };
            shares[class] += 1;
        }
        for (number, class) in WorkClass::ALL.into_iter().enumerate() {
            // Whoever waits for what may not come must not keep the room from another class.
            let (most, wait) = match self.has[number] {
                true => (shares[number], Duration::ZERO),
                false => (1, LONGEST_WAIT),
            };
            if self.asked[number] > 0 || most == 0 {
                continue;
            }
            self.asked[number] = most;
            let (petrel, queue) = (shared.petrel.clone(), of.queue.clone());
            self.open.push(Box::pin(async move {
                let taken = petrel.storage().take(&queue, class, most, wait).await;
                (number, most, taken)
            }));
        }
    }
}

/// Gives an item back at once that was not begun.
pub(super) async fn give_back(shared: &Shared, delivery: &Delivery) {
    let back = shared.petrel.storage().give_work_back(delivery, Duration::ZERO).await;
    if let Err(error) = back {
        let Delivery { offer, .. } = delivery;
        tracing::debug!(case = %offer.case, item = offer.item, %error, "an item comes back late");
    }
}
