//! Answers from outside to durable handlers, on a real server.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};
use stormpetrel::{
    durable::{AnswerError, Context},
    models::{CaseStatus, EntryKind, Failure, OperationEnd, RecordKind},
    petrel::{Change, ExpectedVersion, NewCase, Petrel},
    worker::{QueueOptions, WorkError, Worker, WorkerBuilder},
};

use super::{Effects, LEASE, ended, entries, queue};
use crate::{
    cli::text,
    support::{case, petrel_at, system, workflow},
    work::{Running, begun, eventually, is_whole, is_whole_in_the_end, kind, steps, until},
};

/// Ids that handlers have handed out.
type Ids = Arc<Mutex<Vec<String>>>;

/// Hands an id out in a step, waits for its answer, and notes it.
fn asking(
    petrel: &Petrel,
    limit: Option<Duration>,
    (ids, effects): (&Ids, &Effects),
) -> WorkerBuilder {
    let (ids, effects) = (Arc::clone(ids), Arc::clone(effects));
    let run = move |ctx: Context, _: Value| {
        let (ids, effects) = (Arc::clone(&ids), Arc::clone(&effects));
        async move {
            let mut wait = ctx.awakeable::<Value>();
            if let Some(limit) = limit {
                wait = wait.timeout(limit);
            }
            let (ids, effects, id) = (&ids, &effects, wait.id().to_owned());
            let id = &id;
            let hands_out = || async move {
                ids.lock().unwrap().push(id.clone());
                Ok::<_, WorkError>(())
            };
            ctx.step("hands out", hands_out).await?;
            let answer = wait.await.unwrap_or_else(|error| json!({ "code": error.code() }));
            let note = || async {
                effects.lock().unwrap().push("answered".to_owned());
                Ok::<_, WorkError>(())
            };
            ctx.step("note", note).await?;
            Ok(json!({ "answer": answer }))
        }
    };
    Worker::builder(petrel.clone())
        .queue(QueueOptions { concurrency: 4, ..queue() })
        .durable(kind("step0"), run)
}

/// The next id that a handler hands out.
async fn next(ids: &Ids) -> String {
    eventually("an id", async || ids.lock().unwrap().pop()).await
}

/// Waits until a handler has let its worker go.
async fn is_parked(petrel: &Petrel, id: &str) {
    eventually("a handler that waits for its answer", async || {
        let now = petrel.case(&workflow("steps"), &case(id)).await.unwrap();
        now.items.first()?.wait.clone().filter(|wait| wait.answers)
    })
    .await;
}

async fn resolve(petrel: &Petrel, id: &str, answer: Value) -> Result<bool, AnswerError> {
    let by = Change { by: Some("ann".to_owned()), ..Change::default() };
    petrel.resolve_awakeable(id, answer, by).await.map(|answered| answered.repeated)
}

async fn answer_of(petrel: &Petrel, id: &str) -> Value {
    until(petrel, "steps", id, CaseStatus::Completed).await;
    let now = petrel.case(&workflow("steps"), &case(id)).await.unwrap();
    now.tokens.values().next().unwrap().data["answer"].clone()
}

