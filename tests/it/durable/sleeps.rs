//! Sleeps on a real server: workers that are let go, and processes that end meanwhile.

use std::time::Duration;

use serde_json::{Value, json};
use stormpetrel::{
    durable::Context,
    models::{CaseStatus, EntryKind, JournalEntry, RecordKind},
    petrel::Petrel,
    worker::{QueueOptions, WorkError, Worker, WorkerBuilder},
};

use super::{Effects, entries, queue};
use crate::{
    support::{case, petrel_at, system, workflow},
    work::{Running, begun, eventually, is_whole, is_whole_in_the_end, kind, steps, until},
};

/// Longer than a worker is kept.
const LONG: Duration = Duration::from_millis(5_500);

/// Notes its name, sleeps and notes it once more.
fn sleeping(
    petrel: &Petrel,
    name: &'static str,
    time: Duration,
    effects: &Effects,
) -> WorkerBuilder {
    let effects = effects.clone();
    let options = QueueOptions { concurrency: 1, ..queue() };
    let run = move |ctx: Context, input: Value| {
        let effects = effects.clone();
        async move {
            let note = |what: &'static str| {
                let (effects, input) = (effects.clone(), input.clone());
                ctx.step(what, move || {
                    effects.lock().unwrap().push(format!("{name} {what} {}", input["n"]));
                    async { Ok::<_, WorkError>(()) }
                })
            };
            note("before").await?;
            ctx.sleep(time).await;
            note("after").await?;
            Ok(json!({}))
        }
    };
    Worker::builder(petrel.clone()).named(name).queue(options).durable(kind("step0"), run)
}

/// Numbers of the entries that begin, wait, and let the worker go.
fn counted(entries: &[JournalEntry]) -> [usize; 3] {
    let count = |is: fn(&EntryKind) -> bool| entries.iter().filter(|of| is(&of.what)).count();
    [
        count(|what| matches!(what, EntryKind::Begun { .. })),
        count(|what| matches!(what, EntryKind::Waits { .. })),
        count(|what| matches!(what, EntryKind::Parked { .. })),
    ]
}

#[tokio::test]
async fn a_short_sleep_keeps_its_worker() {
    let (_server, petrel) = system().await;
    let effects = Effects::default();
    let short = Duration::from_millis(200);
    let running = Running::start(&petrel, sleeping(&petrel, "ann", short, &effects));
    begun(&petrel, &steps(1, json!({})), "c").await;
    until(&petrel, "steps", "c", CaseStatus::Completed).await;
    let found = entries(&petrel, "c").await;
    assert_eq!(counted(&found), [1, 1, 0]);
    let slept = found.last().unwrap().time - found[2].time;
    assert!(slept.num_milliseconds() >= 200, "{slept}");
    running.stop().await;
    is_whole(&petrel).await;
}

/// One worker that does one thing at a time; its handlers sleep beside one another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_sleep_lets_its_worker_go_and_counts_no_attempt() {
    let (server, petrel) = system().await;
    let effects = Effects::default();
    let serving = Running::serving(&petrel);
    let running = Running::start(&petrel, sleeping(&petrel, "ann", LONG, &effects));
    let of = steps(1, json!({}));
    let cases = ["c1", "c2", "c3"];
    for id in cases {
        begun(&petrel, &of, id).await;
    }
    for id in cases {
        eventually("a handler that sleeps", async || {
            let now = petrel.case(&workflow("steps"), &case(id)).await.unwrap();
            now.items[0].wait.clone().filter(|wait| wait.timer.is_some())
        })
        .await;
    }
    assert_eq!(effects.lock().unwrap().len(), 3, "none waits for another");
    running.stop().await;
    // Another process takes them up.
    let other = petrel_at(server.url()).await;
    let running = Running::start(&other, sleeping(&other, "other", LONG, &effects));
    for id in cases {
        let records = until(&petrel, "steps", id, CaseStatus::Completed).await;
        let work = records.iter().filter_map(|record| {
            record.value.work.as_ref().map(|work| (record.value.kind, work.attempt, work.ended))
        });
        let wanted =
            [RecordKind::Begun, RecordKind::Released, RecordKind::Begun, RecordKind::Fired];
        let wanted = wanted.map(|kind| (kind, 1, None));
        assert_eq!(work.collect::<Vec<_>>(), wanted);
        assert_eq!(counted(&entries(&petrel, id).await), [2, 1, 1]);
    }
    let noted = effects.lock().unwrap().clone();
    assert_eq!(noted.iter().filter(|of| of.starts_with("ann before")).count(), 3);
    assert_eq!(noted.iter().filter(|of| of.starts_with("other after")).count(), 3);
    assert_eq!(noted.len(), 6);
    running.stop().await;
    serving.stop().await;
    is_whole(&petrel).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sleep_ends_at_its_time_though_everything_was_away_meanwhile() {
    let (mut server, petrel) = system().await;
    let effects = Effects::default();
    let serving = Running::serving(&petrel);
    let running = Running::start(&petrel, sleeping(&petrel, "ann", LONG, &effects));
    begun(&petrel, &steps(1, json!({})), "c").await;
    eventually("a handler that sleeps", async || {
        petrel.case(&workflow("steps"), &case("c")).await.unwrap().items[0].wait.clone()
    })
    .await;
    running.stop().await;
    serving.stop().await;
    server.kill().await;
    server.restart().await;
    let other = petrel_at(server.url()).await;
    let serving = Running::serving(&other);
    let running = Running::start(&other, sleeping(&other, "other", LONG, &effects));
    until(&other, "steps", "c", CaseStatus::Completed).await;
    let found = entries(&other, "c").await;
    let due = found.iter().find_map(|entry| match entry.what {
        EntryKind::Waits { until, .. } => Some(until),
        _ => None,
    });
    let woken = found.iter().rev().find(|entry| matches!(entry.what, EntryKind::Begun { .. }));
    let late = woken.unwrap().time - due.unwrap();
    assert!((-100..LONG.as_millis() as i64).contains(&late.num_milliseconds()), "{late}");
    assert_eq!(effects.lock().unwrap().len(), 2);
    running.stop().await;
    is_whole_in_the_end(&other).await;
    serving.stop().await;
}

#[tokio::test]
async fn a_case_that_is_cancelled_in_a_sleep_is_cancelled_at_once_and_wakes_nobody() {
    let (_server, petrel) = system().await;
    let effects = Effects::default();
    let running = Running::start(&petrel, sleeping(&petrel, "ann", LONG * 1_000, &effects));
    begun(&petrel, &steps(1, json!({})), "c").await;
    eventually("a handler that sleeps", async || {
        petrel.case(&workflow("steps"), &case("c")).await.unwrap().items[0].wait.clone()
    })
    .await;
    assert_eq!(petrel.arm_all().await.unwrap(), 0, "its timer is the one that its record says");
    petrel.cancel(&workflow("steps"), &case("c"), Default::default()).await.unwrap();
    let now = petrel.case(&workflow("steps"), &case("c")).await.unwrap();
    assert_eq!((now.status, now.items.len()), (CaseStatus::Cancelled, 0));
    running.stop().await;
    is_whole(&petrel).await;
}
