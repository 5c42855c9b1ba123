//! Cases that older versions began or went on with: their records name none of those before.

use std::sync::Arc;

use serde_json::json;
use stormpetrel::{
    models::{LogSequence, PAGE_LENGTH, Record},
    petrel::{Change, Petrel},
    storage::{AppendOptions, Page, Storage},
    testing::TestServer,
};

use super::fixtures::{What, create, log, loops, named, sequences};
use crate::support::{case, petrel_at, workflow};

/// Goes on with a case as an older version did: as this one, without the lists.
async fn older_tick(
    storage: &Arc<dyn Storage>,
    scratch: &Petrel,
    name: &str,
    id: &str,
) -> LogSequence {
    let records = log(storage, name).await;
    let head = records.last().unwrap();
    let made = What::Fire("tick", 0).ask(scratch, "scratch", named(id)).await.unwrap();
    let mut record = Record { case: case(name), ..made.record.value.clone() };
    record.previous = Some(head.sequence);
    record.previous_hash = Some(head.hash.clone());
    (record.request, record.recent, record.page) = (None, Vec::new(), None);
    (record.pages, record.unlisted) = (Vec::new(), None);
    let before = &head.value;
    let token = before.marking.0[0].token.clone();
    record.consumed[0].token = token.clone();
    record.marking.0[0].token = token.clone();
    record.produced[0].id = token;
    record.produced[0].case = case(name);
    record.produced[0].history = Default::default();
    record.history_bases.clear();
    record.tokens_made = before.tokens_made;
    let options = AppendOptions::after(head.sequence);
    storage.append(&record, options).await.unwrap().sequence
}

#[tokio::test]
async fn ids_of_older_records_are_known_wherever_they_stand() {
    let server = TestServer::start().await;
    let petrel = petrel_at(server.url()).await;
    loops(&petrel).await;
    create(&petrel, "scratch", json!({})).await.unwrap();
    create(&petrel, "k", json!({})).await.unwrap();
    let (storage, tick) = (petrel.storage(), What::Fire("tick", 0));
    let mut first = Vec::new();
    for round in 0..3 {
        for number in 0..5 {
            let id = format!("old-{round}-{number}");
            let sequence = older_tick(storage, &petrel, "k", &id).await;
            first.push((id, sequence));
        }
        for number in 0..PAGE_LENGTH / 2 * (round + 1) {
            let id = format!("new-{round}-{number}");
            let other = petrel_at(server.url()).await;
            let process = if number % 16 == 0 { &other } else { &petrel };
            let fired = tick.ask(process, "k", named(&id)).await.unwrap();
            assert!(!fired.repeated);
            first.push((id, fired.record.sequence));
        }
    }
    let cold = petrel_at(server.url()).await;
    for (id, sequence) in &first {
        for process in [&petrel, &cold] {
            let again = tick.ask(process, "k", named(id)).await.unwrap();
            assert!(again.repeated, "{id}");
            assert_eq!(again.record.sequence, *sequence);
        }
    }
    // Without a digest, what the record says must fit.
    assert!(What::Cancel.ask(&cold, "k", named("old-0-0")).await.is_err());
    assert!(What::Fire("go", 0).ask(&cold, "k", named("old-0-0")).await.is_err());
    let all = sequences(&log(storage, "k").await);
    let page = Page { first: 1_000, after: None };
    let history = cold.history(&workflow("loops"), &case("k"), page).await.unwrap();
    let history: Vec<_> = history.items.iter().map(|(_, record)| record.sequence).collect();
    assert_eq!(history, all);
    assert!(!tick.ask(&cold, "k", Change::default()).await.unwrap().repeated);
}
