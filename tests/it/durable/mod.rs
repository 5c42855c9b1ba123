//! Durable handlers on a real server.

mod answered;
mod awakeables;
mod branches;
mod examples;
mod inputs;
mod invoked;
mod life;
mod settled;
mod sleeps;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::{Value, json};
use stormpetrel::{
    durable::Context,
    models::{CaseStatus, EntryKind, JournalEntry, JournalId, LogSequence, RecordKind},
    petrel::Petrel,
    storage::Journals,
    testing::TestServer,
    worker::{QueueOptions, WorkError, Worker, WorkerBuilder},
};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::{
    failures::fixtures::operator,
    support::{case, petrel_at, system, workflow},
    work::{Running, begun, eventually, is_whole, kind, steps, until},
};

const LEASE: Duration = Duration::from_secs(1);

/// Effects outside of the engine.
type Effects = Arc<Mutex<Vec<String>>>;

fn queue() -> QueueOptions {
    let mut options = QueueOptions::new("default".parse().unwrap());
    options.ack_wait = Some(LEASE);
    options
}

/// Three steps, of which each adds to the one before. The second waits where `hangs` is there.
async fn adds(
    ctx: Context,
    name: &'static str,
    effects: Effects,
    hangs: Option<Arc<Notify>>,
) -> Result<Value, WorkError> {
    let mut sum = 0;
    for number in 1..=3 {
        let (effects, hangs) = (&effects, &hangs);
        let add = || async move {
            effects.lock().unwrap().push(format!("{name} {number}"));
            if let (2, Some(hangs)) = (number, hangs) {
                hangs.notify_one();
                std::future::pending::<()>().await;
            }
            Ok::<_, WorkError>(sum + number)
        };
        sum = ctx.step("add", add).await?;
    }
    Ok(json!({ "sum": sum }))
}

fn adding(
    petrel: &Petrel,
    name: &'static str,
    effects: &Effects,
    hangs: Option<&Arc<Notify>>,
) -> WorkerBuilder {
    let (effects, hangs) = (Arc::clone(effects), hangs.cloned());
    Worker::builder(petrel.clone())
        .named(name)
        .queue(queue())
        .durable(kind("step0"), move |ctx: Context, _: Value| {
            adds(ctx, name, Arc::clone(&effects), hangs.clone())
        })
}

/// Runs a worker that hangs in its second step, in a runtime of its own that ends then.
async fn hangs_and_is_gone(server: &TestServer, effects: &Effects) {
    let effects = Arc::clone(effects);
    is_gone(server, move |petrel, told| adding(petrel, "gone", &effects, Some(told))).await;
}

/// Runs a worker in a runtime of its own that ends when it tells: nothing of it goes on.
async fn is_gone(
    server: &TestServer,
    worker: impl FnOnce(&Petrel, &Arc<Notify>) -> WorkerBuilder + Send + 'static,
) {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(1).enable_all().build().unwrap();
    let (url, hangs) = (server.url().to_owned(), Arc::<Notify>::default());
    let told = Arc::clone(&hangs);
    runtime.spawn(async move {
        let worker = worker(&petrel_at(&url).await, &told);
        worker.build().unwrap().run(CancellationToken::new()).await
    });
    hangs.notified().await;
    runtime.shutdown_background();
}

/// The entries of a case's first item.
async fn entries(petrel: &Petrel, id: &str) -> Vec<JournalEntry> {
    let of = JournalId { workflow: workflow("steps"), case: case(id), item: 1 };
    let storage = petrel.storage();
    let Some(last) = storage.last_entry(&of).await.unwrap() else { return Vec::new() };
    let all: Vec<_> = (1..=last.sequence.get()).filter_map(LogSequence::new).collect();
    let found = Journals::entries_at(storage.as_ref(), &of, &all).await.unwrap();
    found.into_iter().map(|stored| stored.entry).collect()
}

/// The steps that have ended, with their attempts and those that were lost.
fn ended(entries: &[JournalEntry]) -> Vec<(u64, u64, u64)> {
    let ended = entries.iter().filter_map(|entry| match &entry.what {
        EntryKind::Ended { of, times, .. } => Some((of.number, times.attempt, times.lost)),
        _ => None,
    });
    ended.collect()
}

