//! Something in a case's log that is no record of it, put there by another program.

use futures::StreamExt;
use serde_json::{Value, json};
use stormpetrel::{
    audit::{AuditScope, AuditWatcher, Finding},
    models::{CaseId, CaseStatus, FiringId, LogPosition, LogSequence, RecordKind},
    petrel::{Change, Error, Fire, Following, NewCase, Petrel},
    storage::{AppendOptions, LogScope, Page, StorageError},
    testing::TestServer,
};

use super::{fire, loop_of};
use crate::support::{at, case, petrel_at, system, workflow};

struct Heard(std::sync::Mutex<(Vec<Finding>, Vec<String>)>);

impl AuditWatcher for Heard {
    fn found(&self, finding: Finding) {
        self.0.lock().unwrap().0.push(finding);
    }

    fn unchecked(&self, reason: &str) {
        panic!("{reason}");
    }

    fn noted(&self, notice: &str) {
        self.0.lock().unwrap().1.push(notice.to_owned());
    }

    fn progress(&self, _: u64, _: u64) {}
}

/// The findings of two kinds of audits, and their notes.
async fn audited(petrel: &Petrel) -> (Vec<Finding>, Vec<String>) {
    let heard = Heard(Default::default());
    for replay in [false, true] {
        let scope = AuditScope { replay, ..AuditScope::default() };
        petrel.audit(&scope, &heard).await.unwrap();
    }
    heard.0.into_inner().unwrap()
}

async fn publish(server: &TestServer, subject: &str, payload: impl Into<bytes::Bytes>) -> u64 {
    let client = async_nats::connect(server.url()).await.unwrap();
    let stream = async_nats::jetstream::new(client);
    let published = stream.publish(subject.to_owned(), payload.into()).await.unwrap();
    published.await.unwrap().sequence
}

const TRANSITIONS: &str = "cb.workflows.loop.events.transitions.k";
const LIFECYCLE: &str = "cb.workflows.loop.events.lifecycle.k";

async fn moved(petrel: &Petrel, times: usize) -> CaseId {
    loop_of(petrel).await;
    let k = case("k");
    let request = NewCase { case: Some(k.clone()), ..NewCase::of(workflow("loop")) };
    petrel.create_case(request).await.unwrap();
    for step in 0..times {
        petrel.fire(fire(&k, ["go", "back"][step % 2])).await.unwrap();
    }
    k
}

fn because(reason: &str) -> Change {
    Change { by: Some("ann".to_owned()), ..super::noted(json!({ "reason": reason })) }
}

#[tokio::test]
async fn what_is_no_record_is_put_aside_and_the_case_goes_on() {
    let (server, petrel) = system().await;
    let k = moved(&petrel, 70).await;
    let id = workflow("loop");
    let before = petrel.case(&id, &k).await.unwrap();
    // Rubbish; a record of another case; an old record of this case once more, on both branches.
    let old = petrel.record(&id, &k, before.sequence.minus(3).unwrap()).await.unwrap();
    let mut other = serde_json::to_value(&old.value).unwrap();
    other["case"] = json!("other");
    let again = serde_json::to_vec(&old.value).unwrap();
    let first = publish(&server, TRANSITIONS, "rubbish").await;
    publish(&server, LIFECYCLE, serde_json::to_vec(&other).unwrap()).await;
    publish(&server, LIFECYCLE, again.clone()).await;
    let last = publish(&server, TRANSITIONS, again).await;
    let stray = petrel.fire(fire(&k, "go")).await;
    assert!(stray.is_err(), "it must be stuck for this test");
    assert!(!audited(&petrel).await.0.is_empty());

    let fresh = petrel_at(server.url()).await;
    let done = fresh.quarantine(&id, &k, Following::Refuse, because("a script")).await.unwrap();
    assert_eq!(done.record.value.kind, RecordKind::Quarantined);
    assert_eq!(done.record.value.previous, Some(before.sequence));
    assert_eq!((done.case.status, &done.case.marking), (before.status, &before.marking));
    let told: Vec<_> = done.record.value.put_aside.iter().map(|one| one.sequence).collect();
    assert_eq!(told, [first, first + 1, first + 2, last].map(at));
    assert_eq!(done.record.value.put_aside[0].subject, TRANSITIONS);

    // The process that was there all the time, and one more.
    for petrel in [&petrel, &petrel_at(server.url()).await] {
        for name in ["go", "back"] {
            let mut fire = fire(&k, name);
            fire.change.firing = Some(FiringId::new(uuid(petrel)).unwrap());
            petrel.fire(fire).await.unwrap();
        }
        let mut records = Vec::new();
        let mut page = Page { first: 50, after: None };
        loop {
            let some = petrel.history(&id, &k, page).await.unwrap();
            page.after = some.end();
            let more = some.has_next;
            records.extend(some.into_items());
            if !more {
                break;
            }
        }
        assert!(records.iter().all(|record| !(first..=last).contains(&record.sequence.get())));
        let quarantined = |record: &&stormpetrel::models::Stored<_>| {
            let record: &stormpetrel::models::Record = &record.value;
            record.kind == RecordKind::Quarantined
        };
        let shown = records.iter().find(quarantined).unwrap();
        assert_eq!(shown.value.metadata["reason"], "a script");
        read(petrel, &k).await;
        let (findings, notes) = audited(petrel).await;
        assert_eq!(findings, []);
        assert!(notes[0].contains(&format!("{first} to {last}")), "{notes:?}");
        let rebuilt = petrel.rebuild(&|_, _| ()).await.unwrap();
        assert_eq!((rebuilt.mended, rebuilt.failed), (0, 0));
    }
    // Whoever watches gets an error for each, and what comes after it.
    let watched = petrel
        .watch(
            LogScope::Case(id.clone(), k.clone()),
            LogSequence::new(first).map(LogPosition::from),
        )
        .await
        .unwrap();
    let watched: Vec<_> = watched.take(5).collect().await;
    assert!(matches!(&watched[0], Err(Error::Storage(StorageError::Corrupt { sequence, .. }))
        if sequence.get() == first));
    assert_eq!(watched[4].as_ref().unwrap().value.kind, RecordKind::Quarantined);
    let nothing =
        fresh.quarantine(&id, &k, Following::Refuse, Change::default()).await.unwrap_err();
    assert_eq!(nothing.code(), "INVALID_ARGUMENT", "{nothing}");
}

