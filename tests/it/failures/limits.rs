//! A limit of the server or of a stream is reached.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use stormpetrel::{
    engine::Excess,
    local_server::LocalServerOptions,
    models::CaseStatus,
    petrel::{Change, Error, ExpectedVersion, Fire, Lookup, NewCase, Petrel},
    storage::{Consistency, Page, StorageError, TokenScope, nats::NatsStorageConfig},
    testing::TestServer,
};

use super::fixtures::{
    Reconciler, connect, edit_stream, eventually, faulty, in_view, last_sequence, operator,
    pendulum, swing, view_is_the_log,
};
use crate::support::{begin, case, config, definition, petrel_at, place, transition, workflow};

fn text(bytes: usize) -> Value {
    json!({ "text": "x".repeat(bytes) })
}

fn order(id: &str, data: Value) -> NewCase {
    NewCase { case: Some(case(id)), data, ..NewCase::of(workflow("orders")) }
}

/// Checks that an error says that nothing is stored, without many tries before it.
fn is_full(error: &Error, begun: Instant) {
    let Error::Storage(StorageError::Full { stream, .. }) = error else { panic!("{error}") };
    assert_eq!((stream.as_str(), error.code()), ("CB_LOG", "STORAGE_FULL"));
    assert!(!error.retryable());
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}

async fn has_no(petrel: &Petrel, id: &str) {
    let missing = petrel.case(&workflow("orders"), &case(id)).await;
    assert!(matches!(missing, Err(Error::NotFound(Lookup::Case(_)))), "{missing:?}");
}

/// Begins cases until the log takes no more; returns their number.
async fn fill(petrel: &Petrel) -> usize {
    for number in 0..200 {
        let begun = Instant::now();
        if let Err(error) = petrel.create_case(order(&format!("order-{number}"), text(8_000))).await
        {
            is_full(&error, begun);
            return number;
        }
    }
    panic!("200 cases did not fill the log");
}

async fn a_full_log_changes_nothing(server: &TestServer, petrel: &Petrel) -> usize {
    let (_, token) = begin(petrel, json!({})).await;
    let filled = fill(petrel).await;
    assert!(filled > 2);
    let operator = operator(server.url()).await;
    let (last, view) = (last_sequence(&operator, "CB_LOG").await, in_view(petrel).await.unwrap());
    has_no(petrel, &format!("order-{filled}")).await;
    let mut fire = Fire::token(token.clone(), transition("submit"));
    fire.data = Some(text(8_000));
    let begun = Instant::now();
    is_full(&petrel.fire(fire).await.unwrap_err(), begun);
    let begun = Instant::now();
    let patch = petrel.update_token_data(None, &token, text(8_000), Change::default()).await;
    is_full(&patch.unwrap_err(), begun);
    for consistency in [Consistency::Strong, Consistency::Eventual] {
        let unmoved = petrel.token(None, &token, consistency).await.unwrap();
        assert_eq!(unmoved.place, place("draft"));
    }
    assert_eq!(last_sequence(&operator, "CB_LOG").await, last, "something was stored");
    assert_eq!(in_view(petrel).await.unwrap(), view);
    filled
}

#[tokio::test]
async fn a_log_of_limited_size_refuses_until_the_limit_is_raised() {
    let server = TestServer::start().await;
    let limited = |bytes| NatsStorageConfig { log_max_bytes: Some(bytes), ..config(server.url()) };
    let petrel = connect(limited(120_000)).await;
    let filled = a_full_log_changes_nothing(&server, &petrel).await;
    // Another process is started with a higher limit; this one goes on.
    let raised = connect(limited(1_000_000)).await;
    for petrel in [&petrel, &raised] {
        let first = petrel.create_case(order(&format!("order-{filled}"), text(8_000))).await;
        first.unwrap();
    }
    view_is_the_log(&petrel).await.unwrap();
    // A limit below what the log has is refused, and the log is as it was.
    let error = connect_error(limited(50_000)).await;
    assert!(error.to_string().contains("max_bytes"), "{error}");
    raised.create_case(order("after", text(8_000))).await.unwrap();
}

async fn connect_error(config: NatsStorageConfig) -> StorageError {
    stormpetrel::storage::nats::NatsStorage::connect(config).await.unwrap_err()
}

#[tokio::test]
async fn a_log_with_a_number_of_messages_refuses_until_the_limit_is_raised() {
    let server = TestServer::start().await;
    let petrel = petrel_at(server.url()).await;
    let operator = operator(server.url()).await;
    edit_stream(&operator, "CB_LOG", json!({"max_msgs": 8})).await;
    let filled = a_full_log_changes_nothing(&server, &petrel).await;
    edit_stream(&operator, "CB_LOG", json!({"max_msgs": -1})).await;
    petrel.create_case(order(&format!("order-{filled}"), text(8_000))).await.unwrap();
    view_is_the_log(&petrel).await.unwrap();
}

