//! Queues: their settings, and what is in them.

use std::time::{Duration, Instant};

use futures::future::{join, join_all};

use super::{Taker, Work, offer, offers, queue_id, set};
use crate::{
    models::WorkClass,
    storage::{ClassState, MostInFlight, Offer, QueueSettings, StorageError},
    testing::conformance::{Behaviour, behaviour, fixture::PATIENCE},
};

/// The behaviours of this module.
pub(super) const BEHAVIOURS: &[Behaviour<Work>] = &[
    behaviour!(a_queue_has_the_default_settings_until_others_are_set),
    behaviour!(settings_are_set_upon_those_that_were_seen),
    behaviour!(of_many_who_set_upon_the_same_settings_one_does),
    behaviour!(settings_out_of_their_limits_are_refused_and_not_stored),
    behaviour!(no_more_are_in_flight_than_the_settings_say),
    behaviour!(a_paused_queue_gives_nothing_out_and_goes_on_afterwards),
    behaviour!(settings_that_change_hold_for_those_who_wait),
    behaviour!(a_queue_counts_what_is_in_it),
    behaviour!(the_oldest_is_the_first_that_nobody_has_got),
    behaviour!(queues_are_listed_by_what_they_have),
];

/// The counts of a class, whenever they were so.
fn counted(class: ClassState) -> ClassState {
    ClassState { at: None, ..class }
}

/// And its version is none.
pub async fn a_queue_has_the_default_settings_until_others_are_set(work: &Work) {
    let queue = queue_id("queue-default");
    let state = work.queue(&queue).await.unwrap();
    assert_eq!((&state.queue, state.settings), (&queue, QueueSettings::default()));
    assert_eq!((state.version, state.classes.map(counted)), (None, [ClassState::default(); 3]));
}

/// All of them come back, and the version of each is another one.
pub async fn settings_are_set_upon_those_that_were_seen(work: &Work) {
    let queue = queue_id("queue-set");
    let most_in_flight = MostInFlight { high: 1, normal: 1_000_000, low: 7 };
    let one =
        QueueSettings { ack_wait: Duration::from_millis(1_234), most_in_flight, paused: true };
    let first = work.set_queue(&queue, one, None).await.unwrap();
    let state = work.queue(&queue).await.unwrap();
    assert_eq!((state.settings, state.version), (one, Some(first)));
    let two = QueueSettings { ack_wait: Duration::from_secs(3_600), ..QueueSettings::default() };
    for wrong in [None, Some(first.next()), first.minus(1)] {
        let refused = work.set_queue(&queue, two, wrong).await.unwrap_err();
        let StorageError::LostRace { expected, .. } = &refused else { panic!("{refused}") };
        assert_eq!(*expected, wrong);
    }
    let state = work.queue(&queue).await.unwrap();
    assert_eq!((state.settings, state.version), (one, Some(first)), "nothing was stored");
    let second = work.set_queue(&queue, two, Some(first)).await.unwrap();
    assert!(second > first, "{second} {first}");
    let state = work.queue(&queue).await.unwrap();
    assert_eq!((state.settings, state.version), (two, Some(second)));
}

/// The others are told that they lost.
pub async fn of_many_who_set_upon_the_same_settings_one_does(work: &Work) {
    let queue = queue_id("queue-race");
    let settings = |most| QueueSettings {
        most_in_flight: MostInFlight::each(most),
        ..QueueSettings::default()
    };
    let sets = (1..=8).map(|most| work.set_queue(&queue, settings(most), None));
    let sets = join_all(sets).await;
    let won: Vec<_> = sets.iter().zip(1..).filter(|(set, _)| set.is_ok()).collect();
    assert_eq!(won.len(), 1, "{sets:?}");
    let lost = |set: &&_| matches!(set, Err(StorageError::LostRace { .. }));
    assert_eq!(sets.iter().filter(lost).count(), 7, "{sets:?}");
    let state = work.queue(&queue).await.unwrap();
    assert_eq!(state.settings, settings(won[0].1));
    assert_eq!(state.version.as_ref(), won[0].0.as_ref().ok());
}

