//! Those who take: one at a time has each offer, and all have all of them in the end.

use std::{
    collections::BTreeMap,
    slice,
    time::{Duration, Instant},
};

use futures::future::join;
use tokio::task::JoinSet;

use super::{Taker, Work, offer, offers, queue_id, set};
use crate::{
    models::WorkClass,
    storage::QueueSettings,
    testing::conformance::{Behaviour, behaviour, fixture::PATIENCE},
};

/// The behaviours of this module.
pub(super) const BEHAVIOURS: &[Behaviour<Work>] = &[
    behaviour!(one_who_waits_is_woken_by_what_is_offered_meanwhile),
    behaviour!(no_more_offers_come_than_were_asked_for),
    behaviour!(what_is_there_comes_without_waiting_for_more),
    behaviour!(a_delivery_tells_of_what_waits_behind_it),
    behaviour!(work_that_is_given_back_comes_again_after_its_delay),
    behaviour!(what_a_taker_leaves_comes_to_another_one_and_what_he_extends_does_not),
    behaviour!(an_acknowledgement_of_an_earlier_delivery_ends_the_offer),
    behaviour!(what_was_acknowledged_is_not_there_to_be_answered),
    behaviour!(four_takers_share_a_thousand_offers_without_doubles),
];

/// Long before its wait is over.
pub async fn one_who_waits_is_woken_by_what_is_offered_meanwhile(work: &Work) {
    let (queue, begun) = (queue_id("work-wake"), Instant::now());
    let made = offer(&queue, 1);
    let waits = work.take(&queue, WorkClass::Normal, 10, PATIENCE);
    let makes = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        work.offer(slice::from_ref(&made)).await
    };
    let (taken, offered) = join(waits, makes).await;
    offered.unwrap();
    let taken = taken.expect("an answer");
    assert_eq!(taken[0].offer, made);
    assert!(begun.elapsed() < PATIENCE / 3, "{:?}", begun.elapsed());
    work.acknowledge(&taken[0]).await.unwrap();
}

/// None where none was asked for.
pub async fn no_more_offers_come_than_were_asked_for(work: &Work) {
    let queue = queue_id("work-most");
    let taker = Taker::new(work, &queue);
    work.offer(&offers(&queue, 0..9)).await.unwrap();
    let none = work.take(&queue, WorkClass::Normal, 0, PATIENCE).await.unwrap();
    assert_eq!(none, []);
    assert_eq!(taker.turn(2).await.len(), 2);
    let rest = taker.take(7).await;
    assert_eq!(rest.iter().map(|it| it.offer.item).collect::<Vec<_>>(), Vec::from_iter(2..9));
    taker.is_quiet().await;
    work.withdraw(&offers(&queue, 0..9)).await.unwrap();
}

/// Also where more were asked for.
pub async fn what_is_there_comes_without_waiting_for_more(work: &Work) {
    let queue = queue_id("work-some");
    work.offer(&offers(&queue, 0..5)).await.unwrap();
    let begun = Instant::now();
    let taken = work.take(&queue, WorkClass::Normal, 100, PATIENCE).await.unwrap();
    assert!(begun.elapsed() < PATIENCE / 3, "{:?}", begun.elapsed());
    assert_eq!(taken.len(), 5);
    for delivery in &taken {
        work.acknowledge(delivery).await.unwrap();
    }
}

/// So that nobody has to ask who has taken the last one.
pub async fn a_delivery_tells_of_what_waits_behind_it(work: &Work) {
    let queue = queue_id("work-behind");
    let taker = Taker::new(work, &queue);
    work.offer(&offers(&queue, 0..5)).await.unwrap();
    assert_eq!(taker.one().await.behind, 4);
    assert_eq!(taker.take(4).await[3].behind, 0);
    work.offer(slice::from_ref(&offer(&queue, 5))).await.unwrap();
    assert_eq!(taker.one().await.behind, 0, "those that are given out do not wait");
    work.withdraw(&offers(&queue, 0..6)).await.unwrap();
}

