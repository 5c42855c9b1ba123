//! Open work and beats on a real server: what operators, workers and servers may do to them.

mod beats;
mod cluster;
mod lost;
mod queues;
mod takers;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use stormpetrel::{
    models::{KindId, LogSequence, QueueId, WorkClass},
    storage::{
        Delivery, Offer, Work,
        nats::{NatsStorage, NatsStorageConfig},
    },
};

use crate::support::{case, transition, workflow};

/// Longest time for what must come.
const PATIENCE: Duration = Duration::from_secs(60);

/// Longest time for what would come at once.
const MOMENT: Duration = Duration::from_millis(700);

const NORMAL: WorkClass = WorkClass::Normal;

async fn connect(config: NatsStorageConfig) -> NatsStorage {
    NatsStorage::connect(config).await.expect("connect")
}

fn queue(id: &str) -> QueueId {
    QueueId::new(id).unwrap()
}

/// Offers with these numbers, in a queue.
fn offers(id: &str, items: std::ops::Range<u64>) -> Vec<Offer> {
    let offer = |item| Offer {
        queue: queue(id),
        class: NORMAL,
        workflow: workflow("w"),
        case: case(&format!("c-{}", item % 7)),
        item,
        follows: LogSequence::FIRST,
        kind: KindId::new("mail").unwrap(),
        transition: transition("notify"),
    };
    items.map(offer).collect()
}

/// Takes exactly so many, which must come. An absence of the server is waited out, as those who take do.
async fn take(work: &NatsStorage, id: &str, count: usize) -> Vec<Delivery> {
    let (begun, mut taken) = (Instant::now(), Vec::new());
    while taken.len() < count {
        assert!(begun.elapsed() < PATIENCE, "{} of {count} have come", taken.len());
        let most = count - taken.len();
        match work.take(&queue(id), NORMAL, most, Duration::from_secs(5)).await {
            Ok(some) => taken.extend(some),
            Err(error) => assert!(error.retryable(), "{error}"),
        }
    }
    taken
}

/// Takes and acknowledges until so many different items have come; answers how often each did.
async fn all_of(work: &NatsStorage, id: &str, count: usize) -> BTreeMap<u64, u32> {
    let mut times = BTreeMap::new();
    while times.len() < count {
        let delivery = take(work, id, 1).await.remove(0);
        *times.entry(delivery.offer.item).or_default() += 1;
        acknowledged(work, &delivery).await;
    }
    times
}

async fn acknowledged(work: &NatsStorage, delivery: &Delivery) {
    crate::failures::fixtures::eventually("it is acknowledged", PATIENCE, async || {
        let done = work.acknowledge(delivery).await;
        done.inspect_err(|error| assert!(error.retryable(), "{error}"))
    })
    .await;
}

async fn is_quiet(work: &NatsStorage, id: &str) {
    let came = work.take(&queue(id), NORMAL, 10, MOMENT).await.unwrap();
    assert_eq!(came, [], "nothing was to come");
}

/// Each of these items once.
fn once(items: std::ops::Range<u64>) -> BTreeMap<u64, u32> {
    items.map(|item| (item, 1)).collect()
}