/// The error names the field.
pub async fn settings_out_of_their_limits_are_refused_and_not_stored(work: &Work) {
    let (queue, fine) = (queue_id("queue-wrong"), QueueSettings::default());
    let too_short = QueueSettings { ack_wait: Duration::from_millis(999), ..fine };
    let too_long = QueueSettings { ack_wait: Duration::from_secs(3_601), ..fine };
    let none = QueueSettings { most_in_flight: MostInFlight::each(0), ..fine };
    for (wrong, named) in
        [(too_short, "ack_wait"), (too_long, "ack_wait"), (none, "most_in_flight.high")]
    {
        let refused = work.set_queue(&queue, wrong, None).await.unwrap_err();
        let StorageError::Config { field, .. } = &refused else { panic!("{refused}") };
        assert_eq!(field, named);
    }
    assert_eq!(work.queue(&queue).await.unwrap().version, None);
}

/// Of each class, over all takers.
pub async fn no_more_are_in_flight_than_the_settings_say(work: &Work) {
    let queue = queue_id("queue-limit");
    let most_in_flight = MostInFlight { normal: 3, ..MostInFlight::each(1_000) };
    set(work, &queue, QueueSettings { most_in_flight, ..QueueSettings::default() }).await;
    let (one, two) = (Taker::new(work, &queue), Taker::new(work, &queue));
    work.offer(&offers(&queue, 0..10)).await.unwrap();
    work.offer(&[Offer { class: WorkClass::High, ..offer(&queue, 99) }]).await.unwrap();
    let begun = Instant::now();
    let mut taken = work.take(&queue, WorkClass::Normal, 10, PATIENCE).await.unwrap();
    assert!(begun.elapsed() < PATIENCE / 6, "what has room comes at once: {:?}", begun.elapsed());
    while taken.len() < 3 {
        taken.extend(two.turn(10).await);
    }
    assert_eq!(taken.len(), 3);
    join(one.is_quiet(), two.is_quiet()).await;
    Taker::of(work, &queue, WorkClass::High).done().await;
    for item in 3..10 {
        work.acknowledge(&taken.remove(0)).await.unwrap();
        taken.push(two.one().await);
        assert_eq!(taken[2].offer.item, item);
        let state = work.queue(&queue).await.unwrap();
        assert_eq!(state.class(WorkClass::Normal).in_flight, 3);
    }
    for delivery in &taken {
        work.acknowledge(delivery).await.unwrap();
    }
    one.is_quiet().await;
}

/// It takes offers and answers all the while.
pub async fn a_paused_queue_gives_nothing_out_and_goes_on_afterwards(work: &Work) {
    let queue = queue_id("queue-paused");
    let (taker, made) = (Taker::new(work, &queue), offers(&queue, 0..5));
    work.offer(&made[..3]).await.unwrap();
    let taken = taker.take(2).await;
    let paused = QueueSettings { paused: true, ..QueueSettings::default() };
    set(work, &queue, paused).await;
    taker.is_quiet().await;
    work.offer(&made[3..]).await.unwrap();
    work.acknowledge(&taken[0]).await.unwrap();
    work.give_work_back(&taken[1], Duration::ZERO).await.unwrap();
    assert_eq!(work.offered(&made).await.unwrap(), [false, true, true, true, true]);
    taker.is_quiet().await;
    assert_eq!(work.queue(&queue).await.unwrap().settings, paused);
    set(work, &queue, QueueSettings::default()).await;
    let mut came = Vec::new();
    for delivery in taker.take(4).await {
        work.acknowledge(&delivery).await.unwrap();
        came.push(delivery.offer.item);
    }
    came.sort();
    assert_eq!(came, [1, 2, 3, 4]);
}