/// The same, to whoever takes then, and as often as it is given back.
pub async fn work_that_is_given_back_comes_again_after_its_delay(work: &Work) {
    let queue = queue_id("work-back");
    let (taker, made) = (Taker::new(work, &queue), offer(&queue, 1));
    work.offer(slice::from_ref(&made)).await.unwrap();
    let first = taker.one().await;
    let (begun, delay) = (Instant::now(), Duration::from_millis(1_200));
    work.give_work_back(&first, delay).await.unwrap();
    let second = taker.one().await;
    assert!(begun.elapsed() >= delay, "{:?}", begun.elapsed());
    assert_eq!((&second.offer, second.published), (&made, first.published));
    assert_eq!(second.deliveries, 2);
    work.give_work_back(&second, Duration::ZERO).await.unwrap();
    assert_eq!(taker.done().await, made);
    taker.is_quiet().await;
}

/// By the queue's settings; as long as it is extended it is with the one who has it.
pub async fn what_a_taker_leaves_comes_to_another_one_and_what_he_extends_does_not(work: &Work) {
    let queue = queue_id("work-leaves");
    let taker = Taker::new(work, &queue);
    let ack_wait = Duration::from_millis(1_500);
    set(work, &queue, QueueSettings { ack_wait, ..QueueSettings::default() }).await;
    work.offer(&offers(&queue, 0..2)).await.unwrap();
    let (begun, taken) = (Instant::now(), taker.take(2).await);
    let (mut again, mut came) = (None, Vec::new());
    let mut longest = Duration::ZERO;
    while begun.elapsed() < 2 * ack_wait {
        let extended = Instant::now();
        work.extend(&taken[1]).await.unwrap();
        for delivery in taker.turn(10).await {
            work.acknowledge(&delivery).await.unwrap();
            came.push(delivery);
        }
        again = again.or((!came.is_empty()).then(|| begun.elapsed()));
        longest = longest.max(extended.elapsed());
    }
    let items: Vec<_> = came.iter().map(|it| (it.offer.item, it.deliveries)).collect();
    // A busy machine may have let its time pass.
    if longest < ack_wait / 2 {
        assert_eq!(items, [(0, 2)]);
    }
    assert!(again.is_some_and(|after| after >= ack_wait.mul_f64(0.9)), "{again:?}");
    work.acknowledge(&taken[1]).await.unwrap();
    taker.is_quiet().await;
}

/// Whoever has it by now finds nothing to acknowledge.
pub async fn an_acknowledgement_of_an_earlier_delivery_ends_the_offer(work: &Work) {
    let queue = queue_id("work-late");
    let (taker, made) = (Taker::new(work, &queue), offer(&queue, 1));
    work.offer(slice::from_ref(&made)).await.unwrap();
    let first = taker.one().await;
    work.give_work_back(&first, Duration::ZERO).await.unwrap();
    let second = taker.one().await;
    work.acknowledge(&first).await.unwrap();
    assert_eq!(work.offered(slice::from_ref(&made)).await.unwrap(), [false]);
    work.acknowledge(&second).await.unwrap();
    taker.is_quiet().await;
}

/// Nor does any answer touch what was offered since.
pub async fn what_was_acknowledged_is_not_there_to_be_answered(work: &Work) {
    let queue = queue_id("work-over");
    let (taker, made) = (Taker::new(work, &queue), offer(&queue, 1));
    work.offer(slice::from_ref(&made)).await.unwrap();
    let delivery = taker.one().await;
    let answer = async || {
        work.acknowledge(&delivery).await.unwrap();
        work.extend(&delivery).await.unwrap();
        work.give_work_back(&delivery, Duration::ZERO).await.unwrap();
    };
    answer().await;
    taker.is_quiet().await;
    work.offer(slice::from_ref(&made)).await.unwrap();
    answer().await;
    assert_eq!(taker.done().await, made);
    taker.is_quiet().await;
}

/// Each is taken by exactly one, while nothing fails.
pub async fn four_takers_share_a_thousand_offers_without_doubles(work: &Work) {
    const COUNT: u64 = 1_000;
    let queue = queue_id("work-share");
    let mut takers = JoinSet::new();
    for _ in 0..4 {
        let taker = Taker::new(work, &queue);
        takers.spawn(async move { taker.drain(Duration::from_secs(2)).await });
    }
    work.offer(&offers(&queue, 0..COUNT)).await.unwrap();
    let mut times = BTreeMap::new();
    for came in takers.join_all().await {
        came.into_iter().for_each(|(item, count)| *times.entry(item).or_insert(0) += count);
    }
    assert_eq!(times, (0..COUNT).map(|item| (item, 1)).collect());
    let state = work.queue(&queue).await.unwrap();
    let left = state.class(WorkClass::Normal);
    assert_eq!((left.waiting, left.in_flight), (0, 0));
}
