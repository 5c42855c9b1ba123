//! The ways of backing up and restoring that `docs/backup.md` has.

use std::{fs, time::Duration};

use async_nats::Client;
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use serde_json::{Value, json};
use stormpetrel::{
    audit::{AuditScope, AuditWatcher, Finding},
    models::{Record, Stored},
    petrel::{Fire, NewCase, Petrel},
    testing::TestServer,
};

use crate::{
    failures::fixtures::{eventually, log_of, view_is_the_log},
    support::{begin, case, copy_folder, petrel_at, transition, workflow},
};

/// Longest time for a client to connect again.
const RECONNECTED: Duration = Duration::from_secs(20);

struct Silent;

impl AuditWatcher for Silent {
    fn found(&self, finding: Finding) {
        panic!("{finding:?}");
    }

    fn unchecked(&self, reason: &str) {
        panic!("{reason}");
    }

    fn noted(&self, notice: &str) {
        panic!("{notice}");
    }

    fn progress(&self, _: u64, _: u64) {}
}

async fn is_whole(petrel: &Petrel) {
    let scope = AuditScope { replay: true, ..AuditScope::default() };
    petrel.audit(&scope, &Silent).await.unwrap();
    view_is_the_log(petrel).await.unwrap();
}

/// Orders that have been submitted: `count` of them, numbered from `from`.
async fn orders(petrel: &Petrel, from: usize, count: usize) {
    begin(petrel, json!({})).await;
    for number in from..from + count {
        let id = case(&format!("order-{number}"));
        let new = NewCase { case: Some(id.clone()), ..NewCase::of(workflow("orders")) };
        petrel.create_case(new).await.unwrap();
        petrel.fire(Fire::case(workflow("orders"), id, transition("submit"))).await.unwrap();
    }
}

async fn log(petrel: &Petrel, count: usize) -> Vec<Stored<Record>> {
    let mut log = Vec::new();
    for number in 0..count {
        let id = case(&format!("order-{number}"));
        log.extend(log_of(petrel, &workflow("orders"), &id).await);
    }
    log
}

async fn call(client: &Client, subject: &str, body: Value) -> Value {
    let body = if body.is_null() { Bytes::new() } else { body.to_string().into() };
    let answer = client.request(subject.to_owned(), body).await.unwrap();
    let answer: Value = serde_json::from_slice(&answer.payload).unwrap();
    assert_eq!(answer.get("error"), None, "{answer}");
    answer
}

/// Does the work of `nats stream backup`: returns the stream's settings and state, and its
/// snapshot.
async fn backup(client: &Client, stream: &str) -> (Value, Bytes) {
    let inbox = client.new_inbox();
    let mut chunks = client.subscribe(inbox.clone()).await.unwrap();
    let request = json!({"deliver_subject": inbox, "no_consumers": true, "chunk_size": 65_536});
    let about = call(client, &format!("$JS.API.STREAM.SNAPSHOT.{stream}"), request).await;
    let mut snapshot = BytesMut::new();
    loop {
        let chunk = chunks.next().await.unwrap();
        if chunk.payload.is_empty() {
            return (about, snapshot.freeze());
        }
        snapshot.extend_from_slice(&chunk.payload);
        if let Some(reply) = chunk.reply {
            client.publish(reply, Bytes::new()).await.unwrap();
        }
    }
}

/// Does the work of `nats stream restore`.
async fn restore(client: &Client, stream: &str, (about, snapshot): &(Value, Bytes)) {
    let request = json!({"config": about["config"], "state": about["state"]});
    let begun = call(client, &format!("$JS.API.STREAM.RESTORE.{stream}"), request).await;
    let to = begun["deliver_subject"].as_str().unwrap().to_owned();
    for chunk in snapshot.chunks(65_536) {
        client.request(to.clone(), Bytes::copy_from_slice(chunk)).await.unwrap();
    }
    let restored = client.request(to, Bytes::new()).await.unwrap();
    let restored: Value = serde_json::from_slice(&restored.payload).unwrap();
    assert_eq!(restored.get("error"), None, "{restored}");
}

