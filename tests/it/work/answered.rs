//! Answers to work, and those that are refused.

use stormpetrel::{
    engine::Answered,
    models::{Failure, OutcomeId},
    petrel::{Change, StartWork},
};

use super::*;
use crate::support::{definition, system};

fn done(result: Value) -> Answered {
    Answered { outcome: None, result, hand_over: None }
}

fn start(work: &WorkId, over: Option<u64>) -> StartWork {
    StartWork {
        work: work.clone(),
        over,
        worker: "w".to_owned(),
        lease: Duration::from_secs(30),
        start: rand_number(),
    }
}

fn rand_number() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}

#[tokio::test]
async fn an_answer_happens_once_and_a_lost_claim_is_refused() {
    let (server, petrel) = system().await;
    let other = crate::support::petrel_at(server.url()).await;
    begun(&petrel, &steps(2, json!({})), "a").await;
    let work = item("steps", "a", 1);
    let refused = petrel.complete_work(&work, Some(1), done(json!({})), Change::default()).await;
    assert_eq!(code(refused), "LEASE_LOST");
    let first = start(&work, None);
    let started = petrel.begin_work(first.clone()).await.unwrap();
    assert_eq!((started.item.claim, started.input), (1, json!({})));
    // The same start again, as after a lost answer, is the same claim; another one is somebody else's.
    let again = other.begin_work(first).await.unwrap();
    assert_eq!((again.item.claim, again.changed.repeated), (1, true));
    assert_eq!(code(other.begin_work(start(&work, None)).await), "WORK_TAKEN");
    let second = other.begin_work(start(&work, Some(1))).await.unwrap();
    assert_eq!((second.item.claim, second.item.attempt, second.item.lost), (2, 2, 1));
    for petrel in [&petrel, &other] {
        let late = petrel.complete_work(&work, Some(1), done(json!({})), Change::default()).await;
        assert_eq!(code(late), "LEASE_LOST");
        let late = petrel.release_work(&work, Some(1), Change::default()).await;
        assert_eq!(code(late), "LEASE_LOST");
    }
    let answer = || done(json!({"n": 1}));
    let answered = other.complete_work(&work, Some(2), answer(), Change::default()).await.unwrap();
    assert!(!answered.repeated);
    for petrel in [&petrel, &other] {
        let again =
            petrel.complete_work(&work, Some(2), answer(), Change::default()).await.unwrap();
        assert!(again.repeated && again.record.sequence == answered.record.sequence);
        let others = done(json!({"n": 2}));
        let otherwise = petrel.complete_work(&work, Some(2), others, Change::default()).await;
        assert_eq!(code(otherwise), "CONFLICT");
        let failure = Failure { code: "X".to_owned(), ..Failure::default() };
        let otherwise = petrel.fail_work(&work, Some(2), failure, Change::default()).await;
        assert_eq!(code(otherwise), "CONFLICT");
        assert_eq!(code(petrel.begin_work(start(&work, None)).await), "WORK_OVER");
        let unknown = item("steps", "a", 7);
        assert_eq!(code(petrel.begin_work(start(&unknown, None)).await), "NOT_FOUND");
    }
    is_whole(&petrel).await;
}

#[tokio::test]
async fn a_paused_case_takes_the_answer_and_a_cancelled_one_refuses_it() {
    let (_server, petrel) = system().await;
    let (w, change) = (workflow("steps"), Change::default);
    for id in ["paused", "cancelled"] {
        begun(&petrel, &steps(2, json!({})), id).await;
        petrel.begin_work(start(&item("steps", id, 1), None)).await.unwrap();
    }
    petrel.pause(&w, &case("paused"), change()).await.unwrap();
    petrel.cancel(&w, &case("cancelled"), change()).await.unwrap();
    let work = item("steps", "paused", 1);
    let changed = petrel.complete_work(&work, Some(1), done(json!({})), change()).await.unwrap();
    assert_eq!((changed.case.status, changed.case.items.len()), (CaseStatus::Paused, 1));
    let next = item("steps", "paused", 2);
    assert_eq!(code(petrel.begin_work(start(&next, None)).await), "WRONG_STATUS");
    let work = item("steps", "cancelled", 1);
    let refused = petrel.complete_work(&work, Some(1), done(json!({})), change()).await;
    let told = refused.unwrap_err().to_string();
    assert!(told.contains("cancelled") && told.contains("withdrawn"), "{told}");
    let left = petrel.storage().offered_in(&w, &case("cancelled")).await.unwrap();
    assert_eq!(left, [], "who cancels takes the message away");
    petrel.resume(&w, &case("paused"), change()).await.unwrap();
    let offered = petrel.storage().offered_in(&w, &case("paused")).await.unwrap();
    assert!(offered.iter().any(|offer| offer.item == 2), "{offered:?}");
    is_whole(&petrel).await;
}

