//! Durable handlers whose cases are paused, tried again by somebody, or whose workers shut down.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};
use stormpetrel::{
    durable::Context,
    models::{CaseStatus, RecordKind, Retry},
    petrel::Petrel,
    testing::FaultProxy,
    worker::{QueueOptions, WorkError, Worker, WorkerBuilder},
};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{Effects, ended, entries, queue};
use crate::{
    support::{case, petrel_at, system, workflow},
    work::{Running, begun, eventually, is_whole, kind, steps, until},
};

/// A gate in the second of three steps: it tells that the step has begun, and lets it end.
#[derive(Debug, Default)]
struct Gate {
    begun: Notify,
    ends: Notify,
}

/// Three steps that note their numbers. The second waits at the gate.
fn gated(petrel: &Petrel, effects: &Effects, gate: &Arc<Gate>) -> WorkerBuilder {
    let (effects, gate) = (Arc::clone(effects), Arc::clone(gate));
    let run = move |ctx: Context, _: Value| {
        let (effects, gate) = (Arc::clone(&effects), Arc::clone(&gate));
        async move {
            for number in 1..=3 {
                let (effects, gate) = (&effects, &gate);
                let does = || async move {
                    effects.lock().unwrap().push(number.to_string());
                    if number == 2 {
                        gate.begun.notify_one();
                        gate.ends.notified().await;
                    }
                    Ok::<_, WorkError>(number)
                };
                ctx.step("does", does).await?;
            }
            Ok(json!({}))
        }
    };
    Worker::builder(petrel.clone()).queue(queue()).durable(kind("step0"), run)
}

#[tokio::test]
async fn a_paused_case_takes_the_step_that_runs_and_begins_no_other() {
    let (_server, petrel) = system().await;
    let (effects, gate) = (Effects::default(), Arc::<Gate>::default());
    let running = Running::start(&petrel, gated(&petrel, &effects, &gate));
    begun(&petrel, &steps(1, json!({})), "c").await;
    gate.begun.notified().await;
    let (w, c) = (workflow("steps"), case("c"));
    petrel.pause(&w, &c, Default::default()).await.unwrap();
    // Before its second sign of life from now on the worker has asked.
    for _ in 0..2 {
        let beat = async || petrel.storage().last_beat(&w, &c, 1).await.unwrap();
        let before = beat().await.map(|last| last.sequence);
        eventually("a sign of life", async || {
            beat().await.map(|last| last.sequence).filter(|last| Some(*last) != before)
        })
        .await;
    }
    gate.ends.notify_one();
    eventually("an item that was given back", async || {
        let now = petrel.case(&w, &c).await.unwrap();
        now.items[0].running.is_none().then_some(())
    })
    .await;
    assert_eq!(*effects.lock().unwrap(), ["1", "2"]);
    assert_eq!(ended(&entries(&petrel, "c").await), [(1, 1, 0), (2, 1, 0)]);
    petrel.resume(&w, &c, Default::default()).await.unwrap();
    let records = until(&petrel, "steps", "c", CaseStatus::Completed).await;
    assert_eq!(*effects.lock().unwrap(), ["1", "2", "3"]);
    assert_eq!(ended(&entries(&petrel, "c").await), [(1, 1, 0), (2, 1, 0), (3, 1, 0)]);
    let attempts = records.iter().filter(|record| record.value.kind == RecordKind::Begun);
    let attempts = attempts.map(|record| record.value.work.as_ref().unwrap().attempt);
    assert_eq!(attempts.collect::<Vec<_>>(), [1, 1]);
    running.stop().await;
    is_whole(&petrel).await;
}

