//! An operator deletes a stream while the system runs.

use std::{
    fmt::Debug,
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use serde_json::json;
use stormpetrel::{
    models::{CaseId, TokenId},
    petrel::{Change, Error, ExpectedVersion, Fire, NewCase, Petrel},
    storage::{
        Consistency, LogScope, Page, StorageError, TokenScope,
        nats::{NatsStorage, NatsStorageConfig},
    },
    testing::TestServer,
};

use super::{
    before_disk::{PATIENCE, fill, persist_mode},
    fixtures::{connect, eventually, fire_once, operator, pendulum, view_is_the_log},
    looking::run,
};
use crate::{
    program::{Program, program},
    support::{begin, case, config, orders, petrel_at, transition, workflow},
};

/// Checks that a call fails at once, and names the stream that is missing.
async fn names<T: Debug>(missing: &str, call: impl Future<Output = Result<T, Error>>) {
    let begun = Instant::now();
    let error = call.await.unwrap_err();
    let Error::Storage(StorageError::Stream { stream, .. }) = &error else { panic!("{error}") };
    assert_eq!((stream.as_str(), error.code()), (missing, "MISCONFIGURED"));
    assert!(!error.retryable());
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}

async fn every_call_names_the_log(petrel: &Petrel, case: &CaseId, token: &TokenId) {
    let orders_id = workflow("orders");
    let log = "CB_LOG";
    let fire = Fire::token(token.clone(), transition("submit"));
    names(log, petrel.fire(fire)).await;
    names(log, petrel.create_case(NewCase::of(orders_id.clone()))).await;
    names(log, petrel.pause(&orders_id, case, Change::default())).await;
    names(log, petrel.create_workflow(orders(), ExpectedVersion::Any)).await;
    names(log, petrel.token(None, token, Consistency::Strong)).await;
    names(log, petrel.case(&orders_id, case)).await;
    names(log, petrel.cases(&orders_id, None, Page::default())).await;
    names(log, petrel.history(&orders_id, case, Page::default())).await;
    names(log, petrel.workflow(&orders_id)).await;
    names(log, petrel.workflows(10, None)).await;
    names(log, petrel.reconcile_after(None)).await;
    names(log, petrel.rebuild(&|_, _| ())).await;
    assert!(!petrel.health().await.connected);
}

#[tokio::test]
async fn without_the_log_nothing_is_denied_or_stored_and_the_stream_is_named() {
    let server = TestServer::start().await;
    let petrel = petrel_at(server.url()).await;
    let (begun, token) = begin(&petrel, json!({})).await;
    let operator = operator(server.url()).await;
    operator.delete_stream("CB_LOG").await.unwrap();
    // Often enough to open a circuit breaker, which this must not do.
    for _ in 0..3 {
        every_call_names_the_log(&petrel, &begun.case.id, &token).await;
    }
    let orders_id = workflow("orders");
    let seen = petrel.token(Some(&orders_id), &token, Consistency::Eventual).await.unwrap();
    assert_eq!(seen.id, token, "the view is still there to be read");
    assert_eq!(operator.get_stream("CB_MARKING").await.unwrap().cached_info().state.messages, 1);

    // Nobody makes an empty one beside what is left of it.
    let lost = NatsStorage::connect(config(server.url())).await.unwrap_err().to_string();
    assert!(lost.contains("were lost") && lost.contains("CB_MARKING"), "{lost}");
    assert!(operator.get_stream("CB_LOG").await.is_err());
}

#[tokio::test]
async fn without_the_view_changes_go_on_and_a_restart_with_a_rebuild_brings_it_back() {
    let server = TestServer::start().await;
    let petrel = petrel_at(server.url()).await;
    let (begun, token) = begin(&petrel, json!({})).await;
    let operator = operator(server.url()).await;
    operator.delete_stream("CB_MARKING").await.unwrap();
    for name in ["submit", "reject", "submit"] {
        petrel.fire(Fire::token(token.clone(), transition(name))).await.unwrap();
    }
    let strong = petrel.token(None, &token, Consistency::Strong).await.unwrap();
    assert_eq!(strong.history_total, 3);
    let scope = TokenScope { workflow: workflow("orders"), place: None, case: None };
    names("CB_MARKING", petrel.tokens(&scope, Page::default())).await;
    names("CB_MARKING", petrel.token(None, &token, Consistency::Eventual)).await;
    names("CB_MARKING", petrel.rebuild(&|_, _| ())).await;
    let health = petrel.health().await;
    assert!(!health.connected && health.problem.is_some(), "{health:?}");

    let restarted = petrel_at(server.url()).await;
    let rebuilt = restarted.rebuild(&|_, _| ()).await.unwrap();
    assert_eq!((rebuilt.mended, rebuilt.failed), (1, 0));
    for petrel in [&petrel, &restarted] {
        assert_eq!(view_is_the_log(petrel).await.unwrap().len(), 1);
    }
    let id = &begun.case.id;
    let log = LogScope::Case(workflow("orders"), id.clone());
    drop(petrel.watch(log, None).await.unwrap());
    petrel.fire(Fire::token(token, transition("reject"))).await.unwrap();
    view_is_the_log(&restarted).await.unwrap();
}

/// `petrel serve`, once it is ready.
async fn serve(url: &str) -> Program {
    let mut serve = program();
    serve.args(["--json", "serve", "--listen", "127.0.0.1:0", "--nats-url", url]);
    let mut serve = Program::start(serve);
    serve.json().await;
    serve
}

#[tokio::test]
async fn a_view_on_disk_is_brought_over_while_changes_go_on() {
    let server = TestServer::start().await;
    let on_disk = connect(NatsStorageConfig { view_on_disk: true, ..config(server.url()) }).await;
    pendulum(&on_disk).await;
    fill(&on_disk, "case", 300).await;
    let doctor = async || String::from_utf8(run(&server.url(), &["doctor"]).await.stdout).unwrap();
    assert!(doctor().await.contains("nats stream rm CB_MARKING"), "{}", doctor().await);
    let mut serve = serve(&server.url()).await;
    // One knows the cases, and one has yet to read them.
    let (other, fired) = (connect(config(server.url())).await, AtomicUsize::new(0));
    let changes = async {
        for number in 0..600 {
            let petrel = if number % 3 == 0 { &other } else { &on_disk };
            let (id, steps) = (case(&format!("case-{}", number % 300)), number / 300);
            let fire = Fire::case(workflow("pendulum"), id, transition(["go", "return"][steps]));
            let fire = match number % 2 {
                0 => fire_once(fire, &format!("firing-{number}")),
                _ => fire,
            };
            assert!(!petrel.fire(fire).await.unwrap().repeated);
            fired.store(number + 1, Ordering::Relaxed);
        }
    };
    let rm = async {
        eventually("changes that go on", PATIENCE, async || {
            if fired.load(Ordering::Relaxed) > 100 { Ok(()) } else { Err("not yet") }
        })
        .await;
        operator(server.url()).await.delete_stream("CB_MARKING").await.unwrap();
        fired.load(Ordering::Relaxed)
    };
    let ((), before) = tokio::join!(changes, rm);
    assert!(before < 600, "all changes were over");
    serve.logs("it has been filled").await;
    eventually("a view that is right", PATIENCE, async || view_is_the_log(&other).await).await;
    assert_eq!(persist_mode(server.url()).await, "async");
    let after = doctor().await;
    assert!(after.contains("marking stream") && !after.contains("nats stream rm"), "{after}");
    serve.terminate().await;
}

#[tokio::test]
async fn a_view_that_another_process_has_filled_meanwhile_is_not_filled_again() {
    let server = TestServer::start().await;
    let petrel = petrel_at(server.url()).await;
    pendulum(&petrel).await;
    fill(&petrel, "case", 10_000).await;
    let (mut first, mut second) = (serve(&server.url()).await, serve(&server.url()).await);
    second.suspend();
    operator(server.url()).await.delete_stream("CB_MARKING").await.unwrap();
    first.logs("it is being filled").await;
    first.suspend();
    second.resume();
    second.logs("it has been filled").await;
    first.resume();
    first.logs("another process has filled it").await;
    view_is_the_log(&petrel).await.unwrap();
    for serve in [first, second] {
        let (_, errors) = serve.terminate().await;
        assert_eq!(errors.matches("is being filled").count(), 1, "{errors}");
        assert!(!errors.contains("started again"), "{errors}");
    }
}