#[tokio::test]
async fn a_server_without_room_refuses_and_serves_what_it_has() {
    let options = LocalServerOptions { max_file_store: Some(300_000), ..Default::default() };
    let server = TestServer::start_with(options).await;
    let petrel = petrel_at(server.url()).await;
    let filled = a_full_log_changes_nothing(&server, &petrel).await;
    for number in 0..filled {
        let id = case(&format!("order-{number}"));
        let there = petrel.case(&workflow("orders"), &id).await.unwrap();
        let token = there.live_tokens().next().unwrap();
        // The view may have been what did not fit any more.
        petrel.token(None, &token.id, Consistency::Eventual).await.unwrap();
    }
}

#[tokio::test]
async fn views_that_found_no_room_are_mended_when_there_is_some_again() {
    let server = TestServer::start().await;
    let (storage, petrel) = faulty(server.url()).await;
    pendulum(&petrel).await;
    let (_, token) = swing(&petrel, "a").await;
    let operator = operator(server.url()).await;
    edit_stream(&operator, "CB_MARKING", json!({"max_msgs": 1, "discard": "new"})).await;
    let _reconciler = Reconciler::of(&petrel);
    petrel.fire(Fire::token(token.clone(), transition("go"))).await.unwrap();
    let strong = petrel.token(None, &token, Consistency::Strong).await.unwrap();
    assert_eq!(strong.place, place("there"), "the log has room");
    assert!(view_is_the_log(&petrel).await.is_err(), "the view must be full for this test");
    let error = petrel.reconcile_after(None).await.unwrap_err();
    assert_eq!(error.code(), "STORAGE_FULL", "{error}");
    // The reconciler too comes to it and fails; it must not take that for done.
    let tried = tokio::time::timeout(Duration::from_secs(15), storage.until_more_view_writes(2));
    tried.await.expect("the reconciler tries");
    edit_stream(&operator, "CB_MARKING", json!({"max_msgs": -1, "discard": "old"})).await;
    let within = Duration::from_secs(10);
    eventually("mended views", within, async || view_is_the_log(&petrel).await).await;
}

fn is_too_large(error: &Error) {
    let (size, limit) = match error {
        Error::Storage(StorageError::TooLarge { size, limit, .. }) => (size, limit),
        Error::Excess(Excess::Size { size, limit, .. }) => (size, limit),
        _ => panic!("{error}"),
    };
    // Of which the names of fields, headers and a reserve for longer ids are taken off.
    assert!((12_000..=16_384).contains(limit) && size > limit, "{error}");
    assert_eq!((error.code(), error.retryable()), ("TOO_LARGE", false));
}

#[tokio::test]
async fn a_payload_over_the_servers_limit_is_refused_before_anything_is_stored() {
    let options = LocalServerOptions { max_payload: Some(16_384), ..Default::default() };
    let server = TestServer::start_with(options).await;
    let petrel = petrel_at(server.url()).await;
    let (begun, token) = begin(&petrel, text(10_000)).await;
    let operator = operator(server.url()).await;
    let streams = async || {
        (last_sequence(&operator, "CB_LOG").await, last_sequence(&operator, "CB_MARKING").await)
    };
    let before = streams().await;
    is_too_large(&petrel.create_case(order("big", text(20_000))).await.unwrap_err());
    has_no(&petrel, "big").await;
    // It becomes too large by what is added to it.
    let more = json!({ "more": "y".repeat(10_000) });
    let mut fire = Fire::token(token.clone(), transition("submit"));
    fire.data = Some(more.clone());
    is_too_large(&petrel.fire(fire).await.unwrap_err());
    let patch = petrel.update_token_data(None, &token, more, Change::default()).await;
    is_too_large(&patch.unwrap_err());
    let wide = json!({"id": "wide", "initial_place": "a", "description": "z".repeat(20_000),
        "places": [{"id": "a"}]});
    let wide = petrel.create_workflow(definition(wide), ExpectedVersion::Any).await;
    is_too_large(&wide.unwrap_err());
    assert_eq!(streams().await, before, "something was stored");

    // The case is as it was, and goes on.
    petrel.fire(Fire::token(token.clone(), transition("submit"))).await.unwrap();
    view_is_the_log(&petrel).await.unwrap();
    let id = &begun.case.id;
    let cancelled = petrel.cancel(&workflow("orders"), id, Change::default()).await.unwrap();
    assert_eq!(cancelled.case.status, CaseStatus::Cancelled);
    let all = TokenScope { workflow: workflow("orders"), place: None, case: None };
    assert!(petrel.tokens(&all, Page::default()).await.unwrap().items.is_empty());
}

#[tokio::test]
async fn a_stream_with_a_limit_of_its_own_for_messages_is_named_and_mended_by_a_start() {
    let server = TestServer::start().await;
    let petrel = petrel_at(server.url()).await;
    begin(&petrel, json!({})).await;
    let operator = operator(server.url()).await;
    edit_stream(&operator, "CB_LOG", json!({"max_msg_size": 1_000})).await;
    let error = petrel.create_case(order("big", text(2_000))).await.unwrap_err();
    let told = error.to_string();
    assert!(told.contains("CB_LOG") && told.contains("max_msg_size"), "{told}");
    assert!(!error.retryable());
    has_no(&petrel, "big").await;
    petrel_at(server.url()).await;
    petrel.create_case(order("big", text(2_000))).await.unwrap();
}
