//! Something in the streams can't be decoded.

use std::time::Duration;

use async_nats::jetstream;
use futures::StreamExt;
use serde_json::{Value, json};
use stormpetrel::{
    models::{CaseStatus, LogPosition, LogSequence, TokenId},
    petrel::{Change, Error, ExpectedVersion, Fire, NewCase, Petrel},
    storage::{
        Consistency, ListOptions, LogScope, Page, ReadPath, StorageError, StorageExt, TokenScope,
    },
    testing::TestServer,
};

use super::fixtures::{
    Reconciler, eventually, faulty, in_view, operator, pendulum, swing, view_is_the_log,
};
use crate::support::{at, case, definition, petrel_at, place, transition, workflow};

/// Two cases of which one gets a record that nobody can read.
struct Damaged {
    server: TestServer,
    petrel: Petrel,
    operator: jetstream::Context,
    sick: TokenId,
    well: TokenId,
}

impl Damaged {
    async fn start() -> Self {
        let server = TestServer::start().await;
        let petrel = petrel_at(server.url()).await;
        pendulum(&petrel).await;
        let (_, sick) = swing(&petrel, "sick").await;
        let (_, well) = swing(&petrel, "well").await;
        let operator = operator(server.url()).await;
        Self { server, petrel, operator, sick, well }
    }

    async fn publish(&self, subject: &str, payload: impl Into<bytes::Bytes>) -> u64 {
        let published = self.operator.publish(subject.to_owned(), payload.into()).await.unwrap();
        published.await.unwrap().sequence
    }

    /// Puts something after the sick case's last record, and says under which sequence.
    async fn damage(&self, payload: impl Into<bytes::Bytes>) -> u64 {
        self.publish(SICK, payload).await
    }

    async fn fire(&self, token: &TokenId, name: &str) -> Result<(), Error> {
        self.petrel.fire(Fire::token(token.clone(), transition(name))).await.map(drop)
    }
}

const SICK: &str = "cb.workflows.pendulum.events.transitions.sick";

fn names(error: &Error, subject: &str, number: u64) {
    let Error::Storage(StorageError::Corrupt { subject: told, sequence, .. }) = error else {
        panic!("{error}");
    };
    assert_eq!((told.as_str(), *sequence), (subject, at(number)));
    assert!(!error.retryable());
    assert_eq!(error.code(), "CORRUPT");
}

#[tokio::test]
async fn a_record_of_rubbish_stops_its_case_and_no_other() {
    let damaged = Damaged::start().await;
    let petrel = &damaged.petrel;
    let at = damaged.damage("rubbish").await;
    let (pendulum, sick) = (workflow("pendulum"), case("sick"));
    // The process that knew the case, and one that did not.
    let fresh = petrel_at(damaged.server.url()).await;
    for petrel in [petrel, &fresh] {
        let fire = Fire::token(damaged.sick.clone(), transition("go"));
        names(&petrel.fire(fire).await.unwrap_err(), SICK, at);
        names(&petrel.case(&pendulum, &sick).await.unwrap_err(), SICK, at);
        let strong = petrel.token(None, &damaged.sick, Consistency::Strong).await;
        names(&strong.unwrap_err(), SICK, at);
        let pause = petrel.pause(&pendulum, &sick, Change::default()).await;
        names(&pause.unwrap_err(), SICK, at);
        let new = NewCase { case: Some(case("sick")), ..NewCase::of(workflow("pendulum")) };
        names(&petrel.create_case(new).await.unwrap_err(), SICK, at);
        let history = petrel.history(&pendulum, &sick, Page::default()).await;
        names(&history.unwrap_err(), SICK, at);
        names(&petrel.explain(&pendulum, &sick).await.unwrap_err(), SICK, at);
    }
    damaged.fire(&damaged.well, "go").await.unwrap();
    let seen = petrel.token(None, &damaged.sick, Consistency::Eventual).await.unwrap();
    assert_eq!(seen.place, place("here"), "the view still has what was known");
    // Cases of rubbish only, and one whose first record is the only one that can be read no more.
    let lifecycle = |case: &str| format!("cb.workflows.pendulum.events.lifecycle.{case}");
    damaged.publish(&lifecycle("never-was"), "rubbish").await;
    damaged.publish("cb.workflows.pendulum.events.transitions.nor-this", "rubbish").await;
    // By the log, and by the index.
    for (status, more) in [
        (None, vec!["never-was"]),
        (Some(CaseStatus::Running), Vec::new()),
        (None, vec!["never-was", "nor-this"]),
    ] {
        let (mut unreadable, mut listed, mut page) = (Vec::new(), Vec::new(), Page::default());
        page.first = 1;
        loop {
            let found = petrel.cases(&pendulum, status, page).await.unwrap();
            unreadable.extend(found.unreadable.iter().map(|(_, case)| case.to_string()));
            page.after = found.end();
            let has_next = found.cases.has_next;
            listed.extend(found.cases.into_items().iter().map(|case| case.id.to_string()));
            if !has_next {
                break;
            }
        }
        let expected: Vec<_> = ["sick"].into_iter().chain(more).collect();
        assert_eq!(
            (unreadable, listed),
            (expected.iter().map(ToString::to_string).collect(), vec!["well".to_owned()]),
            "{status:?}"
        );
    }
    let scope = TokenScope { workflow: pendulum, place: None, case: None };
    assert_eq!(petrel.tokens(&scope, Page::default()).await.unwrap().items.len(), 2);
}

