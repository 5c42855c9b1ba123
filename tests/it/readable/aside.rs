//! Ids of messages that were put aside stay known, and some messages are put aside only if
//! somebody asks for it.

use serde_json::{Value, json};
use stormpetrel::{
    models::{CaseId, FiringId, IdHash, Link, Record, RecordKind},
    petrel::{Change, Error, Fire, Following, NewCase, Petrel},
    storage::{AppendOptions, Appended, Page},
    testing::TestServer,
};

use super::{fire, loop_of};
use crate::support::{at, case, petrel_at, system, workflow};

pub(super) async fn begun(petrel: &Petrel, moves: usize) -> CaseId {
    loop_of(petrel).await;
    let k = case("k");
    let request = NewCase { case: Some(k.clone()), ..NewCase::of(workflow("loop")) };
    petrel.create_case(request).await.unwrap();
    for step in 0..moves {
        petrel.fire(fire(&k, ["go", "back"][step % 2])).await.unwrap();
    }
    k
}

pub(super) fn with_id(id: &str) -> Change {
    Change { firing: Some(FiringId::new(id).unwrap()), ..Change::default() }
}

pub(super) fn fired(k: &CaseId, name: &str, id: &str) -> Fire {
    Fire { change: with_id(id), ..fire(k, name) }
}

/// A record that changes nothing, as a process writes it that knows of lists.
pub(super) async fn next(petrel: &Petrel, k: &CaseId, id: &str) -> Record {
    let head = petrel.case(&workflow("loop"), k).await.unwrap();
    let mut record = petrel.record(&workflow("loop"), k, head.sequence).await.unwrap().value;
    let own = Link { sequence: head.sequence, id: IdHash::of(&record.firing) };
    record.recent.push(own);
    record.aside.clone_from(&head.aside);
    record.marking.clone_from(&head.marking);
    (record.previous, record.previous_hash) = (Some(head.sequence), Some(head.head_hash.clone()));
    upon(record, id)
}

fn upon(mut record: Record, id: &str) -> Record {
    (record.kind, record.transition, record.request) = (RecordKind::Edited, None, None);
    (record.consumed, record.produced, record.put_aside) = (Vec::new(), Vec::new(), Vec::new());
    record.firing = FiringId::new(id).unwrap();
    record
}

/// The record after one that was appended.
pub(super) fn after(record: &Record, appended: &Appended, id: &str) -> Record {
    let mut next = upon(record.clone(), id);
    next.metadata.clear();
    next.recent.push(Link { sequence: appended.sequence, id: IdHash::of(&record.firing) });
    (next.previous, next.previous_hash) = (Some(appended.sequence), Some(appended.hash.clone()));
    next
}

/// The same of format 1, without any of the fields that came later.
pub(super) fn as_older(mut record: Record) -> Record {
    (record.recent, record.page, record.unlisted) = (Vec::new(), None, None);
    (record.aside, record.pages) = (Vec::new(), Vec::new());
    record
}

pub(super) async fn append(petrel: &Petrel, record: &Record) -> Appended {
    petrel.storage().append(record, AppendOptions::after(record.previous)).await.unwrap()
}

async fn publish(server: &TestServer, payload: &'static str) -> u64 {
    publish_at(server, "cb.workflows.loop.events.transitions.k", payload).await
}

pub(super) async fn publish_at(
    server: &TestServer,
    subject: &'static str,
    payload: impl Into<bytes::Bytes>,
) -> u64 {
    let client = async_nats::connect(server.url()).await.unwrap();
    let stream = async_nats::jetstream::new(client);
    stream.publish(subject, payload.into()).await.unwrap().await.unwrap().sequence
}

#[tokio::test]
async fn what_is_put_aside_stays_so_where_an_older_version_goes_on() {
    let (server, petrel) = system().await;
    let k = begun(&petrel, 3).await;
    let id = workflow("loop");
    let rubbish = publish(&server, "rubbish").await;
    petrel.quarantine(&id, &k, Following::Refuse, Change::default()).await.unwrap();
    petrel.fire(fired(&k, "back", "new")).await.unwrap();
    for round in 0..2 {
        for number in 0..2 {
            let older = as_older(next(&petrel, &k, &format!("old-{round}-{number}")).await);
            append(&petrel, &older).await;
        }
        let fresh = petrel_at(server.url()).await;
        for process in [&fresh, &petrel] {
            let state = process.case(&id, &k).await.unwrap();
            assert_eq!((state.aside[0].first, state.aside[0].last), (at(rubbish), at(rubbish)));
            process.history(&id, &k, Page::default()).await.unwrap();
            let nothing = process.quarantine(&id, &k, Following::Refuse, Change::default()).await;
            assert!(nothing.unwrap_err().to_string().contains("nothing is wrong"));
            assert!(process.fire(fired(&k, "back", "new")).await.unwrap().repeated);
        }
        // Whoever goes on writes it on.
        let name = ["go", "back"][round];
        let gone_on = fresh.fire(fired(&k, name, &format!("on-{round}"))).await.unwrap();
        assert!(!gone_on.repeated);
        assert_eq!(gone_on.record.value.aside.len(), 1);
        for process in [&petrel, &petrel_at(server.url()).await] {
            let again = process.fire(fired(&k, name, &format!("on-{round}"))).await.unwrap();
            assert!(again.repeated);
        }
    }
    assert_eq!(petrel.rebuild(&|_, _| ()).await.unwrap().failed, 0);
}