#[tokio::test]
async fn the_result_of_a_durable_handler_is_that_of_its_activity() {
    let (server, petrel) = system().await;
    let effects = Effects::default();
    let running = Running::start(&petrel, adding(&petrel, "ann", &effects, None));
    begun(&petrel, &steps(1, json!({})), "c").await;
    until(&petrel, "steps", "c", CaseStatus::Completed).await;
    let now = petrel.case(&workflow("steps"), &case("c")).await.unwrap();
    assert_eq!(now.tokens.values().next().unwrap().data["sum"], 6);
    assert_eq!(*effects.lock().unwrap(), ["ann 1", "ann 2", "ann 3"]);
    let found = entries(&petrel, "c").await;
    assert!(matches!(&found[0].what, EntryKind::Begun { worker, .. } if worker == "ann"));
    assert_eq!(ended(&found), [(1, 1, 0), (2, 1, 0), (3, 1, 0)]);
    // Plain tools read it, under a subject of its own in the log's stream.
    let log = operator(server.url()).await.get_stream("CB_LOG").await.unwrap();
    let last =
        log.get_last_raw_message_by_subject("cb.workflows.steps.journals.c.1").await.unwrap();
    let last: Value = serde_json::from_slice(&last.payload).unwrap();
    assert_eq!(
        (&last["name"], &last["result"], &last["op"]),
        (&json!("add"), &json!(6), &json!(3))
    );
    running.stop().await;
    is_whole(&petrel).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_whose_worker_is_gone_goes_on_after_its_last_step_in_another_process() {
    let (server, petrel) = system().await;
    let effects = Effects::default();
    begun(&petrel, &steps(1, json!({})), "c").await;
    hangs_and_is_gone(&server, &effects).await;
    let other = petrel_at(server.url()).await;
    let running = Running::start(&other, adding(&other, "other", &effects, None));
    let records = until(&other, "steps", "c", CaseStatus::Completed).await;
    assert_eq!(*effects.lock().unwrap(), ["gone 1", "gone 2", "other 2", "other 3"]);
    assert_eq!(ended(&entries(&other, "c").await), [(1, 1, 0), (2, 2, 1), (3, 1, 0)]);
    let begins = records.iter().filter(|record| record.value.kind == RecordKind::Begun);
    assert_eq!(begins.count(), 2);
    running.stop().await;
    is_whole(&other).await;
}

#[tokio::test]
async fn code_that_differs_from_its_journal_is_an_incident_until_code_that_fits_is_served() {
    let (server, petrel) = system().await;
    let effects = Effects::default();
    begun(&petrel, &steps(1, json!({})), "c").await;
    hangs_and_is_gone(&server, &effects).await;
    let renamed = |ctx: Context, _: Value| async move {
        Ok(ctx.step("plus", || async { Ok::<_, WorkError>(1) }).await?)
    };
    let worker = Worker::builder(petrel.clone()).queue(queue()).durable(kind("step0"), renamed);
    let running = Running::start(&petrel, worker);
    let (w, c) = (workflow("steps"), case("c"));
    let incident = eventually("an incident", async || {
        petrel.case(&w, &c).await.unwrap().incidents.first().cloned()
    })
    .await;
    running.stop().await;
    let now = petrel.case(&w, &c).await.unwrap();
    let words = petrel.incident_explanation(&now, &incident).await.unwrap();
    assert!(words.contains("NON_DETERMINISTIC"), "{words}");
    let both = r#"has step "add" at 1, and the code asks for step "plus" at 1"#;
    assert!(words.contains(both), "{words}");
    assert_eq!(effects.lock().unwrap().len(), 2, "nothing was carried out");
    // The code that fits needs nothing but another attempt.
    petrel.retry_incident(&w, &c, incident.number, Default::default()).await.unwrap();
    let running = Running::start(&petrel, adding(&petrel, "fits", &effects, None));
    until(&petrel, "steps", "c", CaseStatus::Completed).await;
    assert_eq!(ended(&entries(&petrel, "c").await), [(1, 1, 0), (2, 3, 2), (3, 1, 0)]);
    running.stop().await;
    is_whole(&petrel).await;
}