#[tokio::test]
async fn reconciler_rebuild_and_watchers_go_on_past_a_record_of_rubbish() {
    let damaged = Damaged::start().await;
    let at = damaged.damage("rubbish").await;
    let elsewhere = "cb.workflows.pendulum.events.lifecycle.never-was";
    let second = damaged.publish(elsewhere, "{\"format\":1}").await;
    // After the damage a change without views, which only the reconciler can show.
    let (storage, dying) = faulty(damaged.server.url()).await;
    storage.drop_views();
    let fire = Fire::token(damaged.well.clone(), transition("go"));
    let moved = dying.fire(fire).await.unwrap();
    let watched = damaged
        .petrel
        .watch(LogScope::All, LogSequence::new(at).map(LogPosition::from))
        .await
        .unwrap();
    let watched: Vec<_> = watched.take(3).collect().await;
    names(watched[0].as_ref().unwrap_err(), SICK, at);
    names(watched[1].as_ref().unwrap_err(), elsewhere, second);
    assert_eq!(watched[2].as_ref().unwrap().sequence, moved.record.sequence);

    let _reconciler = Reconciler::of(&damaged.petrel);
    eventually("a healed view", Duration::from_secs(15), async || {
        let seen = damaged.petrel.token(None, &damaged.well, Consistency::Eventual).await;
        let seen = seen.map_err(|error| error.to_string())?;
        if seen.place == place("there") { Ok(()) } else { Err(format!("{:?}", seen.place)) }
    })
    .await;
    let before = in_view(&damaged.petrel).await.unwrap();
    let rebuilt = damaged.petrel.rebuild(&|_, _| ()).await.unwrap();
    assert!(rebuilt.failed > 0 && rebuilt.mended == 0, "{rebuilt:?}");
    assert_eq!(in_view(&damaged.petrel).await.unwrap(), before, "what can't be judged is kept");
}

#[tokio::test]
async fn a_record_of_a_newer_format_is_refused_for_its_case_and_kept() {
    let damaged = Damaged::start().await;
    let head = damaged.operator.get_stream("CB_LOG").await.unwrap();
    let head = head.get_last_raw_message_by_subject("cb.workflows.pendulum.events.*.sick").await;
    let mut record: Value = serde_json::from_slice(&head.unwrap().payload).unwrap();
    for (format, extra) in [(99, json!({})), (3, json!({"kind": "blessed"}))] {
        record["format"] = json!(format);
        record.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        let bytes = serde_json::to_vec(&record).unwrap();
        let at = damaged.damage(bytes.clone()).await;
        let error = damaged.fire(&damaged.sick, "go").await.unwrap_err();
        names(&error, SICK, at);
        assert!(error.to_string().contains("newer"), "{error}");
        damaged.petrel.rebuild(&|_, _| ()).await.unwrap();
        let log = damaged.operator.get_stream("CB_LOG").await.unwrap();
        assert_eq!(log.get_raw_message(at).await.unwrap().payload, bytes);
    }
    damaged.fire(&damaged.well, "go").await.unwrap();
}

