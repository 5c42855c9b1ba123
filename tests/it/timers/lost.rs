//! Timers with processes and servers that go away.

use std::{sync::Arc, time::Duration};

use futures::future::join_all;
use serde_json::json;
use stormpetrel::{
    models::CaseStatus,
    petrel::Petrel,
    storage::nats::NatsStorage,
    testing::{FaultyStorage, TestServer},
};

use super::{Serving, begun, invoice, is_whole, timed, until};
use crate::support::{case, config, petrel_at, system, workflow};

/// The process that set the timers is gone, and nobody served when they came due.
#[tokio::test]
async fn a_process_that_starts_later_fires_what_has_come_due() {
    let server = TestServer::start().await;
    {
        let gone = petrel_at(server.url()).await;
        let names: Vec<_> = (0..20).map(|number| format!("i-{number}")).collect();
        join_all(names.iter().map(|name| begun(&gone, invoice("10ms"), name, json!({})))).await;
        gone.close().await;
    }
    let petrel = petrel_at(server.url()).await;
    let serving = Serving::start(&petrel);
    for number in 0..20 {
        let name = format!("i-{number}");
        let records = until(&petrel, "invoice", &name, CaseStatus::Completed).await;
        assert_eq!(timed(&records), ["remind", "give_up"]);
    }
    serving.stop().await;
    is_whole(&petrel).await;
}

/// The record is in the log, and the process dies before the timer is armed.
#[tokio::test]
async fn timers_that_were_not_armed_are_armed_by_any_process_that_serves() {
    let server = TestServer::start().await;
    let stored = NatsStorage::connect(config(server.url())).await.unwrap();
    let faulty = FaultyStorage::new(Arc::new(stored));
    let dying = Petrel::new(Arc::new(faulty.clone()));
    let other = petrel_at(server.url()).await;
    let serving = Serving::start(&other);
    faulty.drop_arms(true);
    begun(&dying, invoice("10ms"), "k", json!({})).await;
    let records = until(&other, "invoice", "k", CaseStatus::Completed).await;
    assert_eq!(timed(&records), ["remind", "give_up"]);
    serving.stop().await;
    is_whole(&other).await;
}

/// Somebody takes the stream of timers away: it is made again, with the timers of all cases in it.
#[tokio::test]
async fn a_stream_of_timers_that_is_deleted_is_filled_again() {
    let (server, petrel) = system().await;
    let serving = Serving::start(&petrel);
    for number in 0..10 {
        begun(&petrel, invoice("1h"), &format!("long-{number}"), json!({})).await;
    }
    begun(&petrel, invoice("8s"), "short", json!({})).await;
    let client = async_nats::connect(server.url()).await.unwrap();
    let jetstream = async_nats::jetstream::new(client);
    jetstream.delete_stream("CB_TIMERS").await.unwrap();
    let records = until(&petrel, "invoice", "short", CaseStatus::Completed).await;
    assert_eq!(timed(&records), ["remind", "give_up"]);
    for number in 0..10 {
        let name = case(&format!("long-{number}"));
        let armed = petrel
            .storage()
            .armed_in(&workflow("invoice"), std::slice::from_ref(&name))
            .await
            .unwrap();
        assert_eq!(armed.len(), 1, "{name}");
    }
    serving.stop().await;
    is_whole(&petrel).await;
}

/// The server is killed again and again, while timers are armed, come due and are settled.
#[tokio::test]
async fn each_timer_fires_once_through_kills_of_the_server() {
    let mut server = TestServer::start().await;
    let petrels = [petrel_at(server.url()).await, petrel_at(server.url()).await];
    let serving: Vec<_> = petrels.iter().map(Serving::start).collect();
    let mut names = Vec::new();
    for round in 0..5 {
        for number in 0..8 {
            let name = format!("i-{round}-{number}");
            let ms = [50, 400, 1_500][number % 3];
            begun(&petrels[number % 2], invoice(&format!("{ms}ms")), &name, json!({})).await;
            names.push(name);
        }
        tokio::time::sleep(Duration::from_millis(100 * round)).await;
        server.kill().await;
        server.restart().await;
    }
    for name in &names {
        let records = until(&petrels[1], "invoice", name, CaseStatus::Completed).await;
        assert_eq!(timed(&records), ["remind", "give_up"], "{name}");
    }
    // What the server had not written down of the view is mended by those who serve.
    crate::work::is_whole_in_the_end(&petrel_at(server.url()).await).await;
    for serving in serving {
        serving.stop().await;
    }
}