async fn parked(petrel: &Petrel, limit: Option<Duration>) -> (Running, String, Effects) {
    let (ids, effects) = (Ids::default(), Effects::default());
    let running = Running::start(petrel, asking(petrel, limit, (&ids, &effects)));
    begun(petrel, &steps(1, json!({})), "c").await;
    let id = next(&ids).await;
    is_parked(petrel, "c").await;
    (running, id, effects)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_goes_on_with_the_answer_that_another_process_gives() {
    let (server, petrel) = system().await;
    let (running, id, effects) = parked(&petrel, None).await;
    assert_eq!(effects.lock().unwrap().len(), 0);
    let now = petrel.case(&workflow("steps"), &case("c")).await.unwrap();
    assert!(now.items[0].running.is_none(), "its worker has other things to do");
    let shown = text(&server, &["case", "show", "steps", "c"]).await;
    assert!(shown.contains("waits for an answer from outside"), "{shown}");
    let told =
        text(&server, &["awakeable", "resolve", &id, "--result", "[1.0, -0.0, \"ü\"]"]).await;
    assert!(told.contains("answered"), "{told}");
    assert_eq!(answer_of(&petrel, "c").await, json!([1.0, -0.0, "ü"]));
    assert_eq!(ended(&entries(&petrel, "c").await), [(2, 1, 0), (3, 1, 0)]);
    // The same again is known, and another one is refused with the first one's name.
    let other = petrel_at(server.url()).await;
    assert!(resolve(&other, &id, json!([1.0, -0.0, "ü"])).await.unwrap());
    let refused = resolve(&other, &id, json!(2)).await.unwrap_err();
    assert_eq!(refused.code(), "ANSWERED");
    running.stop().await;
    is_whole(&petrel).await;
}

/// Each is answered as soon as its id is there: before it waits, while its worker lets it go, and after that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_at_any_moment_are_taken_once() {
    let (server, petrel) = system().await;
    let (ids, effects) = (Ids::default(), Effects::default());
    let running = Running::start(&petrel, asking(&petrel, None, (&ids, &effects)));
    let other = petrel_at(server.url()).await;
    let of = steps(1, json!({}));
    petrel.create_workflow(of.clone(), ExpectedVersion::Any).await.unwrap();
    let cases: Vec<_> = (0..60).map(|number| format!("c{number}")).collect();
    for (number, id) in cases.iter().enumerate() {
        let new = NewCase { case: Some(case(id)), ..NewCase::of(of.id.clone()) };
        petrel.create_case(new).await.unwrap();
        let handed_out = next(&ids).await;
        if number % 3 == 1 {
            // Some milliseconds, another number of them each time.
            tokio::time::sleep(Duration::from_micros(300 * number as u64)).await;
        }
        if number % 3 == 2 {
            is_parked(&petrel, id).await;
        }
        resolve(&other, &handed_out, json!(number)).await.unwrap();
    }
    for (number, id) in cases.iter().enumerate() {
        assert_eq!(answer_of(&petrel, id).await, json!(number));
    }
    assert_eq!(effects.lock().unwrap().len(), cases.len());
    running.stop().await;
    is_whole_in_the_end(&petrel).await;
}

#[tokio::test]
async fn an_id_that_no_handler_has_given_out_is_refused_in_the_same_way_whatever_is_wrong() {
    let (_server, petrel) = system().await;
    let (running, id, _) = parked(&petrel, None).await;
    let (place, secret) = id.rsplit_once('.').unwrap();
    let first = if secret.starts_with('A') { 'B' } else { 'A' };
    let turned = format!("{first}{}", &secret[1..]);
    let of_nobody = "aw1.dyBjIDEgMSA.AAAAAAAAAAAAAAAAAAAAAA".to_owned();
    let forged = [
        format!("{place}.{turned}"),
        format!("{place}."),
        of_nobody,
        "x".to_owned(),
        String::new(),
    ];
    for id in forged {
        let begun = Instant::now();
        let refused = resolve(&petrel, &id, json!(1)).await.unwrap_err();
        assert_eq!(refused.code(), "NO_AWAKEABLE");
        assert_eq!(refused.to_string(), "no handler has given this id out");
        assert!(begun.elapsed() >= Duration::from_millis(100), "the time says nothing");
    }
    resolve(&petrel, &id, json!(1)).await.unwrap();
    assert_eq!(answer_of(&petrel, "c").await, json!(1));
    running.stop().await;
    is_whole(&petrel).await;
}

#[tokio::test]
async fn a_rejected_handler_sees_the_code() {
    let (_server, petrel) = system().await;
    let (running, id, _) = parked(&petrel, None).await;
    let failure = |code: &str| Failure { code: code.to_owned(), ..Failure::default() };
    let refused = petrel.reject_awakeable(&id, failure(""), Change::default()).await.unwrap_err();
    assert_eq!(refused.code(), "INVALID_ARGUMENT");
    petrel.reject_awakeable(&id, failure("DECLINED"), Change::default()).await.unwrap();
    assert_eq!(answer_of(&petrel, "c").await, json!({ "code": "DECLINED" }));
    running.stop().await;
    is_whole(&petrel).await;
}

#[tokio::test]
async fn what_comes_after_the_time_or_the_end_is_not_waited_for() {
    let (_server, petrel) = system().await;
    let serving = Running::serving(&petrel);
    let (running, id, _) = parked(&petrel, Some(Duration::from_secs(6))).await;
    assert_eq!(answer_of(&petrel, "c").await, json!({ "code": "TIMEOUT" }));
    let late = resolve(&petrel, &id, json!(1)).await.unwrap_err();
    assert_eq!(late.code(), "NO_LONGER_WAITED_FOR");
    running.stop().await;
    serving.stop().await;
    is_whole(&petrel).await;
}

#[tokio::test]
async fn a_cancelled_case_waits_for_nothing() {
    let (_server, petrel) = system().await;
    let (running, id, effects) = parked(&petrel, None).await;
    petrel.cancel(&workflow("steps"), &case("c"), Change::default()).await.unwrap();
    let before = entries(&petrel, "c").await;
    let late = resolve(&petrel, &id, json!(1)).await.unwrap_err();
    assert_eq!(late.code(), "NO_LONGER_WAITED_FOR");
    assert_eq!(entries(&petrel, "c").await, before);
    assert_eq!(effects.lock().unwrap().len(), 0);
    running.stop().await;
    is_whole(&petrel).await;
}

