//! The suite of open work: offers, takers, and queues.

pub mod offers;
pub mod queues;
pub mod takers;

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Behaviour, each,
    fixture::{PATIENCE, case, workflow},
};
use crate::{
    models::{KindId, LogSequence, QueueId, TransitionId, WorkClass},
    storage::{Delivery, Offer, QueueSettings, Work as Trait},
};

/// Work to be tested.
pub type Work = Arc<dyn Trait>;

/// Time in which nothing must come.
const QUIET: Duration = Duration::from_millis(600);

/// Longest pull of a taker.
const TURN: Duration = Duration::from_millis(200);

/// The behaviours of all open work.
pub fn behaviours() -> impl Iterator<Item = &'static Behaviour<Work>> {
    [offers::BEHAVIOURS, takers::BEHAVIOURS, queues::BEHAVIOURS].into_iter().flatten()
}

/// Checks every behaviour, one after the other. `make` is called before each and returns
/// work in which that behaviour has not run: always the same one, or new ones.
///
/// # Panics
///
/// When a behaviour does not hold. Standard error names the one that was being checked.
pub async fn all(make: impl AsyncFn() -> Work) {
    each(behaviours(), make).await;
}

fn queue_id(id: &str) -> QueueId {
    QueueId::new(id).expect("the suite's own ids are valid")
}

/// An offer in a queue, of a workflow and a case of that name.
fn offer(queue: &QueueId, item: u64) -> Offer {
    Offer {
        queue: queue.clone(),
        class: WorkClass::Normal,
        workflow: workflow(queue.as_str()),
        case: case("c"),
        item,
        follows: LogSequence::FIRST,
        kind: KindId::new("kind").expect("the suite's own ids are valid"),
        transition: TransitionId::new("t").expect("the suite's own ids are valid"),
    }
}

fn offers(queue: &QueueId, items: std::ops::Range<u64>) -> Vec<Offer> {
    items.map(|item| offer(queue, item)).collect()
}

/// Sets a queue's settings, upon those that it has.
async fn set(work: &Work, queue: &QueueId, settings: QueueSettings) {
    let version = work.queue(queue).await.expect("a state").version;
    work.set_queue(queue, settings, version).await.expect("nobody else sets them");
}

/// One who takes from a class of a queue.
struct Taker {
    work: Work,
    queue: QueueId,
    class: WorkClass,
}

impl Taker {
    fn new(work: &Work, queue: &QueueId) -> Self {
        Self { work: work.clone(), queue: queue.clone(), class: WorkClass::Normal }
    }

    fn of(work: &Work, queue: &QueueId, class: WorkClass) -> Self {
        Self { class, ..Self::new(work, queue) }
    }

    /// Deliveries that come in a moment, at most so many.
    async fn turn(&self, most: usize) -> Vec<Delivery> {
        let taken = self.work.take(&self.queue, self.class, most, TURN).await.expect("an answer");
        assert!(taken.len() <= most, "{most} were asked for: {taken:?}");
        for delivery in &taken {
            assert_eq!((&delivery.offer.queue, delivery.offer.class), (&self.queue, self.class));
        }
        taken
    }

    /// The next ones, exactly so many, which must come.
    async fn take(&self, count: usize) -> Vec<Delivery> {
        let (begun, mut taken) = (Instant::now(), Vec::new());
        while taken.len() < count {
            taken.extend(self.turn(count - taken.len()).await);
            let missing = count - taken.len();
            assert!(begun.elapsed() < PATIENCE, "{missing} of {count} did not come: {taken:?}");
        }
        taken
    }

    /// The next one, which must come.
    async fn one(&self) -> Delivery {
        self.take(1).await.remove(0)
    }

    /// The next one, which must come, and is acknowledged.
    async fn done(&self) -> Offer {
        let delivery = self.one().await;
        self.work.acknowledge(&delivery).await.expect("it is acknowledged");
        delivery.offer
    }

    /// Checks that nothing comes for a moment.
    async fn is_quiet(&self) {
        let came = self.work.take(&self.queue, self.class, 10, QUIET).await.expect("an answer");
        assert!(came.is_empty(), "nothing was to come: {came:?}");
    }

    /// Acknowledges what comes until nothing has come for so long; answers how often each item did.
    async fn drain(&self, quiet: Duration) -> BTreeMap<u64, u32> {
        let (mut times, mut last) = (BTreeMap::new(), Instant::now());
        while last.elapsed() < quiet {
            for delivery in self.turn(32).await {
                self.work.acknowledge(&delivery).await.expect("it is acknowledged");
                *times.entry(delivery.offer.item).or_default() += 1;
                last = Instant::now();
            }
        }
        times
    }
}
