//! A connection that is lost under requests, servers that are left for the next one, and a
//! serving process that lost a part of itself.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::json;
use stormpetrel::{
    graphql::{Api, Limits},
    petrel::{Fire, Petrel},
    server::{ServerState, serve},
    storage::nats::{NatsStorage, NatsStorageConfig},
    testing::{FaultProxy, TestServer},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_util::sync::CancellationToken;

use crate::support::{begin, cases_at, config, transition, workflow};

/// Settings of a system that others rely on: an answer may take 30 s.
fn patient(urls: Vec<String>) -> NatsStorageConfig {
    NatsStorageConfig { urls, ..NatsStorageConfig::production() }
}

async fn cases_with(config: NatsStorageConfig) -> Petrel {
    Petrel::new(Arc::new(NatsStorage::connect(config).await.unwrap()))
}

/// A way to a server that ends the first connection when it is asked for a stream.
async fn ends_when_asked(upstream: SocketAddr) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut first, _) = listener.accept().await.unwrap();
        let mut server = TcpStream::connect(upstream).await.unwrap();
        let (mut said, mut of_client, mut of_server) = (Vec::<u8>::new(), [0; 4096], [0; 4096]);
        while !said.windows(11).any(|part| part == b"STREAM.INFO") {
            tokio::select! {
                read = first.read(&mut of_client) => {
                    let read = &of_client[..read.unwrap()];
                    said.extend(read);
                    server.write_all(read).await.unwrap();
                }
                read = server.read(&mut of_server) => {
                    first.write_all(&of_server[..read.unwrap()]).await.unwrap();
                }
            }
        }
        drop((first, server));
        loop {
            let (mut next, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut server = TcpStream::connect(upstream).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut next, &mut server).await;
            });
        }
    });
    format!("nats://{address}")
}

/// A process that starts while its connection is lost starts all the same.
#[tokio::test]
async fn a_connection_that_is_lost_at_the_start_is_made_again() {
    let server = TestServer::start().await;
    for step in ["before anything is there", "when all is there"] {
        let url = ends_when_asked(server.address()).await;
        let connected = NatsStorage::connect(patient(vec![url])).await;
        assert!(connected.is_ok(), "{step}: {}", connected.unwrap_err());
    }
}

#[tokio::test]
async fn requests_under_way_when_the_connection_is_lost_are_made_again_and_not_waited_for() {
    let server = TestServer::start().await;
    let proxy = FaultProxy::start(server.address()).await;
    let cases = cases_with(patient(vec![proxy.url()])).await;
    let (begun, token) = begin(&cases, json!({})).await;
    // Sent, and never answered.
    proxy.drop_replies();
    let firing = {
        let (cases, token) = (cases.clone(), token.clone());
        tokio::spawn(async move { cases.fire(Fire::token(token, transition("submit"))).await })
    };
    let reading = {
        let (cases, case) = (cases.clone(), begun.case.id.clone());
        tokio::spawn(async move { cases.case(&workflow("orders"), &case).await })
    };
    let near = cases_at(server.url()).await;
    let orders = workflow("orders");
    // The fault: nothing comes back for a while, and then the connection is gone.
    tokio::time::sleep(Duration::from_millis(200)).await;
    let lost = Instant::now();
    proxy.cut().await;
    proxy.pass_replies();
    tokio::time::sleep(Duration::from_millis(300)).await;
    proxy.restore();
    let fired = firing.await.unwrap().unwrap();
    reading.await.unwrap().unwrap();
    assert!(lost.elapsed() < Duration::from_secs(3), "{:?}", lost.elapsed());
    assert_eq!(fired.case.id, begun.case.id);
    let history = near.history(&orders, &begun.case.id, Default::default()).await.unwrap();
    assert_eq!(history.items.len(), 2, "fired once");
}

/// Two addresses of one server: the first is cut, then refuses, then is silent.
#[tokio::test]
async fn a_server_that_is_gone_is_left_for_the_next_within_a_requests_time() {
    let server = TestServer::start().await;
    let mut proxies =
        vec![FaultProxy::start(server.address()).await, FaultProxy::start(server.address()).await];
    let urls = proxies.iter().map(FaultProxy::url).collect();
    let within = NatsStorageConfig::development().consumer_timeout;
    let cases = cases_with(NatsStorageConfig { urls, ..config(server.url()) }).await;
    let (begun, _) = begin(&cases, json!({})).await;
    let answers = async || {
        let asked = Instant::now();
        cases.case(&workflow("orders"), &begun.case.id).await.unwrap();
        assert!(asked.elapsed() < within, "{:?}", asked.elapsed());
    };
    for gone in [0, 1] {
        // New connections are closed at once.
        proxies[gone].cut().await;
        answers().await;
        proxies[gone].restore();
        // Connections stay open, and nothing comes through them.
        proxies[1 - gone].hold();
        answers().await;
        proxies[1 - gone].release();
        answers().await;
    }
    // Nobody listens there any more.
    drop(proxies.remove(0));
    answers().await;
}

/// The status and the body of a `GET /readyz`.
async fn readiness(address: std::net::SocketAddr) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = "GET /readyz HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn a_process_whose_reconciler_has_panicked_is_not_ready() {
    let server = TestServer::start().await;
    let cases = cases_at(server.url()).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let state = ServerState::new(Api::new(cases, Limits::default()));
    let reconciler = state.supervise("reconciler", async { panic!("out of order") });
    assert!(reconciler.await.unwrap_err().is_panic());
    let serving = tokio::spawn(serve(listener, state, stop.clone()));
    let answer = readiness(address).await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(answer.contains("the reconciler has panicked"), "{answer}");
    stop.cancel();
    serving.await.unwrap().unwrap();
}