#[tokio::test]
async fn a_worker_that_shuts_down_lets_a_handler_go_between_two_steps() {
    let (_server, petrel) = system().await;
    let (effects, gate) = (Effects::default(), Arc::<Gate>::default());
    let running = Running::start(&petrel, gated(&petrel, &effects, &gate));
    begun(&petrel, &steps(1, json!({})), "c").await;
    gate.begun.notified().await;
    let stopping = tokio::spawn(running.stop());
    tokio::task::yield_now().await;
    gate.ends.notify_one();
    stopping.await.unwrap();
    assert_eq!(*effects.lock().unwrap(), ["1", "2"]);
    let running = Running::start(&petrel, gated(&petrel, &effects, &gate));
    until(&petrel, "steps", "c", CaseStatus::Completed).await;
    assert_eq!(*effects.lock().unwrap(), ["1", "2", "3"]);
    assert_eq!(ended(&entries(&petrel, "c").await), [(1, 1, 0), (2, 1, 0), (3, 1, 0)]);
    running.stop().await;
    is_whole(&petrel).await;
}

#[tokio::test]
async fn an_incident_that_is_tried_again_goes_on_at_the_step_that_failed() {
    let (_server, petrel) = system().await;
    let (effects, is_mended) = (Effects::default(), Arc::<AtomicBool>::default());
    let (noted, mended) = (Arc::clone(&effects), Arc::clone(&is_mended));
    let run = move |ctx: Context, _: Value| {
        let (noted, mended) = (Arc::clone(&noted), Arc::clone(&mended));
        async move {
            let first = || async {
                noted.lock().unwrap().push("first".to_owned());
                Ok::<_, WorkError>(())
            };
            ctx.step("first", first).await?;
            let second = || async {
                noted.lock().unwrap().push("second".to_owned());
                match mended.load(Ordering::Relaxed) {
                    true => Ok(()),
                    false => Err(WorkError::new("DOWN", "the bank is away")),
                }
            };
            let once = Retry { attempts: Some(1), ..Retry::default() };
            ctx.step("second", second).retry(&once).await?;
            Ok(json!({}))
        }
    };
    let worker = Worker::builder(petrel.clone()).queue(queue()).durable(kind("step0"), run);
    let running = Running::start(&petrel, worker);
    begun(&petrel, &steps(1, json!({})), "c").await;
    let (w, c) = (workflow("steps"), case("c"));
    for _ in 0..2 {
        let incident = eventually("an incident", async || {
            petrel.case(&w, &c).await.unwrap().incidents.first().cloned()
        })
        .await;
        let now = petrel.case(&w, &c).await.unwrap();
        let words = petrel.incident_explanation(&now, &incident).await.unwrap();
        assert!(words.contains("DOWN") && words.contains("the bank is away"), "{words}");
        let was = effects.lock().unwrap().len();
        if was == 3 {
            is_mended.store(true, Ordering::Relaxed);
        }
        petrel.retry_incident(&w, &c, incident.number, Default::default()).await.unwrap();
        eventually("another attempt", async || (effects.lock().unwrap().len() > was).then_some(()))
            .await;
    }
    until(&petrel, "steps", "c", CaseStatus::Completed).await;
    assert_eq!(*effects.lock().unwrap(), ["first", "second", "second", "second"]);
    running.stop().await;
    is_whole(&petrel).await;
}

