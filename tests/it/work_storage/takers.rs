//! Takers, their answers, and what they leave.

use std::time::{Duration, Instant};

use futures::future::join_all;
use stormpetrel::{
    storage::{MostInFlight, Page, QueueSettings, Work},
    testing::TestServer,
};

use super::{NORMAL, all_of, connect, is_quiet, offers, once, queue, take};
use crate::{failures::fixtures::operator, support::config};

fn waits(seconds: u64) -> QueueSettings {
    QueueSettings { ack_wait: Duration::from_secs(seconds), ..QueueSettings::default() }
}

/// Behaviour of the server, by which the right to an item is a claim in the log.
#[tokio::test]
async fn an_answer_to_an_earlier_delivery_counts_for_the_present_one() {
    let server = TestServer::start().await;
    let (gone, work) = (connect(config(server.url())).await, connect(config(server.url())).await);
    work.set_queue(&queue("q"), waits(2), None).await.unwrap();
    work.offer(&offers("q", 0..1)).await.unwrap();
    let first = take(&gone, "q", 1).await.remove(0);
    // His time is over.
    let second = take(&work, "q", 1).await.remove(0);
    assert_eq!((first.deliveries, second.deliveries), (1, 2));
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(3) {
        gone.extend(&first).await.unwrap();
        assert_eq!(work.take(&queue("q"), NORMAL, 1, Duration::ZERO).await.unwrap(), []);
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    gone.give_work_back(&first, Duration::ZERO).await.unwrap();
    let third = take(&work, "q", 1).await.remove(0);
    assert_eq!(third.deliveries, 3, "it was taken from who had it");
    gone.acknowledge(&first).await.unwrap();
    assert_eq!(work.offered(&offers("q", 0..1)).await.unwrap(), [false]);
    for late in [&second, &third] {
        work.extend(late).await.unwrap();
        work.give_work_back(late, Duration::ZERO).await.unwrap();
        work.acknowledge(late).await.unwrap();
    }
    is_quiet(&work, "q").await;
}

/// Each that is in flight was given to somebody, also where places or pulls of others come in between.
#[tokio::test]
async fn nothing_is_left_on_its_way_to_nobody() {
    let server = TestServer::start().await;
    let work = connect(config(server.url())).await;
    let most_in_flight = MostInFlight::each(7);
    work.set_queue(&queue("q"), QueueSettings { most_in_flight, ..waits(60) }, None).await.unwrap();
    let takes = async || {
        let mut taken = Vec::new();
        for wait in [0, 3, 30, 300, 0, 1_500] {
            let wait = Duration::from_millis(wait);
            taken.extend(work.take(&queue("q"), NORMAL, 3, wait).await.unwrap());
        }
        taken
    };
    let offering = async {
        for item in 0..40 {
            work.offer(&offers("q", item..item + 1)).await.unwrap();
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let all = join_all((0..4).map(|_| takes()));
    let (taken, ()) = tokio::join!(all, offering);
    let taken: Vec<_> = taken.into_iter().flatten().collect();
    let state = work.queue(&queue("q")).await.unwrap();
    let class = state.class(NORMAL);
    assert_eq!((taken.len(), class.in_flight, class.waiting, class.open_pulls), (7, 7, 33, 0));
    for delivery in &taken {
        work.acknowledge(delivery).await.unwrap();
    }
    assert_eq!(all_of(&work, "q", 33).await.values().max(), Some(&1));
}

#[tokio::test]
async fn what_a_taker_leaves_comes_when_its_time_is_over_and_holds_its_place_until_then() {
    let server = TestServer::start().await;
    let (gone, work) = (connect(config(server.url())).await, connect(config(server.url())).await);
    let settings = QueueSettings { most_in_flight: MostInFlight::each(2), ..waits(2) };
    work.set_queue(&queue("q"), settings, None).await.unwrap();
    work.offer(&offers("q", 0..3)).await.unwrap();
    let begun = Instant::now();
    assert_eq!(take(&gone, "q", 2).await.len(), 2);
    drop(gone);
    is_quiet(&work, "q").await;
    assert_eq!(all_of(&work, "q", 3).await, once(0..3));
    assert!(begun.elapsed() >= Duration::from_millis(1_800), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn what_is_no_offer_is_passed_over() {
    let server = TestServer::start().await;
    let (work, operator) = (connect(config(server.url())).await, operator(server.url()).await);
    for subject in ["cb.work.q.normal.w.c.x", "cb.work.q.normal.w.c.1", "cb.work.q.urgent.w.c.1"] {
        operator.publish(subject, "theirs".into()).await.unwrap().await.unwrap();
    }
    work.offer(&offers("q", 10..15)).await.unwrap();
    assert_eq!(all_of(&work, "q", 5).await, once(10..15));
    is_quiet(&work, "q").await;
    assert_eq!(work.all_offered(Page::default()).await.unwrap().items, []);
    let state = work.queue(&queue("q")).await.unwrap();
    assert_eq!((state.class(NORMAL).waiting, state.class(NORMAL).in_flight), (0, 0));
    assert_eq!(work.queues().await.unwrap(), [queue("q")]);
}

#[tokio::test]
async fn queues_without_consumers_are_counted_and_listed() {
    let server = TestServer::start().await;
    let work = connect(config(server.url())).await;
    work.offer(&offers("idle", 0..1_200)).await.unwrap();
    work.offer(&offers("busy", 0..2)).await.unwrap();
    take(&work, "busy", 1).await;
    assert_eq!(work.queues().await.unwrap(), [queue("busy"), queue("idle")]);
    let state = work.queue(&queue("idle")).await.unwrap();
    assert_eq!(state.class(NORMAL).waiting, 1_200);
    assert_eq!(work.queue(&queue("none")).await.unwrap().class(NORMAL).waiting, 0);
    assert_eq!(work.queues().await.unwrap().len(), 2, "looking makes none");
}
