//! Records of a newer version, with a kind or with fields that this one does not know.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use stormpetrel::{
    audit::{AuditScope, AuditWatcher, Finding},
    models::{CaseId, CaseStatus, RecordKind},
    petrel::{Change, Error, Following, NewCase, Petrel},
    storage::{Consistency, Page},
    testing::TestServer,
};

use super::{fire, loop_of};
use crate::support::{case, petrel_at, system, workflow};

/// A case whose last record, of a newer version, is this one's with `more`.
async fn written_by_a_newer_version(more: Value) -> (TestServer, Petrel, CaseId) {
    let (server, petrel) = system().await;
    loop_of(&petrel).await;
    let k = case("k");
    let new = NewCase { case: Some(k.clone()), ..NewCase::of(workflow("loop")) };
    petrel.create_case(new).await.unwrap();
    let paused = petrel.pause(&workflow("loop"), &k, Change::default()).await.unwrap();
    let client = async_nats::connect(server.url()).await.unwrap();
    let raw = async_nats::jetstream::new(client);
    let log = raw.get_stream("CB_LOG").await.unwrap();
    let last = log.get_raw_message(paused.record.sequence.get()).await.unwrap();
    let mut next: Value = serde_json::from_slice(&last.payload).unwrap();
    next["previous"] = json!(paused.record.sequence);
    next["previous_hash"] = json!(paused.record.hash);
    next["firing"] = json!("newer");
    next["status"] = json!("running");
    next.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let subject = "cb.workflows.loop.events.lifecycle.k";
    raw.publish(subject, next.to_string().into()).await.unwrap().await.unwrap();
    (server, petrel, k)
}

fn says(error: &Error, names: &[&str]) {
    assert_eq!((error.code(), error.retryable()), ("CORRUPT", false), "{error}");
    let text = error.to_string();
    assert!(text.contains("newer petrel"), "{text}");
    assert!(names.iter().all(|name| text.contains(name)), "{text}");
}

struct Heard(std::sync::Mutex<Vec<String>>);

impl AuditWatcher for Heard {
    fn found(&self, finding: Finding) {
        panic!("{finding:?}");
    }

    fn unchecked(&self, reason: &str) {
        self.0.lock().unwrap().push(reason.to_owned());
    }

    fn noted(&self, _: &str) {}

    fn progress(&self, _: u64, _: u64) {}
}

#[tokio::test]
async fn what_a_newer_version_wrote_is_shown_and_its_case_is_not_changed() {
    for (more, names) in [
        (json!({ "kind": "woven", "threads": [{ "number": 1 }] }), &["kind woven", "threads"][..]),
        (json!({ "kind": "woven" }), &["kind woven"]),
        (json!({ "kind": "resumed", "queues": [] }), &["queues"]),
    ] {
        let (server, knew, k) = written_by_a_newer_version(more.clone()).await;
        let id = workflow("loop");
        for petrel in [&knew, &petrel_at(server.url()).await] {
            let seen = petrel.case(&id, &k).await.unwrap();
            assert_eq!(seen.status, CaseStatus::Running);
            let token = seen.live_tokens().next().unwrap().id.clone();
            petrel.token(None, &token, Consistency::Strong).await.unwrap();
            let history = petrel.history(&id, &k, Page::default()).await.unwrap().into_items();
            let last = &history.last().unwrap().value;
            assert_eq!(last.unknown, names, "{more}");
            assert_eq!(last.kind_name(), more["kind"], "{more}");
            assert_eq!(last.kind == RecordKind::Unknown, more["kind"] == "woven");

            says(&petrel.fire(fire(&k, "go")).await.unwrap_err(), names);
            says(&petrel.cancel(&id, &k, Change::default()).await.unwrap_err(), names);
            says(&petrel.explain(&id, &k).await.unwrap_err(), names);
            says(&petrel.available_transitions(None, &token).await.unwrap_err(), names);
            let aside = petrel.quarantine(&id, &k, Following::PutAside, Change::default()).await;
            says(&aside.unwrap_err(), names);
            assert_eq!(petrel.rebuild(&|_, _| ()).await.unwrap().failed, 0);
            let heard = Heard(Default::default());
            for replay in [false, true] {
                let scope = AuditScope { replay, ..AuditScope::default() };
                petrel.audit(&scope, &heard).await.unwrap();
            }
            let unchecked = heard.0.into_inner().unwrap();
            assert!(unchecked.iter().any(|why| why.contains(names[0])), "{unchecked:?}");
        }
        let last = knew.storage().last_sequence().await.unwrap();
        let own = knew.history(&id, &k, Page::default()).await.unwrap().into_items();
        assert_eq!(own.last().map(|record| record.sequence), last);
    }
}