#[tokio::test]
async fn a_snapshot_of_the_log_alone_brings_everything_back() {
    let server = TestServer::start().await;
    let cases = petrel_at(server.url()).await;
    orders(&cases, 0, 20).await;
    let client = async_nats::connect(server.url()).await.unwrap();
    // Somebody goes on writing while it is made.
    let (kept, ()) = tokio::join!(backup(&client, "CB_LOG"), orders(&cases, 20, 10));
    let before = log(&cases, 20).await;

    let elsewhere = TestServer::start().await;
    let client = async_nats::connect(elsewhere.url()).await.unwrap();
    restore(&client, "CB_LOG", &kept).await;
    let restored = petrel_at(elsewhere.url()).await;
    assert_eq!(log(&restored, 20).await, before, "sequences, times and bytes are as they were");
    let rebuilt = restored.rebuild(&|_, _| ()).await.unwrap();
    assert!(rebuilt.mended > 20 && rebuilt.failed == 0, "{rebuilt:?}");
    is_whole(&restored).await;
    orders(&restored, 40, 3).await;
    is_whole(&restored).await;
}

/// The streams that are there: the log is deleted and restored, and the views are ahead of it.
#[tokio::test]
async fn a_snapshot_is_restored_in_place_and_the_views_are_mended() {
    let server = TestServer::start().await;
    let petrel = petrel_at(server.url()).await;
    orders(&petrel, 0, 12).await;
    let client = async_nats::connect(server.url()).await.unwrap();
    let kept = backup(&client, "CB_LOG").await;
    for number in 0..6 {
        let id = case(&format!("order-{number}"));
        let fire = Fire::case(workflow("orders"), id, transition("reject"));
        petrel.fire(fire).await.unwrap();
    }
    orders(&petrel, 12, 5).await;
    drop(petrel);
    call(&client, "$JS.API.STREAM.DELETE.CB_LOG", Value::Null).await;
    restore(&client, "CB_LOG", &kept).await;
    let petrel = petrel_at(server.url()).await;
    assert!(view_is_the_log(&petrel).await.is_err(), "the views must be ahead for this test");
    // The five orders that were begun after it are all that is left of them.
    let rebuilt = petrel.rebuild(&|_, _| ()).await.unwrap();
    assert!(rebuilt.ahead >= 6 && rebuilt.failed == 0, "{rebuilt:?}");
    assert!(rebuilt.unknown >= 5 && rebuilt.removed == 0, "{rebuilt:?}");
    let unknown = rebuilt.unknown;
    let rebuilt = petrel.rebuild_and_remove_unknown(&|_, _| ()).await.unwrap();
    assert_eq!((rebuilt.removed, rebuilt.unknown, rebuilt.failed), (unknown, 0, 0));
    is_whole(&petrel).await;
    let again = petrel.rebuild(&|_, _| ()).await.unwrap();
    assert_eq!(again.mended, 0);
}

/// The whole folder of a server that was stopped, with a process that goes on.
#[tokio::test]
async fn the_folder_of_a_stopped_server_is_put_back_under_a_process_that_goes_on() {
    let mut server = TestServer::start().await;
    let petrel = petrel_at(server.url()).await;
    orders(&petrel, 0, 8).await;
    let before = log(&petrel, 8).await;
    server.kill().await;
    let folder = server.local().store_dir().join("jetstream");
    let kept = tempfile::tempdir().unwrap();
    copy_folder(&folder, &kept.path().join("jetstream"));
    server.restart().await;
    let later = petrel_at(server.url()).await;
    orders(&later, 8, 4).await;
    for number in 0..4 {
        let id = case(&format!("order-{number}"));
        later.fire(Fire::case(workflow("orders"), id, transition("reject"))).await.unwrap();
    }
    server.kill().await;
    fs::remove_dir_all(&folder).unwrap();
    copy_folder(&kept.path().join("jetstream"), &folder);
    server.restart().await;
    for petrel in [&later, &petrel_at(server.url()).await] {
        eventually("a connection", RECONNECTED, async || petrel.storage().last_sequence().await)
            .await;
        assert_eq!(log(petrel, 8).await, before);
    }
    // What it remembers of the cases is not so any more.
    for number in 0..8 {
        let id = case(&format!("order-{number}"));
        later.fire(Fire::case(workflow("orders"), id, transition("reject"))).await.unwrap();
    }
    let rebuilt = later.rebuild(&|_, _| ()).await.unwrap();
    assert_eq!((rebuilt.mended, rebuilt.failed), (0, 0));
    is_whole(&later).await;
}
