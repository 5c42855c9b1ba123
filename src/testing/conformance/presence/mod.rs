//! The suite of presence.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use chrono::DateTime;

use super::{
    Behaviour, behaviour, each,
    fixture::{case, workflow},
};
use crate::{
    models::{KindId, QueueId},
    storage::{
        Doing, EndedAttempts, EndedLately, Presence as Trait, PresentWorker, RunningAttempt,
        ServedQueue, Source, WorkerCard,
    },
};

/// A store whose workers are to be tested.
pub type Presence = Arc<dyn Trait>;

/// The behaviours of presence.
pub fn behaviours() -> impl Iterator<Item = &'static Behaviour<Presence>> {
    BEHAVIOURS.iter()
}

/// Checks every behaviour, one after the other. `make` is called before each and returns
/// a store in which that behaviour has not run: always the same one, or new ones.
///
/// # Panics
///
/// When a behaviour does not hold. Standard error names the one that was being checked.
pub async fn all(make: impl AsyncFn() -> Presence) {
    each(behaviours(), make).await;
}

const BEHAVIOURS: &[Behaviour<Presence>] = &[
    behaviour!(a_worker_is_there_as_it_was_announced_until_it_is_dropped),
    behaviour!(each_question_is_answered_by_what_is_so_then),
    behaviour!(workers_of_one_name_are_two_and_all_are_in_the_order_of_names),
];

/// Longer than a worker takes to come or to go.
const LONG: Duration = Duration::from_secs(60);

fn card(name: &str) -> WorkerCard {
    let queue = |id: &str| QueueId::new(id).expect("the suite's own ids are valid");
    let kind = |id: &str| KindId::new(id).expect("the suite's own ids are valid");
    WorkerCard {
        name: name.to_owned(),
        queues: vec![
            ServedQueue { queue: queue("presence-q"), concurrency: 7 },
            ServedQueue { queue: queue("presence-r"), concurrency: 100 },
        ],
        kinds: vec![kind("one"), kind("other")],
        hands_over: true,
        since: DateTime::UNIX_EPOCH,
    }
}

fn doing(ended: u64) -> Doing {
    let attempt = |item| RunningAttempt {
        workflow: workflow("presence"),
        case: case("c"),
        item,
        claim: 3,
        attempt: 2,
        kind: KindId::new("one").expect("the suite's own ids are valid"),
        queue: QueueId::new("presence-q").expect("the suite's own ids are valid"),
        since: DateTime::UNIX_EPOCH,
    };
    let ended = EndedAttempts { done: ended, failed: 1, released: 2, stopped: u64::MAX };
    let queue = QueueId::new("presence-q").expect("the suite's own ids are valid");
    let lately = vec![EndedLately { queue, ended: 17 }];
    let attempts = vec![attempt(1), attempt(u64::MAX)];
    Doing { attempts, running: 2, ended, lately, stopping: true }
}

/// The workers of a name, once there are so many of them.
async fn once_there_are(
    presence: &Presence,
    count: usize,
    is_one: impl Fn(&str) -> bool,
) -> Vec<PresentWorker> {
    let begun = Instant::now();
    loop {
        let mut found = presence.workers().await.expect("those who answer");
        found.retain(|worker| is_one(&worker.card.name));
        if found.len() == count {
            return found;
        }
        assert!(begun.elapsed() < LONG, "{count} are to be there: {found:?}");
    }
}

/// With all that it says, whatever the characters of its name.
pub async fn a_worker_is_there_as_it_was_announced_until_it_is_dropped(presence: &Presence) {
    let name = "presence-dropped \"ä\"\n*>";
    let source = Source::new(|| doing(4));
    let announced = presence.announce(card(name), source).await.unwrap();
    let found = once_there_are(presence, 1, |other| other == name).await;
    assert_eq!((&found[0].card, &found[0].doing), (&card(name), &doing(4)));
    assert!(!found[0].id.is_empty() && !found[0].version.is_empty(), "{found:?}");
    let [q, other] = ["presence-r", "presence-s"].map(|id| QueueId::new(id).unwrap());
    assert_eq!((found[0].serves(&q), found[0].serves(&other)), (true, false));
    drop(announced);
    once_there_are(presence, 0, |other| other == name).await;
}

/// Nothing of an answer is kept.
pub async fn each_question_is_answered_by_what_is_so_then(presence: &Presence) {
    let name = "presence-now";
    let now = Arc::new(AtomicU64::new(0));
    let of_source = Arc::clone(&now);
    let source = Source::new(move || doing(of_source.load(Ordering::SeqCst)));
    let announced = presence.announce(card(name), source).await.unwrap();
    for ended in [0, 5, 6] {
        now.store(ended, Ordering::SeqCst);
        let found = once_there_are(presence, 1, |other| other == name).await;
        assert_eq!(found[0].doing, doing(ended));
    }
    drop(announced);
}

/// Each has an id of its own.
pub async fn workers_of_one_name_are_two_and_all_are_in_the_order_of_names(presence: &Presence) {
    let is_one = |name: &str| name.starts_with("presence-order-");
    let mut announced = Vec::new();
    for name in ["presence-order-b", "presence-order-a", "presence-order-b"] {
        let source = Source::new(Doing::default);
        announced.push(presence.announce(card(name), source).await.unwrap());
    }
    let found = once_there_are(presence, 3, is_one).await;
    let names: Vec<_> = found.iter().map(|worker| worker.card.name.as_str()).collect();
    assert_eq!(names, ["presence-order-a", "presence-order-b", "presence-order-b"]);
    assert_ne!(found[1].id, found[2].id);
    drop(announced.remove(0));
    let left = once_there_are(presence, 2, is_one).await;
    assert_eq!(left[0].id, found[0].id);
    drop(announced);
    once_there_are(presence, 0, is_one).await;
}