/// Five steps. It hangs in that of a number, if there is one.
fn hangs_at(petrel: &Petrel, at: Option<u64>, told: &Arc<Notify>) -> WorkerBuilder {
    let told = Arc::clone(told);
    let run = move |ctx: Context, _: Value| {
        let told = Arc::clone(&told);
        async move {
            for number in 1..=5 {
                let does = || async {
                    if at == Some(number) {
                        told.notify_one();
                        std::future::pending::<()>().await;
                    }
                    Ok::<_, WorkError>(number)
                };
                ctx.step("does", does).await?;
            }
            Ok(json!({}))
        }
    };
    Worker::builder(petrel.clone()).queue(queue()).durable(kind("step0"), run)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_that_are_lost_after_something_new_do_not_count() {
    let (server, petrel) = system().await;
    begun(&petrel, &steps(1, json!({ "retry": { "lost": 2 } })), "c").await;
    // The second is lost where the first was, and counts.
    for at in [2, 2, 3, 4, 5] {
        super::is_gone(&server, move |petrel, told| hangs_at(petrel, Some(at), told)).await;
    }
    let running = Running::start(&petrel, hangs_at(&petrel, None, &Arc::default()));
    let records = until(&petrel, "steps", "c", CaseStatus::Completed).await;
    let lost = records.iter().filter_map(|record| Some(record.value.items.first()?.lost));
    assert_eq!(lost.max(), Some(1));
    let attempts = ended(&entries(&petrel, "c").await);
    assert_eq!(attempts, [(1, 1, 0), (2, 3, 2), (3, 2, 1), (4, 2, 1), (5, 2, 1)]);
    running.stop().await;
    is_whole(&petrel).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_that_are_lost_at_the_same_step_are_an_incident_in_the_end() {
    let (server, petrel) = system().await;
    begun(&petrel, &steps(1, json!({ "retry": { "lost": 2 } })), "c").await;
    for _ in 0..3 {
        super::is_gone(&server, move |petrel, told| hangs_at(petrel, Some(2), told)).await;
    }
    let running = Running::start(&petrel, hangs_at(&petrel, None, &Arc::default()));
    let incident = eventually("an incident", async || {
        petrel.case(&workflow("steps"), &case("c")).await.unwrap().incidents.first().cloned()
    })
    .await;
    assert_eq!(incident.code, stormpetrel::models::IncidentCode::WorkLost);
    running.stop().await;
    is_whole(&petrel).await;
}

/// The worker shuts down, and its grace is over, while the journal's word about the failure is on its way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failure_at_the_end_of_a_grace_is_not_tried_again_without_a_word() {
    let (server, petrel) = system().await;
    let upstream = server.url().trim_start_matches("nats://").parse().unwrap();
    let proxy = Arc::new(FaultProxy::start(upstream).await);
    let (effects, told) = (Effects::default(), Arc::<Notify>::default());
    let make = |petrel: &Petrel, cut: Option<Arc<FaultProxy>>| {
        let (effects, told) = (Arc::clone(&effects), Arc::clone(&told));
        let run = move |ctx: Context, _: Value| {
            let (effects, told, cut) = (Arc::clone(&effects), Arc::clone(&told), cut.clone());
            async move {
                let charge = || {
                    effects.lock().unwrap().push("charge".to_owned());
                    async { Err::<(), _>(WorkError::new("NO", "no").without_retry()) }
                };
                let done = ctx.step("charge", charge).await;
                if let Some(cut) = cut {
                    cut.hold();
                    told.notify_one();
                }
                done?;
                Ok(json!({}))
            }
        };
        let options = QueueOptions { ack_wait: Some(Duration::from_secs(20)), ..queue() };
        let worker = Worker::builder(petrel.clone()).queue(options);
        worker.grace(Duration::from_millis(300)).durable(kind("step0"), run)
    };
    let behind = petrel_at(proxy.url()).await;
    let worker = make(&behind, Some(Arc::clone(&proxy))).build().unwrap();
    let ends = CancellationToken::new();
    let draining = tokio::spawn({
        let ends = ends.clone();
        async move { worker.run(ends).await }
    });
    begun(&petrel, &steps(1, json!({})), "c").await;
    told.notified().await;
    ends.cancel();
    // The grace is over, and the handler's time to end is not.
    tokio::time::sleep(Duration::from_secs(1)).await;
    proxy.release();
    draining.await.unwrap().ok();
    let running = Running::start(&petrel, make(&petrel, None));
    eventually("an incident", async || {
        petrel.case(&workflow("steps"), &case("c")).await.unwrap().incidents.first().cloned()
    })
    .await;
    running.stop().await;
    assert_eq!(*effects.lock().unwrap(), ["charge"]);
    is_whole(&petrel).await;
}
