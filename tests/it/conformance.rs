//! The conformance suite on both storages.

use std::{sync::Arc, time::Duration};

use chrono::TimeDelta;
use futures::future::BoxFuture;
use stormpetrel::{
    models::{CaseId, Clock, LogSequence, WorkflowId},
    storage::{
        Arming, Beats, CaseLog, ListOptions, LogRange, LogScope, MemoryBeats, MemoryLog,
        MemoryOpen, MemoryPresence, MemoryStorage, MemoryTimers, MemoryView, MemoryWork, OpenIndex,
        Page, Presence, ReadPath, Storage, StorageExt, Timers, TokenScope, TokenView, Work,
        nats::{NatsStorage, NatsStorageConfig},
    },
    testing::{FaultyStorage, ManualClock, TestServer, conformance},
};
use tokio::task::JoinSet;

use crate::support::config;

async fn connect(config: NatsStorageConfig) -> Arc<dyn Storage> {
    Arc::new(NatsStorage::connect(config).await.expect("connect"))
}

/// Settings with which a second system shares a server with the first.
fn second(config: NatsStorageConfig) -> NatsStorageConfig {
    NatsStorageConfig {
        prefix: "second".to_owned(),
        log_stream: "SECOND_LOG".to_owned(),
        marking_stream: "SECOND_MARKING".to_owned(),
        ..config
    }
}

