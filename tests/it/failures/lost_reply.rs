//! The append happened, and its answer was lost.

use std::time::Duration;

use serde_json::{Map, json};
use stormpetrel::{
    models::{CaseId, FiringId, RecordKind},
    petrel::{Change, Changed, Error, Fire, NewCase, NewToken, Petrel},
    storage::{Consistency, StorageError},
    testing::{FaultProxy, TestServer},
};

use super::fixtures::{connect, eventually, faulty, fire_once, impatient, log_of, view_is_the_log};
use crate::support::{begin, case, petrel_at, place, transition, workflow};

/// A client behind a proxy, and another one that reaches the server directly.
struct Behind {
    proxy: FaultProxy,
    cut_off: Petrel,
    direct: Petrel,
    _server: TestServer,
}

impl Behind {
    async fn start() -> Self {
        let server = TestServer::start().await;
        let proxy = FaultProxy::start(server.address()).await;
        let cut_off = connect(impatient(proxy.url())).await;
        let direct = petrel_at(server.url()).await;
        Self { proxy, cut_off, direct, _server: server }
    }

    /// Answers get through again, on a new connection.
    async fn restore(&self) {
        self.proxy.cut().await;
        self.proxy.pass_replies();
        self.proxy.restore();
    }

    async fn has_records(&self, case: &CaseId, count: usize) {
        eventually("the record is in the log", Duration::from_secs(10), async || {
            let log = log_of(&self.direct, &workflow("orders"), case).await;
            if log.len() == count { Ok(()) } else { Err(format!("{} records", log.len())) }
        })
        .await;
    }
}

/// Asks again as long as the answer is that the server does not answer.
async fn until_answered(mut ask: impl AsyncFnMut() -> Result<Changed, Error>) -> Changed {
    eventually("an answer", Duration::from_secs(20), async || match ask().await {
        Err(error) if !error.retryable() => panic!("{error}"),
        other => other,
    })
    .await
}

fn unanswered(result: &Result<Changed, Error>) -> bool {
    matches!(result, Err(Error::Storage(StorageError::Unavailable { .. })))
}

#[tokio::test]
async fn a_firing_whose_answer_was_lost_is_recognised_by_its_id_and_shown_at_once() {
    let behind = Behind::start().await;
    let (begun, token) = begin(&behind.cut_off, json!({})).await;
    // With this it knows the ids in the log, and its next request is an append.
    let first = fire_once(Fire::token(token.clone(), transition("submit")), "first");
    behind.cut_off.fire(first).await.unwrap();
    let fire = || fire_once(Fire::token(token.clone(), transition("reject")), "once");
    behind.proxy.drop_replies();
    let first = behind.cut_off.fire(fire()).await;
    assert!(unanswered(&first), "{first:?}");
    behind.has_records(&begun.case.id, 3).await;
    behind.restore().await;

    let again = until_answered(async || behind.cut_off.fire(fire()).await).await;
    assert!(again.repeated);
    assert_eq!(again.tokens[0].place, place("draft"));
    behind.has_records(&begun.case.id, 3).await;
    // The call has returned, so readers see what it did.
    let read = behind.cut_off.token(None, &token, Consistency::Eventual).await.unwrap();
    assert_eq!(read.place, place("draft"));
    view_is_the_log(&behind.direct).await.unwrap();
}

#[tokio::test]
async fn another_process_recognises_the_firing_id_too() {
    let behind = Behind::start().await;
    let (begun, token) = begin(&behind.cut_off, json!({})).await;
    // With this it knows the ids in the log, and its next request is an append.
    let first = fire_once(Fire::token(token.clone(), transition("submit")), "first");
    behind.cut_off.fire(first).await.unwrap();
    let fire = || fire_once(Fire::token(token.clone(), transition("reject")), "once");
    behind.proxy.drop_replies();
    assert!(unanswered(&behind.cut_off.fire(fire()).await));
    behind.has_records(&begun.case.id, 3).await;

    let again = behind.direct.fire(fire()).await.unwrap();
    assert!(again.repeated);
    behind.has_records(&begun.case.id, 3).await;
    view_is_the_log(&behind.direct).await.unwrap();
}