/// Results that can't be stored are typed failures of the attempt.
#[tokio::test]
async fn a_result_that_can_not_be_stored_fails_the_attempt() {
    let (_server, petrel) = system().await;
    let definition = definition(json!({
        "id": "steps", "initial_place": "p0",
        "places": [{"id": "p0"}, {"id": "fine"}, {"id": "refused"}],
        "transitions": [{"id": "step0", "from_places": ["p0"], "activity": {
            "outcomes": {"fine": {"to_place": "fine"}, "refused": {"to_place": "refused"}},
            "on_error": {"RESULT_REFUSED": "refused"}
        }}]
    }));
    let results = ["large", "deep"];
    for id in results {
        begun(&petrel, &definition, id).await;
    }
    let run = |attempt: Attempt, _: Value| async move {
        let result = match attempt.work().case.as_str() {
            "large" => json!({"text": "x".repeat(8_000_000)}),
            _ => (0..100).fold(json!({}), |inner, _| json!({ "in": inner })),
        };
        stormpetrel::worker::Done::by(OutcomeId::new("fine")?, result)
    };
    let worker = Worker::builder(petrel.clone())
        .queue(QueueOptions::new(queue("default")))
        .handle_outcomes(kind("step0"), run);
    let running = Running::start(&petrel, worker);
    for id in results {
        let records = until(&petrel, "steps", id, CaseStatus::Completed).await;
        let last = &records.last().unwrap().value;
        assert_eq!(last.produced[0].place.as_str(), "refused", "{id}");
        let failure = last.work.as_ref().unwrap().failure.as_ref().unwrap();
        assert_eq!(failure.code, "RESULT_REFUSED");
        assert!(!failure.message.is_empty());
    }
    running.stop().await;
    is_whole(&petrel).await;
}

/// A failure by hand takes the item from the worker that has it: it is tried again when it is time.
#[tokio::test]
async fn what_a_person_fails_is_tried_again_in_time() {
    let (_server, petrel) = system().await;
    let definition = steps(1, json!({ "retry": { "first": "1s", "jitter": false } }));
    begun(&petrel, &definition, "a").await;
    let stuck = Worker::builder(petrel.clone()).queue(QueueOptions::new(queue("default"))).handle(
        kind("step0"),
        |attempt: Attempt, _: Value| async move {
            if attempt.number() == 1 {
                attempt.stopped().await;
            }
            Ok::<_, WorkError>(json!({}))
        },
    );
    let running = Running::start(&petrel, stuck);
    let work = item("steps", "a", 1);
    eventually("it runs", async || {
        let now = petrel.case(&workflow("steps"), &case("a")).await.unwrap();
        now.items[0].running.clone()
    })
    .await;
    let failure = Failure { code: "BY_HAND".to_owned(), ..Failure::default() };
    petrel.fail_work(&work, None, failure, Change::default()).await.unwrap();
    let records = until(&petrel, "steps", "a", CaseStatus::Completed).await;
    let waited = records[3].timestamp - records[2].timestamp;
    assert!(waited.num_seconds() < 10, "long before the lease of the first is over: {waited}");
    running.stop().await;
    is_whole(&petrel).await;
}

/// Deadlines and the waits of items have numbers of timers, and are none of a timed transition.
#[tokio::test]
async fn the_audit_knows_the_timers_of_work() {
    let (_server, petrel) = system().await;
    let retry = json!({"first": "1h", "longest": "1h", "jitter": false});
    let mut net =
        serde_json::to_value(steps(2, json!({"deadline": "2d", "retry": retry}))).unwrap();
    let late = json!({"id": "late", "from_places": ["p0"], "to_place": "p2", "after": "3d"});
    net["transitions"].as_array_mut().unwrap().push(late);
    begun(&petrel, &definition(net), "a").await;
    let (work, next) = (item("steps", "a", 1), item("steps", "a", 2));
    let failure = Failure { code: "X".to_owned(), ..Failure::default() };
    petrel.fail_work(&work, None, failure, Change::default()).await.unwrap();
    let now = petrel.case(&workflow("steps"), &case("a")).await.unwrap();
    let wait = now.items[0].wait.as_ref().and_then(|wait| wait.timer);
    assert_eq!((now.timers.len(), wait, now.timers_made), (2, Some(3), 3));
    is_whole(&petrel).await;
    for work in [work, next] {
        petrel.complete_work(&work, None, done(json!({})), Change::default()).await.unwrap();
        is_whole(&petrel).await;
    }
}

/// In a paused queue nothing is handed over.
#[tokio::test]
async fn a_paused_queue_hands_nothing_over() {
    let (_server, petrel) = system().await;
    let storage = petrel.storage();
    begun(&petrel, &steps(2, json!({})), "a").await;
    let ledger = Arc::<Ledger>::default();
    let worker = noting(&petrel, &["step0", "step1"], &ledger, Duration::from_secs(5));
    let running = Running::start(&petrel, worker);
    eventually("the first runs", async || (ledger.len() == 1).then_some(())).await;
    let state = storage.queue(&queue("default")).await.unwrap();
    let paused = stormpetrel::storage::QueueSettings { paused: true, ..state.settings };
    let version = storage.set_queue(&queue("default"), paused, state.version).await.unwrap();
    eventually("the first is done", async || {
        let now = petrel.case(&workflow("steps"), &case("a")).await.unwrap();
        (now.items.first()?.number == 2).then_some(())
    })
    .await;
    assert_eq!(ledger.len(), 1);
    let open = stormpetrel::storage::QueueSettings { paused: false, ..paused };
    storage.set_queue(&queue("default"), open, Some(version)).await.unwrap();
    until(&petrel, "steps", "a", CaseStatus::Completed).await;
    running.stop().await;
    is_whole(&petrel).await;
}
