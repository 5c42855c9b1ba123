//! Answers that are lost, processes that die before the views are written, and three replicas.

use std::sync::Arc;

use futures::future::join_all;
use serde_json::json;
use stormpetrel::{
    models::{CaseStatus, FiringId},
    petrel::{Change, Fire, NewCase, Petrel},
    storage::{MemoryStorage, Page, Storage, nats::NatsStorage},
    testing::{FaultyStorage, TestCluster, TestServer},
};

use super::{audited::findings, begun, fired, incidents, places};
use crate::support::{case, config, petrel_at, replicated, transition, workflow};

fn id(text: &str) -> Change {
    Change { firing: Some(FiringId::new(text).unwrap()), ..Change::default() }
}

fn fire(name: &str, of: &str) -> Fire {
    Fire::case(workflow("order"), case(of), transition(name))
}

async fn kinds(petrel: &Petrel, of: &str, id: &str) -> Vec<&'static str> {
    let page = Page { first: 100, after: None };
    let history = petrel.history(&workflow(of), &case(id), page).await.unwrap();
    history.items.into_iter().map(|(_, record)| record.value.kind.as_str()).collect()
}

/// Each append happens, and no answer to one arrives: every kind of change, with an id and without.
#[tokio::test]
async fn a_change_whose_answer_is_lost_is_found_with_all_that_followed_it() {
    let server = TestServer::start().await;
    let nats: Arc<dyn Storage> =
        Arc::new(NatsStorage::connect(config(server.url())).await.unwrap());
    for inner in [nats, Arc::new(MemoryStorage::new())] {
        let storage = FaultyStorage::new(inner);
        let petrel = Petrel::new(Arc::new(storage.clone()));
        begun(&petrel, "first", json!({"amount": 5})).await;
        incidents::started(&petrel, "first", json!({"left": 0})).await;
        storage.lose_append_answers(true);
        let started = begun(&petrel, "o", json!({"amount": 5_000})).await;
        assert_eq!(fired(&started.record.value), ["hold"]);
        let approved = petrel.fire(fire("approve", "o")).await.unwrap();
        assert_eq!(
            (fired(&approved.record.value), approved.repeated),
            (vec!["approve".to_owned(), "split".to_owned()], false)
        );
        petrel.fire(Fire { change: id("p"), ..fire("pack", "o") }).await.unwrap();
        petrel.pause(&workflow("order"), &case("o"), Change::default()).await.unwrap();
        petrel.resume(&workflow("order"), &case("o"), Change::default()).await.unwrap();
        let billed = petrel.fire(fire("bill", "o")).await.unwrap();
        assert_eq!(fired(&billed.record.value), ["bill", "join", "send"]);
        assert_eq!(
            kinds(&petrel, "order", "o").await,
            ["created", "fired", "fired", "paused", "resumed", "fired"]
        );
        // An edit without an id that sets something off, and a retry.
        incidents::started(&petrel, "k", json!({"left": 100})).await;
        let gone = petrel.fire(incidents::go("k")).await.unwrap();
        let of = workflow("limited");
        petrel.retry_incident(&of, &case("k"), 1, Change::default()).await.unwrap();
        let token = gone.tokens[0].id.clone();
        let patch = json!({"left": 2});
        let mended =
            petrel.update_token_data(None, &token, patch, Change::default()).await.unwrap();
        assert_eq!((mended.record.value.cascade.len(), mended.repeated), (5, false));
        assert_eq!(kinds(&petrel, "limited", "k").await, ["created", "fired", "retried", "edited"]);
        storage.lose_append_answers(false);
        assert_eq!(places(&petrel, &case("o")).await, ["sent"]);
        assert_eq!(findings(&petrel).await, Vec::<String>::new());
        assert_eq!(petrel.rebuild(&|_, _| {}).await.unwrap().mended, 0);
    }
}

/// The record is in the log and its views are not; who comes next shows them, whatever was in between.
#[tokio::test]
async fn the_views_of_a_cascade_whose_process_died_are_written_by_the_next_change() {
    let server = TestServer::start().await;
    for (number, id_of) in [None, Some("b")].into_iter().enumerate() {
        let name = format!("o-{number}");
        let storage =
            FaultyStorage::new(Arc::new(NatsStorage::connect(config(server.url())).await.unwrap()));
        let dying = Petrel::new(Arc::new(storage.clone()));
        begun(&dying, &name, json!({"amount": 5_000})).await;
        storage.break_after_append();
        let change = id_of.map_or_else(Change::default, id);
        let approve = Fire { change, ..fire("approve", &name) };
        dying.fire(approve.clone()).await.unwrap_err();
        let other = petrel_at(server.url()).await;
        if id_of.is_some() {
            let again = other.fire(approve).await.unwrap();
            assert!(again.repeated);
            assert_eq!(places(&other, &case(&name)).await, ["to_bill", "to_pack"]);
        }
        other.fire(fire("pack", &name)).await.unwrap();
        assert_eq!(places(&other, &case(&name)).await, ["packed", "to_bill"]);
        assert_eq!(findings(&other).await, Vec::<String>::new());
    }
}

/// Two processes at two of three servers: one cascade for each case, whoever is last.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_three_replicas_each_join_fires_once() {
    let cluster = TestCluster::start(3).await;
    let at = async |node| {
        let storage = NatsStorage::connect(replicated(&cluster, node)).await.unwrap();
        Petrel::new(Arc::new(storage))
    };
    let (one, other) = (at(0).await, at(1).await);
    begun(&one, "warm", json!({"amount": 5})).await;
    let cases: Vec<_> = (0..20).map(|number| format!("o-{number}")).collect();
    let runs = cases.iter().enumerate().map(|(number, name)| {
        let (first, second) = if number % 2 == 0 { (&one, &other) } else { (&other, &one) };
        async move {
            let new = NewCase {
                case: Some(case(name)),
                data: json!({"amount": 5}),
                ..NewCase::of(workflow("order"))
            };
            first.create_case(new.clone()).await.unwrap();
            assert!(second.create_case(new).await.unwrap().repeated);
            let pack = Fire { change: id("p"), ..fire("pack", name) };
            let (packed, again, billed) = tokio::join!(
                first.fire(pack.clone()),
                second.fire(pack.clone()),
                second.fire(fire("bill", name))
            );
            let (packed, again, billed) = (packed.unwrap(), again.unwrap(), billed.unwrap());
            assert_eq!(packed.record.sequence, again.record.sequence);
            let cascades = [&packed, &billed].map(|of| of.record.value.cascade.len());
            assert_eq!(cascades.iter().sum::<usize>(), 2, "{name}");
            let read = first.case(&workflow("order"), &case(name)).await.unwrap();
            assert_eq!(read.status, CaseStatus::Completed);
        }
    });
    join_all(runs).await;
    assert_eq!(findings(&at(2).await).await, Vec::<String>::new());
}