#[tokio::test]
async fn one_call_recognises_its_own_append_without_a_firing_id() {
    let server = TestServer::start().await;
    let (storage, petrel) = faulty(server.url()).await;
    let (begun, token) = begin(&petrel, json!({"amount": 1})).await;
    storage.lose_append_answers(true);
    let moved = petrel.fire(Fire::token(token.clone(), transition("submit"))).await.unwrap();
    assert_eq!(moved.tokens[0].place, place("review"));
    let patched = petrel.update_token_data(None, &token, json!({"amount": 2}), Change::default());
    assert_eq!(patched.await.unwrap().tokens[0].data, json!({"amount": 2}));
    let created = petrel.create_case(NewCase::of(workflow("orders"))).await.unwrap();
    assert_eq!(created.tokens[0].place, place("draft"));
    petrel.pause(&workflow("orders"), &begun.case.id, Change::default()).await.unwrap();

    let log = log_of(&petrel, &workflow("orders"), &begun.case.id).await;
    let kinds: Vec<_> = log.iter().map(|record| record.value.kind).collect();
    use RecordKind::{Created, Edited, Fired, Paused};
    assert_eq!(kinds, [Created, Fired, Edited, Paused]);
    assert_eq!(log_of(&petrel, &workflow("orders"), &created.case.id).await.len(), 1);
    view_is_the_log(&petrel).await.unwrap();
}

#[tokio::test]
async fn a_case_and_a_token_that_were_created_unseen_are_not_created_again() {
    let server = TestServer::start().await;
    let (storage, petrel) = faulty(server.url()).await;
    begin(&petrel, json!({})).await;
    let id = case("order-1");
    let new = || NewCase { case: Some(case("order-1")), ..NewCase::of(workflow("orders")) };
    storage.break_after_append();
    assert!(unanswered(&petrel.create_case(new()).await));
    storage.restore();
    let created = petrel.create_case(new()).await.unwrap();
    assert!(created.repeated);
    assert_eq!(created.tokens[0].place, place("draft"));
    assert_eq!(log_of(&petrel, &workflow("orders"), &id).await.len(), 1);
    view_is_the_log(&petrel).await.unwrap();

    let firing = FiringId::new("second-token").unwrap();
    let token = || NewToken {
        workflow: workflow("orders"),
        case: case("order-1"),
        place: Some(place("review")),
        data: json!({}),
        metadata: Map::new(),
        change: Change { firing: Some(firing.clone()), ..Change::default() },
    };
    storage.break_after_append();
    assert!(unanswered(&petrel.create_token(token()).await));
    storage.restore();
    // The retry may come from anywhere.
    let other = petrel_at(server.url()).await;
    let added = other.create_token(token()).await.unwrap();
    assert!(added.repeated && petrel.create_token(token()).await.unwrap().repeated);
    assert_eq!(added.tokens[0].place, place("review"));
    assert_eq!(log_of(&petrel, &workflow("orders"), &id).await.len(), 2);
    assert_eq!(petrel.case(&workflow("orders"), &id).await.unwrap().tokens.len(), 2);
    view_is_the_log(&petrel).await.unwrap();
}

#[tokio::test]
async fn a_repeated_creation_answers_with_the_token_of_the_beginning() {
    let server = TestServer::start().await;
    let petrel = petrel_at(server.url()).await;
    begin(&petrel, json!({})).await;
    let new = || NewCase { case: Some(case("order-1")), ..NewCase::of(workflow("orders")) };
    let first = petrel.create_case(new()).await.unwrap();
    petrel.pause(&workflow("orders"), &case("order-1"), Change::default()).await.unwrap();
    let again = petrel.create_case(new()).await.unwrap();
    assert!(again.repeated);
    assert_eq!(again.record.sequence, first.record.sequence);
    assert_eq!(again.tokens[0].id, first.tokens[0].id);
    assert_eq!(again.case.sequence, first.case.sequence.next());
}