#[tokio::test]
async fn memory_passes_every_behaviour_in_stores_of_their_own() {
    conformance::all(async || Arc::new(MemoryStorage::new()) as Arc<dyn Storage>).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_passes_all_behaviours_at_once_in_one_store() {
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    at_once(&storage).await;
}

/// Runs all suites in one store, all behaviours at the same time.
async fn at_once(storage: &Arc<dyn Storage>) {
    let mut checks = JoinSet::new();
    let mut begin = |name: &'static str, check: BoxFuture<'static, ()>| {
        checks.spawn(async move { tokio::spawn(check).await.is_err().then_some(name) });
    };
    for behaviour in conformance::log::behaviours() {
        begin(behaviour.name, (behaviour.check)(storage.clone()));
    }
    for behaviour in conformance::view::behaviours() {
        begin(behaviour.name, (behaviour.check)(storage.clone()));
    }
    for behaviour in conformance::timers::behaviours() {
        begin(behaviour.name, (behaviour.check)(storage.clone()));
    }
    for behaviour in conformance::work::behaviours() {
        begin(behaviour.name, (behaviour.check)(storage.clone()));
    }
    for behaviour in conformance::beats::behaviours() {
        begin(behaviour.name, (behaviour.check)(storage.clone()));
    }
    for behaviour in conformance::open::behaviours() {
        begin(behaviour.name, (behaviour.check)(storage.clone()));
    }
    for behaviour in conformance::presence::behaviours() {
        begin(behaviour.name, (behaviour.check)(storage.clone()));
    }
    for behaviour in conformance::journals::behaviours() {
        begin(behaviour.name, (behaviour.check)(storage.clone()));
    }
    for behaviour in conformance::together::behaviours() {
        begin(behaviour.name, (behaviour.check)(storage.clone()));
    }
    let failed: Vec<_> = checks.join_all().await.into_iter().flatten().collect();
    assert!(failed.is_empty(), "these do not hold: {failed:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrapper_passes_all_behaviours_at_once_in_one_store() {
    let storage: Arc<dyn Storage> = Arc::new(FaultyStorage::new(Arc::new(MemoryStorage::new())));
    at_once(&storage).await;
}

/// A month passes at once, and a lease too.
#[tokio::test]
async fn timers_in_memory_come_due_when_their_clock_is_moved() {
    let clock = ManualClock::at("2026-03-14T15:09:26.535898Z".parse().unwrap());
    let storage = MemoryStorage::with_clock(Arc::new(clock.clone()));
    let arming = Arming {
        workflow: WorkflowId::new("w").unwrap(),
        case: CaseId::new("c").unwrap(),
        timer: 1,
        armed: LogSequence::FIRST,
        due: clock.now() + TimeDelta::days(30),
    };
    storage.arm(std::slice::from_ref(&arming)).await.unwrap();
    let (month, moment) = (TimeDelta::days(30), TimeDelta::microseconds(1));
    clock.advance(month - moment);
    assert_eq!(storage.take_due(1, Duration::from_millis(50)).await.unwrap(), []);
    let lease = TimeDelta::from_std(storage.lease()).unwrap();
    for step in [moment, lease, lease] {
        // One waits already.
        let moved = async {
            tokio::task::yield_now().await;
            clock.advance(step);
        };
        let (due, ()) = tokio::join!(storage.take_due(1, Duration::from_secs(60)), moved);
        let due = due.unwrap().remove(0);
        assert_eq!((&due.arming, due.at), (&arming, arming.due));
        assert_eq!(storage.take_due(1, Duration::ZERO).await.unwrap(), [], "one taker has it");
    }
}

#[tokio::test]
async fn a_log_alone_passes_the_suite_of_a_log() {
    conformance::log::all(async || Arc::new(MemoryLog::new()) as Arc<dyn CaseLog>).await;
}

#[tokio::test]
async fn a_view_alone_passes_the_suite_of_a_view() {
    conformance::view::all(async || Arc::new(MemoryView::new()) as Arc<dyn TokenView>).await;
}

#[tokio::test]
async fn timers_alone_pass_the_suite_of_timers() {
    conformance::timers::all(async || Arc::new(MemoryTimers::new()) as Arc<dyn Timers>).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_alone_passes_the_suite_of_work() {
    conformance::work::all(async || Arc::new(MemoryWork::new()) as Arc<dyn Work>).await;
}

#[tokio::test]
async fn beats_alone_pass_the_suite_of_beats() {
    conformance::beats::all(async || Arc::new(MemoryBeats::new()) as Arc<dyn Beats>).await;
    conformance::open::all(async || Arc::new(MemoryOpen::new()) as Arc<dyn OpenIndex>).await;
    conformance::presence::all(async || Arc::new(MemoryPresence::new()) as Arc<dyn Presence>).await;
}

#[tokio::test]
async fn nats_passes_every_behaviour_in_one_store() {
    let server = TestServer::start().await;
    let storage = connect(config(server.url())).await;
    conformance::all(async || storage.clone()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nats_passes_all_behaviours_at_once_in_one_store() {
    let server = TestServer::start().await;
    at_once(&connect(config(server.url())).await).await;
}

#[tokio::test]
async fn two_systems_on_one_server_pass_at_the_same_time_and_never_meet() {
    let server = TestServer::start().await;
    let first = connect(config(server.url())).await;
    let other = connect(second(config(server.url()))).await;
    tokio::join!(
        conformance::all(async || first.clone()),
        conformance::all(async || other.clone()),
    );
    let [one, two] = [&first, &other].map(|storage| storage.health());
    let (one, two) = tokio::join!(one, two);
    assert_eq!(one.log_messages, two.log_messages, "each has its own records and no others");
}

/// A system without the suite's data sees nothing of a system with it.
#[tokio::test]
async fn a_second_system_sees_nothing_of_the_first() {
    let server = TestServer::start().await;
    let first = connect(config(server.url())).await;
    for behaviour in conformance::together::behaviours() {
        if ["a_case_lists_the_tokens_of_its_marking"].contains(&behaviour.name) {
            (behaviour.check)(first.clone()).await;
        }
    }
    assert!(first.last_sequence().await.unwrap().is_some());
    let other = connect(second(config(server.url()))).await;
    assert_eq!(other.last_sequence().await.unwrap(), None);
    assert_eq!(other.workflow_ids().await.unwrap(), []);
    let workflow = WorkflowId::new("list-case").unwrap();
    let scope = TokenScope { workflow: workflow.clone(), place: None, case: None };
    for path in [ReadPath::Direct, ReadPath::Consumer] {
        let seen = first
            .tokens_in(&scope, ListOptions { page: Page::default(), path: Some(path) })
            .await
            .unwrap();
        let unseen = other
            .tokens_in(&scope, ListOptions { page: Page::default(), path: Some(path) })
            .await
            .unwrap();
        assert_eq!((seen.items.len(), unseen.items.len()), (15, 0));
    }
    let case = LogScope::Case(workflow, CaseId::new("a").unwrap());
    let mut none = other.history(case, LogRange::ALL).await.unwrap();
    assert!(futures::StreamExt::next(&mut none).await.is_none());
}

/// A failure that is no lost race: one token is larger than the server takes.
#[tokio::test]
async fn a_view_write_that_the_server_refuses_stops_none_of_the_others() {
    use stormpetrel::storage::{
        RegisterVersion, StorageError, ViewContent, ViewOutcome, ViewWrite, WriteOptions,
    };
    let server = TestServer::start().await;
    let storage = connect(config(server.url())).await;
    let workflow = WorkflowId::new("w").unwrap();
    let write = |number: u64, size: usize| {
        let case = CaseId::new("c").unwrap();
        let id = stormpetrel::models::TokenId::of_case(&workflow.tag(), &case, number);
        let place = crate::support::place("p");
        let token = serde_json::json!({
            "id": id, "workflow": workflow, "case": case, "place": place,
            "data": "x".repeat(size), "nats_sequence": number,
            "created_at": "2026-03-14T15:09:26Z", "updated_at": "2026-03-14T15:09:26Z"
        });
        let token = serde_json::from_value(token).unwrap();
        let content = ViewContent::Live(Arc::new(token));
        let expected = RegisterVersion::NOTHING;
        ViewWrite { workflow: workflow.clone(), case, place, token: id, expected, content }
    };
    let writes = vec![write(1, 10), write(2, 2_000_000), write(3, 10)];
    let outcomes = storage.write_views(writes, WriteOptions::default()).await;
    assert!(
        matches!(
            outcomes.as_slice(),
            [
                Ok(ViewOutcome::Written(_)),
                Err(StorageError::TooLarge { .. }),
                Ok(ViewOutcome::Written(_))
            ]
        ),
        "{outcomes:?}"
    );
}
