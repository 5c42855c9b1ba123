//! A connection that is lost under requests, and servers that are left for the next one.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::json;
use stormpetrel::{
    petrel::{Fire, Petrel},
    storage::nats::{NatsStorage, NatsStorageConfig},
    testing::{FaultProxy, TestServer},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::support::{begin, config, petrel_at, transition, workflow};

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
    let petrel = cases_with(patient(vec![proxy.url()])).await;
    let (begun, token) = begin(&petrel, json!({})).await;
    // Sent, and never answered.
    proxy.drop_replies();
    let firing = {
        let (petrel, token) = (petrel.clone(), token.clone());
        tokio::spawn(async move { petrel.fire(Fire::token(token, transition("submit"))).await })
    };
    let reading = {
        let (petrel, case) = (petrel.clone(), begun.case.id.clone());
        tokio::spawn(async move { petrel.case(&workflow("orders"), &case).await })
    };
    let near = petrel_at(server.url()).await;
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
    let petrel = cases_with(NatsStorageConfig { urls, ..config(server.url()) }).await;
    let (begun, _) = begin(&petrel, json!({})).await;
    let answers = async || {
        let asked = Instant::now();
        petrel.case(&workflow("orders"), &begun.case.id).await.unwrap();
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