#[tokio::test]
async fn what_only_looks_newer_is_put_aside_as_others_are() {
    let (server, petrel) = system().await;
    loop_of(&petrel).await;
    let (k, id) = (case("k"), workflow("loop"));
    let new = NewCase { case: Some(k.clone()), ..NewCase::of(id.clone()) };
    petrel.create_case(new).await.unwrap();
    petrel.pause(&id, &k, Change::default()).await.unwrap();
    petrel.resume(&id, &k, Change::default()).await.unwrap();
    let raw = async_nats::jetstream::new(async_nats::connect(server.url()).await.unwrap());
    let log = raw.get_stream("CB_LOG").await.unwrap();
    for _ in 0..2 {
        // Another program's copy of the case's first pause, with a field of its own.
        let copied = log.get_raw_message(3).await.unwrap();
        let mut copy: Value = serde_json::from_slice(&copied.payload).unwrap();
        copy["_enriched"] = json!(1);
        let subject = "cb.workflows.loop.events.lifecycle.k";
        raw.publish(subject, copy.to_string().into()).await.unwrap().await.unwrap();
        for petrel in [&petrel, &petrel_at(server.url()).await] {
            let error = petrel.fire(fire(&k, "go")).await.unwrap_err().to_string();
            assert!(error.contains("case quarantine"), "{error}");
        }
        // What was put aside stays out of the way of what comes after it.
        petrel.quarantine(&id, &k, Following::Refuse, Change::default()).await.unwrap();
        petrel.resume(&id, &k, Change::default()).await.unwrap();
        petrel.fire(fire(&k, "go")).await.unwrap();
        petrel.fire(fire(&k, "back")).await.unwrap();
    }
}

#[tokio::test]
async fn a_token_with_a_field_that_is_not_known_keeps_its_case_from_changes() {
    let (server, petrel) = system().await;
    loop_of(&petrel).await;
    let (k, id) = (case("k"), workflow("loop"));
    let new = NewCase { case: Some(k.clone()), ..NewCase::of(id.clone()) };
    petrel.create_case(new).await.unwrap();
    let moved = petrel.fire(fire(&k, "go")).await.unwrap();
    let raw = async_nats::jetstream::new(async_nats::connect(server.url()).await.unwrap());
    let log = raw.get_stream("CB_LOG").await.unwrap();
    // A newer version edits the token, and then pauses the case; each follows the one before.
    let newer = async |last: u64, hash: &str, more: Value, branch: &str| {
        let stored = log.get_raw_message(last).await.unwrap();
        let mut next: Value = serde_json::from_slice(&stored.payload).unwrap();
        next["previous"] = json!(last);
        next["previous_hash"] = json!(hash);
        next["firing"] = json!(format!("newer-{last}"));
        next.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let subject = format!("cb.workflows.loop.events.{branch}.k");
        let payload = next.to_string();
        let digest = Sha256::digest(payload.as_bytes());
        let hash: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let acknowledged = raw.publish(subject, payload.into()).await.unwrap().await.unwrap();
        (acknowledged.sequence, hash)
    };
    let first = moved.record.sequence.get();
    let stored = log.get_raw_message(first).await.unwrap();
    let stored: Value = serde_json::from_slice(&stored.payload).unwrap();
    let mut produced = stored["produced"].clone();
    // As format 1 has it.
    let mut marking = json!(moved.record.value.marking);
    produced[0]["priority"] = json!(5);
    let edit = json!({"kind": "edited", "transition": null, "consumed": [], "produced": produced,
                      "marking": marking});
    let (second, hash) = newer(first, &moved.record.hash, edit, "lifecycle").await;
    marking = json!(
        marking
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| {
                let mut entry = entry.clone();
                entry["sequence"] = json!(second);
                entry
            })
            .collect::<Vec<_>>()
    );
    let pause = json!({"kind": "paused", "status": "paused", "produced": [], "marking": marking});
    newer(second, &hash, pause, "lifecycle").await;
    let petrel = petrel_at(server.url()).await;
    assert_eq!(petrel.case(&id, &k).await.unwrap().status, CaseStatus::Paused);
    let resumed = petrel.resume(&id, &k, Change::default()).await;
    says(&resumed.unwrap_err(), &["priority"]);
    says(&petrel.explain(&id, &k).await.unwrap_err(), &["priority"]);
}
