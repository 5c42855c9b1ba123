//! Those who take what has come due: one at a time each, and all of it in the end.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use futures::future::join;
use tokio::task::JoinSet;

use super::{
    Behaviour, behaviour,
    fixture::{PATIENCE, case, workflow},
    timers::{Taker, Timers, arming},
};
use crate::storage::Arming;

/// The behaviours of this module.
pub(super) const BEHAVIOURS: &[Behaviour<Timers>] = &[
    behaviour!(one_who_waits_is_woken_by_what_is_armed_meanwhile),
    behaviour!(no_more_come_than_were_asked_for),
    behaviour!(what_is_given_back_comes_again_after_its_delay),
    behaviour!(a_settlement_of_an_earlier_delivery_ends_it),
    behaviour!(what_was_settled_is_not_there_to_be_given_back),
    behaviour!(takers_side_by_side_share_what_is_due_without_doubles),
];

/// Long before its wait is over.
pub async fn one_who_waits_is_woken_by_what_is_armed_meanwhile(timers: &Timers) {
    let id = workflow("timers-wake");
    let (begun, armed) = (Instant::now(), arming(&id, &case("c"), 1, 0.5));
    let waits = async {
        loop {
            let due = timers.take_due(1, PATIENCE).await.expect("an answer");
            for due in due {
                match due.arming.workflow == id {
                    true => return due,
                    false => timers.give_back(&due, Duration::from_millis(10)).await.unwrap(),
                }
            }
        }
    };
    let (due, done) = join(waits, timers.arm(std::slice::from_ref(&armed))).await;
    done.unwrap();
    assert_eq!(due.arming, armed);
    assert!(begun.elapsed() < PATIENCE / 3, "{:?}", begun.elapsed());
    timers.settle(&due).await.unwrap();
}

/// None where none was asked for.
pub async fn no_more_come_than_were_asked_for(timers: &Timers) {
    let (id, taker) = (workflow("timers-most"), Taker::new(timers, &workflow("timers-most")));
    let armed: Vec<_> = (0..9).map(|timer| arming(&id, &case("c"), timer, -1.0)).collect();
    timers.arm(&armed).await.unwrap();
    assert_eq!(timers.take_due(0, PATIENCE).await.unwrap(), []);
    let mut came = Vec::new();
    for due in taker.take(armed.len()).await {
        timers.settle(&due).await.unwrap();
        came.push(due.arming.timer);
    }
    came.sort();
    assert_eq!(came, (0..9).collect::<Vec<_>>());
    taker.is_quiet().await;
}

/// The same, to whoever takes it then.
pub async fn what_is_given_back_comes_again_after_its_delay(timers: &Timers) {
    let (id, taker) = (workflow("timers-back"), Taker::new(timers, &workflow("timers-back")));
    let armed = arming(&id, &case("c"), 1, -1.0);
    timers.arm(std::slice::from_ref(&armed)).await.unwrap();
    let first = taker.take(1).await.remove(0);
    let (begun, delay) = (Instant::now(), Duration::from_millis(1_200));
    timers.give_back(&first, delay).await.unwrap();
    taker.is_quiet().await;
    let second = taker.take(1).await.remove(0);
    assert!(begun.elapsed() >= delay, "{:?}", begun.elapsed());
    assert_eq!((&second.arming, second.at), (&armed, first.at));
    timers.give_back(&second, Duration::ZERO).await.unwrap();
    assert_eq!(taker.settled().await, armed);
    taker.is_quiet().await;
}

/// Whoever has it by now finds nothing to settle.
pub async fn a_settlement_of_an_earlier_delivery_ends_it(timers: &Timers) {
    let (id, taker) = (workflow("timers-late"), Taker::new(timers, &workflow("timers-late")));
    let armed = arming(&id, &case("c"), 1, -1.0);
    timers.arm(std::slice::from_ref(&armed)).await.unwrap();
    let first = taker.take(1).await.remove(0);
    timers.give_back(&first, Duration::ZERO).await.unwrap();
    let second = taker.take(1).await.remove(0);
    timers.settle(&first).await.unwrap();
    assert_eq!(timers.armed_in(&id, &[case("c")]).await.unwrap(), []);
    timers.settle(&second).await.unwrap();
    taker.is_quiet().await;
}

/// Nor to be settled again, and neither touches what was armed since.
pub async fn what_was_settled_is_not_there_to_be_given_back(timers: &Timers) {
    let (id, taker) = (workflow("timers-over"), Taker::new(timers, &workflow("timers-over")));
    let armed = arming(&id, &case("c"), 1, -1.0);
    timers.arm(std::slice::from_ref(&armed)).await.unwrap();
    let due = taker.take(1).await.remove(0);
    timers.settle(&due).await.unwrap();
    timers.give_back(&due, Duration::ZERO).await.unwrap();
    taker.is_quiet().await;
    timers.arm(std::slice::from_ref(&armed)).await.unwrap();
    timers.settle(&due).await.unwrap();
    timers.give_back(&due, Duration::ZERO).await.unwrap();
    assert_eq!(taker.settled().await, armed);
    taker.is_quiet().await;
}

/// 1,000 of 20 cases, and three takers.
pub async fn takers_side_by_side_share_what_is_due_without_doubles(timers: &Timers) {
    const COUNT: u64 = 1_000;
    let id = workflow("timers-share");
    let armed: Vec<Arming> = (0..COUNT)
        .map(|timer| arming(&id, &case(&format!("c-{}", timer % 20)), timer, 0.5))
        .collect();
    timers.arm(&armed).await.unwrap();
    let (mut takers, begun) = (JoinSet::new(), Instant::now());
    let settled = Arc::new(AtomicU64::new(0));
    for _ in 0..3 {
        let (timers, taker) = (timers.clone(), Taker::new(timers, &id));
        let settled = settled.clone();
        takers.spawn(async move {
            let (mut came, mut last) = (Vec::new(), Instant::now());
            // More than there are would come in a while. A busy machine may be late with the first.
            let are_left = || settled.load(Ordering::Relaxed) < COUNT && begun.elapsed() < PATIENCE;
            while last.elapsed() < Duration::from_secs(2) || are_left() {
                for due in taker.turn(32).await {
                    timers.settle(&due).await.expect("it is settled");
                    last = Instant::now();
                    settled.fetch_add(1, Ordering::Relaxed);
                    came.push(due.arming);
                }
            }
            came
        });
    }
    let mut times = BTreeMap::new();
    for came in takers.join_all().await {
        for arming in came {
            *times.entry(arming.timer).or_insert(0) += 1;
        }
    }
    assert_eq!(times, (0..COUNT).map(|timer| (timer, 1)).collect());
}