#[tokio::test]
async fn an_unreadable_token_in_the_view_is_read_from_the_log_and_mended_by_a_rebuild() {
    let damaged = Damaged::start().await;
    let petrel = &damaged.petrel;
    let token =
        |place: &str, token: &str| format!("cb.workflows.pendulum.places.{place}.tokens.{token}");
    // In its place, in a place where it is not, of a case that never was, of no case at all.
    damaged.publish(&token("here", damaged.sick.as_str()), "rubbish").await;
    damaged.publish(&token("there", damaged.well.as_str()), "rubbish").await;
    let stray = damaged.sick.as_str().replace("sick", "stray");
    let real = petrel.token(None, &damaged.well, Consistency::Strong).await.unwrap();
    let real = serde_json::to_vec(&real).unwrap();
    damaged.publish(&token("here", &stray), real.clone()).await;
    damaged.publish(&token("here", "x"), real).await;

    for consistency in [Consistency::Strong, Consistency::Eventual] {
        let read = petrel.token(None, &damaged.sick, consistency).await.unwrap();
        assert_eq!(read.place, place("here"));
        let read = petrel.token(None, &damaged.well, consistency).await.unwrap();
        assert_eq!(read.place, place("here"));
    }
    let scope = TokenScope { workflow: workflow("pendulum"), place: None, case: None };
    for path in [ReadPath::Direct, ReadPath::Consumer] {
        let listed = petrel
            .storage()
            .tokens_in(&scope, ListOptions { page: Page::default(), path: Some(path) })
            .await
            .unwrap();
        assert!(listed.items.iter().any(|(_, listed)| listed.id == damaged.well), "{path:?}");
    }
    let rebuilt = petrel.rebuild(&|_, _| ()).await.unwrap();
    assert_eq!((rebuilt.mended, rebuilt.failed, rebuilt.unknown), (2, 0, 2));
    let named = rebuilt.unknown_subjects;
    assert_eq!(named, [token("here", &stray), token("here", "x")]);
    let rebuilt = petrel.rebuild_and_remove_unknown(&|_, _| ()).await.unwrap();
    assert_eq!((rebuilt.mended, rebuilt.removed, rebuilt.failed), (2, 2, 0));
    assert_eq!(view_is_the_log(petrel).await.unwrap().len(), 2);

    // A change overwrites it too, without a rebuild.
    damaged.publish(&token("here", damaged.sick.as_str()), "rubbish").await;
    damaged.publish(&token("there", damaged.sick.as_str()), "rubbish").await;
    damaged.fire(&damaged.sick, "go").await.unwrap();
    view_is_the_log(petrel).await.unwrap();
}

#[tokio::test]
async fn a_definition_of_a_newer_format_stops_new_cases_of_its_workflow_and_nothing_else() {
    let damaged = Damaged::start().await;
    let other = json!({"id": "other", "initial_place": "a", "places": [{"id": "a"}]});
    damaged.petrel.create_workflow(definition(other), ExpectedVersion::Any).await.unwrap();
    let subject = "cb.workflows.pendulum.definition";
    let newer = json!({"format": 99, "version": 2, "definition": {
        "id": "pendulum", "initial_place": "a", "places": [{"id": "a"}]}});
    let at = damaged.publish(subject, newer.to_string()).await;
    let fresh = petrel_at(damaged.server.url()).await;
    let new = fresh.create_case(NewCase::of(workflow("pendulum"))).await;
    names(&new.unwrap_err(), subject, at);
    names(&fresh.workflow(&workflow("pendulum")).await.unwrap_err(), subject, at);
    // A case names the version that it runs.
    for petrel in [&damaged.petrel, &fresh] {
        for name in ["go", "return"] {
            let fire = Fire::token(damaged.well.clone(), transition(name));
            petrel.fire(fire).await.unwrap();
        }
    }
    let (listed, more) = fresh.workflows(1, None).await.unwrap();
    let listed: Vec<_> = listed.iter().map(|stored| stored.definition.id.as_str()).collect();
    assert_eq!((listed, more), (vec!["other"], false));
    fresh.create_case(NewCase::of(workflow("other"))).await.unwrap();
}
