//! A serving process that loses a part of itself, and its shutdown.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use futures::StreamExt;
use serde_json::json;
use stormpetrel::{
    graphql::{Api, Limits},
    petrel::Petrel,
    process::{Serving, ServingError, Tasks},
    server::{ServerState, serve},
    storage::{LogScope, MemoryStorage, nats::NatsStorage},
    testing::{FaultyStorage, TestServer},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::support::{begin, config, orders, petrel_at};

/// Longest time for a fault to show.
const SOON: Duration = Duration::from_secs(30);

/// The status and the body of a `GET /readyz`.
async fn readiness(address: SocketAddr) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = "GET /readyz HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

/// Asks until the process is not ready, and returns that answer.
async fn lost(address: SocketAddr) -> String {
    let asking = async {
        loop {
            match readiness(address).await {
                ready if ready.starts_with("HTTP/1.1 200") => {
                    sleep(Duration::from_millis(20)).await
                }
                answer => return answer,
            }
        }
    };
    timeout(SOON, asking).await.expect("it stays ready")
}

/// A process that serves over `cases`, its address, and the token that stops it.
struct Served {
    address: SocketAddr,
    stop: CancellationToken,
    serving: JoinHandle<Result<(), ServingError>>,
}

async fn served(server: &TestServer, petrel: Petrel) -> Served {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
    let storage = NatsStorage::connect(config(server.url())).await.unwrap();
    let (doors, audit_every) = (Default::default(), Some(Duration::from_secs(3_600)));
    let serving = Serving { petrel, storage, doors, tokens: None, audit_every, worker: None };
    Served { address, serving: tokio::spawn(serving.run(listener, stop.clone())), stop }
}

/// The store of a server, and the same with faults to come.
async fn faulty(server: &TestServer) -> (FaultyStorage, Petrel) {
    let storage = NatsStorage::connect(config(server.url())).await.unwrap();
    let faulty = FaultyStorage::new(Arc::new(storage));
    (faulty.clone(), Petrel::new(Arc::new(faulty)))
}

#[tokio::test]
async fn a_process_whose_reconciler_has_ended_is_not_ready_and_says_so_at_its_end() {
    let server = TestServer::start().await;
    let petrel = petrel_at(server.url()).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
    let mut tasks = Tasks::new(&stop);
    let state =
        ServerState::new(Api::new(petrel.clone(), Limits::default())).with_faults(tasks.faults());
    let serving = tokio::spawn(serve(listener, state, stop.clone()));
    // It returns, as by a fault of its own, when nothing else stops.
    let its_own = CancellationToken::new();
    tasks.run("reconciler", {
        let its_own = its_own.clone();
        |_| async move { petrel.run_reconciler(its_own).await }
    });
    let answer = readiness(address).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    its_own.cancel();
    let answer = lost(address).await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(answer.contains("the reconciler has ended; restart this process"), "{answer}");
    stop.cancel();
    serving.await.unwrap().unwrap();
    let fault = tasks.end(SOON).await.unwrap_err();
    assert_eq!(fault.to_string(), "the reconciler has ended");
}

#[tokio::test]
async fn a_process_that_lost_its_reconciler_or_its_index_by_a_panic_is_not_ready() {
    let server = TestServer::start().await;
    for (method, task) in [("last_sequence", "reconciler"), ("statuses", "index")] {
        let (faulty, petrel) = faulty(&server).await;
        petrel.create_workflow(orders(), Default::default()).await.unwrap();
        let Served { address, stop, serving } = served(&server, petrel.clone()).await;
        let answer = readiness(address).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        faulty.panic_in(method);
        // A record for the index to read.
        begin(&petrel_at(server.url()).await, json!({})).await;
        let answer = lost(address).await;
        assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
        assert!(answer.contains("has panicked; restart this process"), "{answer}");
        let fault = format!("the {task} has panicked");
        let named = async {
            while !readiness(address).await.contains(&fault) {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(SOON, named).await.unwrap_or_else(|_| panic!("{task} is not named"));
        stop.cancel();
        let ended = serving.await.unwrap().unwrap_err();
        assert!(ended.to_string().contains(&fault), "{ended}");
    }
}

#[tokio::test]
async fn a_subscriber_hears_of_a_feed_that_has_panicked_and_the_next_has_another() {
    let faulty = FaultyStorage::new(Arc::new(MemoryStorage::new()));
    let petrel = Petrel::new(Arc::new(faulty.clone()));
    petrel.create_workflow(orders(), Default::default()).await.unwrap();
    let mut heard = petrel.watch(LogScope::All, None).await.unwrap();
    faulty.panic_in("watch");
    begin(&petrel, json!({})).await;
    let end = timeout(SOON, heard.next()).await.expect("it hears nothing").unwrap().unwrap_err();
    assert!(end.retryable(), "{end}");
    assert!(end.to_string().contains("the reading of the log was cut off"), "{end}");
    assert!(timeout(SOON, heard.next()).await.unwrap().is_none());
    faulty.panic_in("nothing");
    let mut heard = petrel.watch(LogScope::All, None).await.unwrap();
    let begun = begin(&petrel, json!({})).await;
    let record = timeout(SOON, heard.next()).await.unwrap().unwrap().unwrap();
    assert_eq!(record.value.case, begun.0.case.id);
}

#[tokio::test]
async fn the_shutdown_waits_for_the_changes_under_way() {
    let server = TestServer::start().await;
    let (faulty, petrel) = faulty(&server).await;
    petrel.create_workflow(orders(), Default::default()).await.unwrap();
    let Served { stop, mut serving, .. } = served(&server, petrel.clone()).await;
    faulty.hold_appends(true);
    let change = tokio::spawn({
        let petrel = petrel.clone();
        async move { begin(&petrel, json!({})).await }
    });
    faulty.until_append_held().await;
    stop.cancel();
    assert!(timeout(Duration::from_millis(300), &mut serving).await.is_err(), "it did not wait");
    faulty.hold_appends(false);
    timeout(SOON, serving).await.unwrap().unwrap().unwrap();
    change.await.unwrap();
}