/// A text that is another one each time.
fn uuid(petrel: &Petrel) -> String {
    format!("{:p}-{:?}", petrel, std::time::Instant::now())
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .take(60)
        .collect()
}

async fn read(petrel: &Petrel, k: &CaseId) {
    let id = workflow("loop");
    let gathered = petrel.gather_history(&id, &[], &|_, _| ()).await.unwrap();
    assert!(gathered.unreadable.is_empty());
    let kinds = gathered.into_records().unwrap().map(|record| record.unwrap().value.kind);
    assert_eq!(kinds.filter(|kind| *kind == RecordKind::Quarantined).count(), 1);
    petrel.explain(&id, k).await.unwrap();
    let listed = petrel.cases(&id, None, Page::default()).await.unwrap().cases;
    assert_eq!(listed.items.len(), 1);
}

#[tokio::test]
async fn quarantine_is_refused_where_nothing_is_wrong_and_where_a_newer_version_wrote() {
    let (server, petrel) = system().await;
    let k = moved(&petrel, 3).await;
    let id = workflow("loop");
    let well = petrel.quarantine(&id, &k, Following::Refuse, Change::default()).await.unwrap_err();
    assert!(well.to_string().contains("nothing is wrong"), "{well}");
    let none = petrel
        .quarantine(&id, &case("none"), Following::Refuse, Change::default())
        .await
        .unwrap_err();
    assert_eq!(none.code(), "NOT_FOUND", "{none}");
    publish(&server, TRANSITIONS, r#"{"format": 7, "kind": "blessed"}"#).await;
    let newer = petrel.quarantine(&id, &k, Following::Refuse, Change::default()).await.unwrap_err();
    assert!(newer.to_string().contains("use a newer petrel"), "{newer}");
}

#[tokio::test]
async fn two_who_put_aside_at_once_and_one_who_repeats_do_it_once() {
    let (server, petrel) = system().await;
    let k = moved(&petrel, 2).await;
    let id = workflow("loop");
    publish(&server, TRANSITIONS, "rubbish").await;
    let other = petrel_at(server.url()).await;
    let request = || Change { firing: Some(FiringId::new("q").unwrap()), ..because("x") };
    let (one, two) = tokio::join!(
        petrel.quarantine(&id, &k, Following::Refuse, request()),
        other.quarantine(&id, &k, Following::Refuse, request())
    );
    let (one, two) = (one.unwrap(), two.unwrap());
    assert_eq!(one.record.sequence, two.record.sequence);
    assert!(one.repeated != two.repeated);
    // Once more, later on.
    let at = publish(&server, LIFECYCLE, "more rubbish").await;
    let done = petrel.quarantine(&id, &k, Following::Refuse, Change::default()).await.unwrap();
    assert_eq!(done.record.value.aside.len(), 2);
    assert_eq!(done.record.value.put_aside[0].sequence.get(), at);
    petrel.fire(fire(&k, "go")).await.unwrap();
    assert_eq!(audited(&other).await.0, []);
    let history = other.history(&id, &k, Page::default()).await.unwrap();
    assert_eq!(history.items.last().unwrap().1.value.kind, RecordKind::Fired);
    other.explain(&id, &k).await.unwrap();
}

#[tokio::test]
async fn a_case_of_rubbish_only_is_there_and_cancelled_after_it() {
    let (server, petrel) = system().await;
    loop_of(&petrel).await;
    publish(&server, LIFECYCLE, "rubbish").await;
    let done = petrel
        .quarantine(&workflow("loop"), &case("k"), Following::Refuse, Change::default())
        .await
        .unwrap();
    assert_eq!(done.case.status, CaseStatus::Cancelled);
    let fresh = petrel_at(server.url()).await;
    // By the log; then by an index that is made for the question, and once more by that.
    for status in [None, Some(CaseStatus::Cancelled), None] {
        let listed = fresh.cases(&workflow("loop"), status, Page::default()).await.unwrap().cases;
        let listed: Vec<_> = listed.items.iter().map(|(_, case)| case.id.as_str()).collect();
        assert_eq!(listed, ["k"], "{status:?}");
    }
    let running = fresh.cases(&workflow("loop"), Some(CaseStatus::Running), Page::default()).await;
    assert!(running.unwrap().cases.items.is_empty());
    let state = fresh.case(&workflow("loop"), &case("k")).await.unwrap();
    assert_eq!((state.status, state.tokens.len()), (CaseStatus::Cancelled, 0));
    let history = fresh.history(&workflow("loop"), &case("k"), Page::default()).await.unwrap();
    assert_eq!(history.items.len(), 1);
    assert_eq!(audited(&fresh).await.0, []);
}

/// A record that cannot be read and has been built upon.
#[tokio::test]
async fn what_is_in_the_middle_is_put_aside_without_undoing_what_came_after_it() {
    let (_server, petrel) = system().await;
    let k = moved(&petrel, 3).await;
    let id = workflow("loop");
    let head = petrel.case(&id, &k).await.unwrap();
    let mut deep = petrel.record(&id, &k, head.sequence).await.unwrap().value;
    let levels = (0..400).fold(json!({}), |inner, _| json!({ "a": inner }));
    deep.metadata = serde_json::from_value::<Value>(levels).unwrap().as_object().unwrap().clone();
    deep.kind = RecordKind::Edited;
    // An older version wrote it, which names no earlier records.
    deep.recent.clear();
    (deep.consumed, deep.produced) = (Vec::new(), Vec::new());
    deep.marking.0[0].sequence = Some(head.sequence);
    (deep.previous, deep.previous_hash) = (Some(head.sequence), Some(head.head_hash.clone()));
    deep.firing = FiringId::new("deep").unwrap();
    let appended =
        petrel.storage().append(&deep, AppendOptions::after(head.sequence)).await.unwrap();
    let mut next = deep.clone();
    next.metadata.clear();
    next.firing = FiringId::new("next").unwrap();
    (next.previous, next.previous_hash) = (Some(appended.sequence), Some(appended.hash));
    let next = petrel.storage().append(&next, AppendOptions::after(next.previous)).await.unwrap();
    assert!(petrel.history(&id, &k, Page::default()).await.is_err());
    let done = petrel.quarantine(&id, &k, Following::Refuse, Change::default()).await.unwrap();
    assert_eq!(done.record.value.previous, Some(next.sequence));
    assert_eq!(done.record.value.put_aside[0].sequence, appended.sequence);
    petrel.history(&id, &k, Page::default()).await.unwrap();
    petrel.fire(fire(&k, "back")).await.unwrap();
}

#[tokio::test]
async fn an_id_of_a_change_is_none_of_a_quarantine_and_its_own_is_recognised() {
    let (server, petrel) = system().await;
    let k = moved(&petrel, 1).await;
    let id = workflow("loop");
    let named =
        |text: &str| Change { firing: Some(FiringId::new(text).unwrap()), ..Change::default() };
    let fired = Fire { change: named("used"), ..fire(&k, "back") };
    let first = petrel.fire(fired).await.unwrap();
    publish(&server, &format!("cb.workflows.loop.events.transitions.{k}"), "rubbish").await;
    match petrel.quarantine(&id, &k, Following::Refuse, named("used")).await {
        Err(Error::IdTaken { first: use_, .. }) => assert_eq!(use_.sequence, first.record.sequence),
        other => panic!("{other:?}"),
    }
    let done = petrel.quarantine(&id, &k, Following::Refuse, named("aside")).await.unwrap();
    assert!(!done.repeated);
    let again = petrel.quarantine(&id, &k, Following::Refuse, named("aside")).await.unwrap();
    assert!(again.repeated);
    assert_eq!(again.record.sequence, done.record.sequence);
    let again = petrel.fire(Fire { change: named("used"), ..fire(&k, "back") }).await.unwrap();
    assert!(again.repeated, "what it was used for is known after the quarantine");
}

#[tokio::test]
async fn what_stands_on_another_branch_is_put_aside_as_well() {
    let (server, petrel) = system().await;
    let k = moved(&petrel, 1).await;
    let id = workflow("loop");
    let head = petrel.case(&id, &k).await.unwrap();
    let record = petrel.record(&id, &k, head.sequence).await.unwrap().value;
    let record = serde_json::to_string(&record).unwrap();
    for rubbish in ["rubbish".to_owned(), record] {
        publish(&server, &format!("cb.workflows.loop.events.other.{k}"), rubbish).await;
        assert!(petrel.case(&id, &k).await.is_err());
        let done = petrel.quarantine(&id, &k, Following::Refuse, Change::default()).await.unwrap();
        assert_eq!(done.record.value.put_aside.len(), 1);
        assert_eq!(petrel.case(&id, &k).await.unwrap().tokens, head.tokens);
    }
    petrel.fire(fire(&k, "back")).await.unwrap();
    petrel.history(&id, &k, Page::default()).await.unwrap();
}

/// A record of the case's log as it is stored.
async fn bytes_of(server: &TestServer, sequence: u64) -> bytes::Bytes {
    let client = async_nats::connect(server.url()).await.unwrap();
    let stream = async_nats::jetstream::new(client).get_stream("CB_LOG").await.unwrap();
    stream.get_raw_message(sequence).await.unwrap().payload
}

#[tokio::test]
async fn nothing_is_appended_after_a_copy_of_an_earlier_record() {
    for (copied, subject) in [(0, LIFECYCLE), (1, TRANSITIONS), (2, TRANSITIONS)] {
        let (server, petrel) = system().await;
        let k = moved(&petrel, 2).await;
        let id = workflow("loop");
        let all = petrel.history(&id, &k, Page::default()).await.unwrap().into_items();
        let copy = bytes_of(&server, all[copied].sequence.get()).await;
        let copy = publish(&server, subject, copy).await;
        for process in [&petrel, &petrel_at(server.url()).await] {
            let error = process.fire(fire(&k, "go")).await.unwrap_err();
            assert_eq!(error.code(), "CORRUPT", "{copied}: {error}");
            assert!(error.to_string().contains("quarantine"), "{error}");
        }
        let done = petrel.quarantine(&id, &k, Following::Refuse, Change::default()).await.unwrap();
        assert_eq!(done.record.value.put_aside[0].sequence.get(), copy);
        for process in [&petrel_at(server.url()).await, &petrel] {
            process.fire(fire(&k, "go")).await.unwrap();
            process.fire(fire(&k, "back")).await.unwrap();
        }
        assert!(audited(&petrel).await.0.is_empty());
    }
}

#[tokio::test]
async fn a_record_that_was_put_back_by_hand_in_its_place_is_gone_on_from() {
    let (server, petrel) = system().await;
    let k = moved(&petrel, 2).await;
    let all = petrel.history(&workflow("loop"), &k, Page::default()).await.unwrap().into_items();
    let mut bytes = Vec::new();
    for record in &all {
        bytes.push((record.subject.clone(), bytes_of(&server, record.sequence.get()).await));
    }
    let (other, fresh) = system().await;
    loop_of(&fresh).await;
    for (subject, bytes) in bytes {
        publish(&other, &subject, bytes).await;
    }
    petrel_at(other.url()).await.fire(fire(&k, "go")).await.unwrap();
}

#[tokio::test]
async fn nothing_is_appended_after_a_record_that_is_not_linked_to_the_one_before() {
    let (server, petrel) = system().await;
    let k = moved(&petrel, 1).await;
    let id = workflow("loop");
    let head = petrel.case(&id, &k).await.unwrap();
    // A copy of the last record under another id.
    let mut copy = petrel.record(&id, &k, head.sequence).await.unwrap().value;
    copy.firing = FiringId::new("forged").unwrap();
    copy.previous_hash = Some("0".repeat(64));
    let forged = petrel.storage().append(&copy, AppendOptions::after(head.sequence)).await.unwrap();
    for process in [&petrel, &petrel_at(server.url()).await] {
        let error = process.fire(fire(&k, "back")).await.unwrap_err();
        assert_eq!(error.code(), "CORRUPT", "{error}");
        assert!(error.to_string().contains("quarantine"), "{error}");
    }
    let done = petrel.quarantine(&id, &k, Following::Refuse, Change::default()).await.unwrap();
    assert_eq!(done.record.value.put_aside[0].sequence, forged.sequence);
    petrel.fire(fire(&k, "back")).await.unwrap();
}