#[tokio::test]
async fn the_id_of_an_unreadable_record_that_others_build_on_never_happens_again() {
    let (server, petrel) = system().await;
    let k = begun(&petrel, 2).await;
    let id = workflow("loop");
    let mut deep = next(&petrel, &k, "deep").await;
    let levels = (0..400).fold(json!({}), |inner, _| json!({ "a": inner }));
    deep.metadata = serde_json::from_value::<Value>(levels).unwrap().as_object().unwrap().clone();
    let unreadable = append(&petrel, &deep).await;
    append(&petrel, &after(&deep, &unreadable, "next")).await;
    for process in [&petrel, &petrel_at(server.url()).await] {
        process.fire(fired(&k, "go", "deep")).await.unwrap_err();
    }
    // Not even as the id of the quarantine, before it and after it.
    let taken = |error: Error| matches!(error, Error::IdPutAside { .. });
    let named = petrel.quarantine(&id, &k, Following::Refuse, with_id("deep")).await;
    assert!(taken(named.unwrap_err()));
    petrel.quarantine(&id, &k, Following::Refuse, Change::default()).await.unwrap();
    let named = petrel.quarantine(&id, &k, Following::Refuse, with_id("deep")).await;
    assert!(taken(named.unwrap_err()));
    // Before and after many others, and by whoever asks.
    for round in 0..3 {
        for process in [&petrel, &petrel_at(server.url()).await] {
            let error = process.fire(fired(&k, "go", "deep")).await.unwrap_err();
            assert_eq!((error.code(), error.retryable()), ("CONFLICT", false), "{error}");
            let Error::IdPutAside { sequence, .. } = &error else { panic!("{error}") };
            assert_eq!(*sequence, unreadable.sequence);
            assert!(error.to_string().contains("under another firing id"), "{error}");
            let error = process.pause(&id, &k, with_id("deep")).await.unwrap_err();
            assert!(matches!(error, Error::IdPutAside { .. }), "{error}");
        }
        for number in 0..33 {
            for name in ["go", "back"] {
                let named = format!("{name}-{round}-{number}");
                assert!(!petrel.fire(fired(&k, name, &named)).await.unwrap().repeated);
            }
        }
    }
}

#[tokio::test]
async fn acknowledged_records_are_put_aside_only_when_it_is_asked_for() {
    let (server, petrel) = system().await;
    let k = begun(&petrel, 2).await;
    let id = workflow("loop");
    let mut forged = next(&petrel, &k, "forged").await;
    forged.previous_hash = Some("0".repeat(64));
    let first = append(&petrel, &forged).await;
    let second = after(&forged, &first, "second");
    let followed = append(&petrel, &second).await;
    let third = append(&petrel, &after(&second, &followed, "third")).await;
    let error = petrel.quarantine(&id, &k, Following::Refuse, Change::default()).await.unwrap_err();
    assert_eq!(error.code(), "INVALID_ARGUMENT", "{error}");
    let text = error.to_string();
    for part in ["2 records", "firing id second", "firing id third", "nothing was stored"] {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
    assert!(text.contains(&followed.sequence.to_string()) && !text.contains("id forged"), "{text}");
    assert_eq!(petrel.storage().last_sequence().await.unwrap(), Some(third.sequence));
    let named = petrel.quarantine(&id, &k, Following::PutAside, with_id("second")).await;
    assert!(matches!(named.unwrap_err(), Error::IdPutAside { sequence, .. }
        if sequence == followed.sequence));
    let done = petrel.quarantine(&id, &k, Following::PutAside, with_id("q")).await.unwrap();
    let told: Vec<_> = done.record.value.put_aside.iter().map(|one| one.sequence).collect();
    assert_eq!(told, [first, followed, third].map(|one| one.sequence));
    for process in [&petrel, &petrel_at(server.url()).await] {
        let again = process.quarantine(&id, &k, Following::Refuse, with_id("q")).await.unwrap();
        assert!(again.repeated);
        // They were acknowledged, so a repetition is told.
        let error = process.fire(fired(&k, "go", "second")).await.unwrap_err();
        assert!(matches!(error, Error::IdPutAside { .. }), "{error}");
    }
    petrel.fire(fired(&k, "go", "fourth")).await.unwrap();
}

#[tokio::test]
async fn a_refusal_names_no_more_records_than_a_person_reads() {
    let (_server, petrel) = system().await;
    let k = begun(&petrel, 2).await;
    let mut record = next(&petrel, &k, "forged").await;
    record.previous_hash = Some("0".repeat(64));
    let mut appended = append(&petrel, &record).await;
    for number in 1..=130 {
        let following = after(&record, &appended, &format!("following-{number}"));
        let following = Record { recent: Vec::new(), ..following };
        appended = append(&petrel, &following).await;
        record = following;
    }
    let request = Change::default();
    let refused = petrel.quarantine(&workflow("loop"), &k, Following::Refuse, request).await;
    let text = refused.unwrap_err().to_string();
    for part in ["130 records", "id following-1)", "id following-100)", "and 30 more"] {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
    assert!(!text.contains("following-101"), "{text}");
}