#[tokio::test]
async fn an_answer_in_a_paused_case_is_kept_until_it_is_resumed() {
    let (server, petrel) = system().await;
    let (running, id, effects) = parked(&petrel, None).await;
    let (w, c) = (workflow("steps"), case("c"));
    petrel.pause(&w, &c, Change::default()).await.unwrap();
    resolve(&petrel_at(server.url()).await, &id, json!("yes")).await.unwrap();
    let records = petrel.case(&w, &c).await.unwrap().sequence;
    tokio::time::sleep(LEASE).await;
    assert_eq!(petrel.case(&w, &c).await.unwrap().sequence, records, "nothing begins");
    assert_eq!(effects.lock().unwrap().len(), 0);
    petrel.resume(&w, &c, Change::default()).await.unwrap();
    assert_eq!(answer_of(&petrel, "c").await, json!("yes"));
    running.stop().await;
    is_whole(&petrel).await;
}

/// Stores an answer as one does who dies before he has said so to anybody.
async fn dies_after_the_entry(petrel: &Petrel, id: &str) {
    let found = entries(petrel, id).await;
    let last = found.last().unwrap().clone();
    let (of, until) = found
        .iter()
        .find_map(|entry| match &entry.what {
            EntryKind::Awaits { of, until } => Some((of.clone(), *until)),
            _ => None,
        })
        .unwrap();
    assert!(until - Utc::now() > TimeDelta::days(36_000));
    let item =
        stormpetrel::models::JournalId { workflow: workflow("steps"), case: case(id), item: 1 };
    let storage = petrel.storage();
    let end =
        stormpetrel::models::JournalEnd::at(&storage.last_entry(&item).await.unwrap().unwrap());
    let what = EntryKind::Resolved {
        of,
        end: OperationEnd::Result(json!("late")),
        by: None,
        notes: Default::default(),
    };
    let entry = end.followed_by(stormpetrel::models::JournalEntry { what, ..last }).unwrap();
    storage.write_entry(&item, &entry, end.sequence).await.unwrap();
}

#[tokio::test]
async fn an_answer_whose_sender_died_is_found_by_whoever_serves() {
    let (_server, petrel) = system().await;
    let (running, _, effects) = parked(&petrel, None).await;
    assert_eq!(petrel.mend_open().await.unwrap(), 0, "without an answer nobody wakes it");
    dies_after_the_entry(&petrel, "c").await;
    assert_eq!(effects.lock().unwrap().len(), 0);
    // As it does by itself once a minute.
    assert_eq!(petrel.mend_open().await.unwrap(), 1);
    assert_eq!(answer_of(&petrel, "c").await, json!("late"));
    running.stop().await;
    is_whole(&petrel).await;
}

#[tokio::test]
async fn an_answer_whose_sender_died_goes_on_when_it_is_said_again() {
    let (server, petrel) = system().await;
    let (running, id, _) = parked(&petrel, None).await;
    dies_after_the_entry(&petrel, "c").await;
    let other = petrel_at(server.url()).await;
    assert!(resolve(&other, &id, json!("late")).await.unwrap(), "it was there");
    assert_eq!(answer_of(&petrel, "c").await, json!("late"));
    running.stop().await;
    is_whole(&petrel).await;
}

/// The server is killed and started while handlers wait, with no process that has them in its memory.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handlers_that_wait_cost_no_process_and_survive_all_of_them() {
    let (mut server, petrel) = system().await;
    let (running, id, _) = parked(&petrel, None).await;
    running.stop().await;
    petrel.close().await;
    server.kill().await;
    server.restart().await;
    let other = petrel_at(server.url()).await;
    resolve(&other, &id, json!("after all")).await.unwrap();
    let (ids, effects) = (Ids::default(), Effects::default());
    let running = Running::start(&other, asking(&other, None, (&ids, &effects)));
    assert_eq!(answer_of(&other, "c").await, json!("after all"));
    assert_eq!(ids.lock().unwrap().len(), 0, "the id was handed out once");
    let records = until(&other, "steps", "c", CaseStatus::Completed).await;
    let begins = records.iter().filter(|record| record.value.kind == RecordKind::Begun);
    let attempts = begins.map(|record| record.value.work.as_ref().unwrap().attempt);
    assert_eq!(attempts.collect::<Vec<_>>(), [1, 1], "no attempt is counted");
    running.stop().await;
    is_whole(&other).await;
}
