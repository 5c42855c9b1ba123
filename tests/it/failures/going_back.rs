//! The log loses messages: an earlier copy of it is put back, or another one stands in its
//! place.

use std::{fs, time::Duration};

use async_nats::jetstream;
use futures::StreamExt;
use serde_json::{Value, json};
use stormpetrel::{
    local_server::{LocalServerOptions, Store},
    models::{CaseId, CaseStatus, LogPosition, LogSequence},
    petrel::{Change, Error, Fire, Following, NewCase, Petrel},
    storage::LogScope,
    testing::TestServer,
};

use tokio::time::timeout;

use super::fixtures::{
    connect, eventually, faulty, impatient, move_once, operator, pendulum, stream_info, swing,
};
use crate::support::{at, case, copy_folder, orders, petrel_at, transition, workflow};

async fn generation(petrel: &Petrel) -> u64 {
    petrel.storage().generation().await.expect("a generation")
}

/// Waits until the process has another generation than `before`.
async fn changes(petrel: &Petrel, before: u64) {
    eventually("another generation", Duration::from_secs(10), async || {
        match petrel.storage().generation().await {
            Ok(now) if now != before => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
}

/// Moves the case's token so many times.
async fn moves(petrel: &Petrel, case: &CaseId, names: &[&str]) {
    for name in names {
        move_once(petrel, case, name).await;
    }
}

#[tokio::test]
async fn a_generation_stays_while_the_log_only_grows() {
    let server = TestServer::start().await;
    let (writer, reader) = (petrel_at(server.url()).await, petrel_at(server.url()).await);
    pendulum(&writer).await;
    let (case, _) = swing(&writer, "case-0").await;
    let before = (generation(&writer).await, generation(&reader).await);
    moves(&writer, &case, &["a", "b", "c"]).await;
    moves(&reader, &case, &["d", "e", "f"]).await;
    // Long enough that both look at the log again.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    moves(&writer, &case, &["g", "h"]).await;
    assert_eq!((generation(&writer).await, generation(&reader).await), before);
}

#[tokio::test]
async fn a_data_folder_that_was_put_back_is_another_generation() {
    let folder = tempfile::tempdir().unwrap();
    let (data, kept) = (folder.path().join("data"), folder.path().join("copy"));
    let options = || LocalServerOptions { store: Store::Kept(data.clone()), ..Default::default() };
    let server = TestServer::start_with(options()).await;
    let port = server.local().port();
    let petrel = connect(impatient(server.url())).await;
    pendulum(&petrel).await;
    let (case, _) = swing(&petrel, "case-0").await;
    drop(server);
    copy_folder(&data.join("jetstream"), &kept);
    let on_port = || LocalServerOptions { port: Some(port), ..options() };
    let server = TestServer::start_with(on_port()).await;
    moves(&petrel, &case, &["a", "b", "c"]).await;
    let before = generation(&petrel).await;
    drop(server);
    fs::remove_dir_all(data.join("jetstream")).unwrap();
    copy_folder(&kept, &data.join("jetstream"));
    let _server = TestServer::start_with(on_port()).await;
    changes(&petrel, before).await;
    let head = petrel.case(&workflow("pendulum"), &case).await.unwrap();
    assert_eq!(head.sequence, at(2), "the three moves are gone");
}

#[tokio::test]
async fn a_stream_that_was_made_anew_is_another_generation_on_the_same_connection() {
    let server = TestServer::start().await;
    let (seer, other) = (petrel_at(server.url()).await, petrel_at(server.url()).await);
    pendulum(&seer).await;
    let (case, _) = swing(&seer, "case-0").await;
    moves(&seer, &case, &["a"]).await;
    let before = generation(&seer).await;
    let operator = operator(server.url()).await;
    let settings = stream_info(&operator, "CB_LOG").await["config"].take();
    operator.delete_stream("CB_LOG").await.unwrap();
    let made: Value = operator.request("STREAM.CREATE.CB_LOG", &settings).await.unwrap();
    assert!(made.get("error").is_none(), "{made}");
    // It ends further on than the one before when somebody looks.
    pendulum(&other).await;
    for n in 0..4 {
        swing(&other, &format!("other-{n}")).await;
    }
    changes(&seer, before).await;
}

#[tokio::test]
async fn a_backup_that_was_restored_and_grew_is_another_generation_on_the_same_connection() {
    let server = TestServer::start().await;
    let (seer, other) = (petrel_at(server.url()).await, petrel_at(server.url()).await);
    pendulum(&seer).await;
    let (case, _) = swing(&seer, "case-0").await;
    let operator = operator(server.url()).await;
    let (snapshot, chunks) = backup(&operator, server.url(), "CB_LOG").await;
    moves(&seer, &case, &["a", "b", "c"]).await;
    let before = generation(&seer).await;
    operator.delete_stream("CB_LOG").await.unwrap();
    restore(&operator, server.url(), "CB_LOG", &snapshot, chunks).await;
    for n in 0..5 {
        swing(&other, &format!("other-{n}")).await;
    }
    changes(&seer, before).await;
}

#[tokio::test]
async fn a_subscription_to_a_log_that_went_back_ends_with_an_error_that_says_so() {
    let server = TestServer::start().await;
    let petrel = petrel_at(server.url()).await;
    pendulum(&petrel).await;
    let (case, _) = swing(&petrel, "case-0").await;
    let operator = operator(server.url()).await;
    let (snapshot, chunks) = backup(&operator, server.url(), "CB_LOG").await;
    moves(&petrel, &case, &["a", "b", "c"]).await;
    let mut seen = petrel.watch(LogScope::All, Some(LogPosition::FIRST)).await.unwrap();
    for _ in 0..4 {
        seen.next().await.unwrap().unwrap();
    }
    operator.delete_stream("CB_LOG").await.unwrap();
    restore(&operator, server.url(), "CB_LOG", &snapshot, chunks).await;
    let mut resumed =
        petrel.watch(LogScope::All, LogSequence::new(5).map(LogPosition::from)).await.unwrap();
    for feed in [&mut seen, &mut resumed] {
        let ended = timeout(Duration::from_secs(30), feed.next()).await.expect("an end");
        let error = ended.expect("an error").unwrap_err();
        assert_eq!((error.code(), error.retryable()), ("LOG_WENT_BACK", false), "{error}");
        assert!(error.to_string().contains("CB_LOG"), "{error}");
        assert!(feed.next().await.is_none());
    }
}

#[tokio::test]
async fn who_subscribes_after_the_log_went_back_is_not_told_of_it() {
    let server = TestServer::start().await;
    let petrel = petrel_at(server.url()).await;
    pendulum(&petrel).await;
    let (case, _) = swing(&petrel, "case-0").await;
    let operator = operator(server.url()).await;
    let (snapshot, chunks) = backup(&operator, server.url(), "CB_LOG").await;
    moves(&petrel, &case, &["a", "b", "c"]).await;
    let mut older = petrel.watch(LogScope::All, Some(LogPosition::FIRST)).await.unwrap();
    for _ in 0..4 {
        older.next().await.unwrap().unwrap();
    }
    let before = generation(&petrel).await;
    operator.delete_stream("CB_LOG").await.unwrap();
    restore(&operator, server.url(), "CB_LOG", &snapshot, chunks).await;
    changes(&petrel, before).await;
    // At the feed that has not found out yet.
    let mut new = petrel.watch(LogScope::All, None).await.unwrap();
    let (given, first) = tokio::join!(timeout(Duration::from_secs(30), new.next()), async {
        let ended = timeout(Duration::from_secs(30), older.next()).await.expect("an end");
        assert_eq!(ended.expect("an error").unwrap_err().code(), "LOG_WENT_BACK");
        swing(&petrel, "case-1").await
    });
    let given = given.expect("a record").expect("no end").unwrap();
    assert_eq!(given.value.case, first.0);
    let next = swing(&petrel, "case-2").await;
    assert_eq!(new.next().await.unwrap().unwrap().value.case, next.0);
}

#[tokio::test]
async fn whoever_resumes_after_more_than_there_is_learns_that_the_log_went_back() {
    let server = TestServer::start().await;
    let petrel = petrel_at(server.url()).await;
    pendulum(&petrel).await;
    swing(&petrel, "case-0").await;
    let last = petrel.storage().last_sequence().await.unwrap().map_or(0, LogSequence::get);
    let workflow = workflow("pendulum");
    for from in [last + 2, 1_000] {
        // A process of its own, which shares no feed with anybody.
        let other = petrel_at(server.url()).await;
        let watching = other.watch(
            LogScope::Workflow(workflow.clone()),
            LogSequence::new(from).map(LogPosition::from),
        );
        let ended = timeout(Duration::from_secs(30), watching).await.expect("an end");
        let error = ended.err().expect("an error");
        assert_eq!(error.code(), "LOG_WENT_BACK", "{error}");
    }
    let mut next = petrel
        .watch(LogScope::Workflow(workflow), LogSequence::new(last + 1).map(LogPosition::from))
        .await
        .unwrap();
    swing(&petrel, "case-1").await;
    assert_eq!(next.next().await.unwrap().unwrap().sequence, at(last + 1));
}

#[tokio::test]
async fn an_append_at_a_sequence_that_was_seen_is_another_generation_at_once() {
    let server = TestServer::start().await;
    let petrel = petrel_at(server.url()).await;
    pendulum(&petrel).await;
    let (case, _) = swing(&petrel, "case-0").await;
    let operator = operator(server.url()).await;
    let (snapshot, chunks) = backup(&operator, server.url(), "CB_LOG").await;
    for n in 0..3 {
        swing(&petrel, &format!("lost-{n}")).await;
    }
    operator.delete_stream("CB_LOG").await.unwrap();
    let before = generation(&petrel).await;
    restore(&operator, server.url(), "CB_LOG", &snapshot, chunks).await;
    let go = Fire::case(workflow("pendulum"), case, transition("go"));
    let changed = petrel.fire(go).await.unwrap();
    assert!(changed.record.sequence <= at(5), "{}", changed.record.sequence);
    assert_ne!(generation(&petrel).await, before);
}

/// A stream's backup, as `nats stream backup` takes it: the server's description of it, and
/// its chunks.
async fn backup(
    operator: &jetstream::Context,
    url: String,
    stream: &str,
) -> (Value, Vec<bytes::Bytes>) {
    let client = async_nats::connect(url).await.unwrap();
    let inbox = client.new_inbox();
    let mut sent = client.subscribe(inbox.clone()).await.unwrap();
    let request = json!({ "deliver_subject": inbox, "chunk_size": 65_536 });
    let snapshot: Value =
        operator.request(format!("STREAM.SNAPSHOT.{stream}"), &request).await.unwrap();
    assert!(snapshot.get("error").is_none(), "{snapshot}");
    let mut chunks = Vec::new();
    while let Some(chunk) = sent.next().await {
        if let Some(reply) = chunk.reply {
            client.publish(reply, "".into()).await.unwrap();
        }
        if chunk.payload.is_empty() {
            break;
        }
        chunks.push(chunk.payload);
    }
    (snapshot, chunks)
}

/// Makes a stream from its backup, as `nats stream restore` does.
async fn restore(
    operator: &jetstream::Context,
    url: String,
    stream: &str,
    snapshot: &Value,
    chunks: Vec<bytes::Bytes>,
) {
    let client = async_nats::connect(url).await.unwrap();
    let request = json!({ "config": snapshot["config"], "state": snapshot["state"] });
    let answer: Value =
        operator.request(format!("STREAM.RESTORE.{stream}"), &request).await.unwrap();
    let to = answer["deliver_subject"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
    for chunk in chunks.into_iter().chain([bytes::Bytes::new()]) {
        let answer = client.request(to.clone(), chunk).await.unwrap();
        let text = String::from_utf8_lossy(&answer.payload);
        assert!(!text.contains("\"error\""), "{text}");
    }
}

/// A case that is begun at the moment that the log goes back to an empty one, in which `store`
/// has then stored its own.
async fn begun_late(
    server: &TestServer,
    store: impl AsyncFnOnce(&Petrel),
) -> (Petrel, Petrel, Error) {
    let other = petrel_at(server.url()).await;
    let (storage, petrel) = faulty(server.url()).await;
    pendulum(&petrel).await;
    for n in 0..6 {
        swing(&petrel, &format!("case-{n}")).await;
    }
    storage.hold_appends(true);
    let begun = {
        let petrel = petrel.clone();
        let new = NewCase { case: Some(case("late")), ..NewCase::of(workflow("pendulum")) };
        tokio::spawn(async move { petrel.create_case(new).await })
    };
    storage.until_append_held().await;
    let operator = operator(server.url()).await;
    let settings = stream_info(&operator, "CB_LOG").await["config"].take();
    operator.delete_stream("CB_LOG").await.unwrap();
    let made: Value = operator.request("STREAM.CREATE.CB_LOG", &settings).await.unwrap();
    assert!(made.get("error").is_none(), "{made}");
    store(&other).await;
    storage.hold_appends(false);
    let error = begun.await.unwrap().unwrap_err();
    assert_eq!(error.code(), "CORRUPT", "{error}");
    assert!(error.to_string().contains("definition 1"), "{error}");
    (petrel, other, error)
}

#[tokio::test]
async fn a_case_never_names_a_definition_that_another_log_had() {
    let server = TestServer::start().await;
    let (petrel, other, error) = begun_late(&server, async |other| {
        other.create_workflow(orders(), Default::default()).await.unwrap();
    })
    .await;
    assert!(error.to_string().contains("petrel case quarantine"), "{error}");
    // What was begun without its workflow is put aside, before that is there again.
    let id = workflow("pendulum");
    let done = other.quarantine(&id, &case("late"), Following::Refuse, Change::default()).await;
    assert_eq!(done.unwrap().case.status, CaseStatus::Cancelled);
    pendulum(&other).await;
    let read = petrel_at(server.url()).await.case(&id, &case("late")).await.unwrap();
    assert_eq!((read.status, read.tokens.len()), (CaseStatus::Cancelled, 0));
    let none = other.quarantine(&id, &case("none"), Following::Refuse, Change::default()).await;
    assert_eq!(none.unwrap_err().code(), "NOT_FOUND");
    let fresh = petrel.create_case(NewCase::of(workflow("pendulum"))).await.unwrap();
    assert_ne!(fresh.case.definition, LogSequence::FIRST);
}

#[tokio::test]
async fn a_case_that_is_begun_while_the_log_changes_all_the_time_is_told_so() {
    let server = TestServer::start().await;
    let (storage, petrel) = faulty(server.url()).await;
    pendulum(&petrel).await;
    storage.change_generations();
    let error = petrel.create_case(NewCase::of(workflow("pendulum"))).await.unwrap_err();
    assert!(error.retryable(), "{error}");
    assert!(error.to_string().contains("the log went back"), "{error}");
    assert!(!error.to_string().contains("others change"), "{error}");
}

#[tokio::test]
async fn a_case_that_was_begun_with_another_version_can_be_cancelled_as_its_error_says() {
    let server = TestServer::start().await;
    let (petrel, other, error) = begun_late(&server, async |other| {
        let mut another = orders();
        another.id = workflow("pendulum");
        other.create_workflow(another, Default::default()).await.unwrap();
    })
    .await;
    assert!(error.to_string().contains("cancel the case"), "{error}");
    let id = workflow("pendulum");
    for process in [&petrel, &other] {
        process.cancel(&id, &case("late"), Change::default()).await.unwrap();
        let read = process.case(&id, &case("late")).await.unwrap();
        assert_eq!((read.status, read.tokens.len()), (CaseStatus::Cancelled, 0));
        process.create_case(NewCase::of(workflow("pendulum"))).await.unwrap();
    }
}
