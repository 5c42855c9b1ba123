//! A last record that does not belong there, or one that can't be judged now: neither decides
//! the messages to put aside.

use std::sync::Arc;

use serde_json::{Value, json};
use stormpetrel::{
    models::{Aside, CaseId, LogSequence},
    petrel::{Change, Changed, Error, Following, Petrel},
    storage::{Page, nats::NatsStorage},
    testing::FaultyStorage,
};

use super::{
    aside::{after, append, begun, fired, next, publish_at},
    fire,
};
use crate::support::{at, config, petrel_at, system, workflow};

async fn quarantined(petrel: &Petrel, k: &CaseId) -> Result<Changed, Error> {
    petrel.quarantine(&workflow("loop"), k, Following::Refuse, Change::default()).await
}

fn told(changed: &Changed) -> Vec<LogSequence> {
    changed.record.value.put_aside.iter().map(|one| one.sequence).collect()
}

#[tokio::test]
async fn a_first_record_that_comes_once_more_forgets_nothing_that_is_put_aside() {
    let (server, petrel) = system().await;
    let k = begun(&petrel, 2).await;
    let id = workflow("loop");
    let rubbish = publish_at(&server, "cb.workflows.loop.events.transitions.k", "rubbish").await;
    quarantined(&petrel, &k).await.unwrap();
    petrel.fire(fired(&k, "go", "kept")).await.unwrap();
    let history = petrel.history(&id, &k, Page::default()).await.unwrap();
    let first = serde_json::to_vec(&history.items[0].1.value).unwrap();
    let again = publish_at(&server, "cb.workflows.loop.events.lifecycle.k", first).await;
    let done = quarantined(&petrel_at(server.url()).await, &k).await.unwrap();
    assert_eq!(told(&done), [at(again)]);
    let ranges: Vec<_> = done.record.value.aside.iter().map(|at| (at.first, at.last)).collect();
    assert_eq!(ranges, [(rubbish, rubbish), (again, again)].map(|(a, b)| (at(a), at(b))));
    assert!(petrel.fire(fired(&k, "go", "kept")).await.unwrap().repeated);
}

#[tokio::test]
async fn a_head_of_another_log_puts_no_good_record_aside() {
    // The last record, and one in the middle, are what the stale one says was put aside.
    for back in [0, 1] {
        let (server, petrel) = system().await;
        let k = begun(&petrel, 4).await;
        let id = workflow("loop");
        let before = petrel.case(&id, &k).await.unwrap();
        let good = petrel.history(&id, &k, Page::default()).await.unwrap().into_items();
        let mut stale = next(&petrel, &k, "stale").await;
        let at = good[good.len() - 1 - back].sequence;
        stale.aside = vec![Aside { first: at, last: at }];
        stale.previous_hash = Some("0".repeat(64));
        let stale = append(&petrel, &stale).await.sequence;
        let fresh = petrel_at(server.url()).await;
        let done = quarantined(&fresh, &k).await.unwrap();
        assert_eq!(told(&done), [stale]);
        let ranges: Vec<_> = done.record.value.aside.iter().map(|at| (at.first, at.last)).collect();
        assert_eq!(ranges, [(stale, stale)]);
        assert_eq!(done.record.value.previous, Some(before.sequence));
        let left = petrel.history(&id, &k, Page::default()).await.unwrap().into_items();
        assert_eq!(left.len(), good.len() + 1);
        petrel.fire(fire(&k, "go")).await.unwrap();
    }
}

#[tokio::test]
async fn nothing_is_judged_while_the_log_does_not_answer() {
    let (server, petrel) = system().await;
    let k = begun(&petrel, 3).await;
    let mut deep = next(&petrel, &k, "deep").await;
    let levels = (0..400).fold(json!({}), |inner, _| json!({ "a": inner }));
    deep.metadata = serde_json::from_value::<Value>(levels).unwrap().as_object().unwrap().clone();
    let unreadable = append(&petrel, &deep).await;
    let believed = append(&petrel, &after(&deep, &unreadable, "next")).await;
    let storage =
        FaultyStorage::new(Arc::new(NatsStorage::connect(config(server.url())).await.unwrap()));
    let process = Petrel::new(Arc::new(storage.clone()));
    storage.lose_answers_by_sequence(true);
    let error = quarantined(&process, &k).await.unwrap_err();
    assert!(error.retryable(), "{error}");
    assert_eq!(process.storage().last_sequence().await.unwrap(), Some(believed.sequence));
    storage.lose_answers_by_sequence(false);
    let done = quarantined(&process, &k).await.unwrap();
    assert_eq!(
        (told(&done), done.record.value.previous),
        (vec![unreadable.sequence], Some(believed.sequence))
    );

    // A case may lack its definition: that is no reason to believe that it has it.
    let other = petrel_at(server.url()).await;
    let error = {
        storage.lose_answers_by_sequence(true);
        let process = Petrel::new(Arc::new(storage.clone()));
        quarantined(&process, &k).await.unwrap_err()
    };
    assert!(error.retryable(), "{error}");
    assert!(quarantined(&other, &k).await.unwrap_err().to_string().contains("nothing is wrong"));
}