/// A taker who waits at a queue that is paused, and paused no more.
pub async fn settings_that_change_hold_for_those_who_wait(work: &Work) {
    let (queue, begun) = (queue_id("queue-waits"), Instant::now());
    let paused = QueueSettings { paused: true, ..QueueSettings::default() };
    set(work, &queue, paused).await;
    work.offer(&offers(&queue, 0..3)).await.unwrap();
    let waits = work.take(&queue, WorkClass::Normal, 10, PATIENCE);
    let sets = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let most_in_flight = MostInFlight::each(2);
        set(work, &queue, QueueSettings { most_in_flight, ..QueueSettings::default() }).await;
    };
    let (taken, ()) = join(waits, sets).await;
    let mut taken = taken.unwrap();
    assert!(begun.elapsed() < PATIENCE / 3, "{:?}", begun.elapsed());
    let taker = Taker::new(work, &queue);
    taken.extend(taker.turn(10).await);
    assert_eq!(taken.len(), 2);
    taker.is_quiet().await;
    for delivery in &taken {
        work.acknowledge(delivery).await.unwrap();
    }
    taker.done().await;
}

/// By the time at which it was offered, before there was a taker too.
pub async fn the_oldest_is_the_first_that_nobody_has_got(work: &Work) {
    let queue = queue_id("queue-oldest");
    let oldest = async || {
        let state = work.queue(&queue).await.unwrap();
        assert_eq!(state.oldest(), state.class(WorkClass::Normal).oldest);
        state.oldest()
    };
    assert_eq!(oldest().await, None);
    work.offer(&offers(&queue, 0..3)).await.unwrap();
    let mut before = oldest().await;
    let taker = Taker::new(work, &queue);
    let mut taken = Vec::new();
    for _ in 0..3 {
        let delivery = taker.one().await;
        assert_eq!(Some(delivery.published), before);
        taken.push(delivery);
        before = oldest().await;
    }
    assert_eq!(before, None);
    // Somebody had got it.
    work.give_work_back(&taken[0], Duration::from_secs(3_000)).await.unwrap();
    assert_eq!(oldest().await, None);
    for delivery in &taken {
        work.acknowledge(delivery).await.unwrap();
    }
}

/// By classes.
pub async fn a_queue_counts_what_is_in_it(work: &Work) {
    let queue = queue_id("queue-counts");
    let taker = Taker::of(work, &queue, WorkClass::Low);
    let made = offers(&queue, 0..7).into_iter();
    let made: Vec<_> = made.map(|offer| Offer { class: WorkClass::Low, ..offer }).collect();
    work.offer(&made).await.unwrap();
    let counts = async || {
        let state = work.queue(&queue).await.unwrap();
        for class in [WorkClass::High, WorkClass::Normal] {
            assert_eq!(counted(*state.class(class)), ClassState::default());
        }
        let ClassState { waiting, in_flight, redelivered, .. } = *state.class(WorkClass::Low);
        [waiting, in_flight, redelivered]
    };
    assert_eq!(counts().await, [7, 0, 0]);
    let taken = taker.take(3).await;
    assert_eq!(counts().await, [4, 3, 0]);
    work.acknowledge(&taken[0]).await.unwrap();
    assert_eq!(counts().await, [4, 2, 0]);
    work.give_work_back(&taken[1], Duration::ZERO).await.unwrap();
    let again = taker.one().await;
    assert_eq!((again.offer.item, counts().await), (1, [4, 2, 1]));
    work.withdraw(&made).await.unwrap();
    let begun = Instant::now();
    // What is withdrawn while somebody has it may be counted for a moment.
    while counts().await != [0, 0, 0] {
        assert!(begun.elapsed() < PATIENCE, "{:?}", counts().await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Settings, offers, or takers.
pub async fn queues_are_listed_by_what_they_have(work: &Work) {
    let [set_up, offered, taken] = ["listed-set", "listed-offer", "listed-taken"].map(queue_id);
    set(work, &set_up, QueueSettings::default()).await;
    work.offer(&[offer(&offered, 1)]).await.unwrap();
    Taker::new(work, &taken).turn(1).await;
    let found = work.queues().await.unwrap();
    assert!(found.is_sorted(), "{found:?}");
    for queue in [&set_up, &offered, &taken] {
        assert_eq!(found.iter().filter(|other| *other == queue).count(), 1, "{queue} {found:?}");
    }
    work.withdraw(&[offer(&offered, 1)]).await.unwrap();
}
