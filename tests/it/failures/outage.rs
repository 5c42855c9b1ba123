//! The server is killed, cut off or frozen in the middle of a load.

use std::time::{Duration, Instant};

use stormpetrel::{
    local_server::{LocalServerOptions, SyncInterval},
    petrel::{Error, Petrel},
    storage::StorageError,
    testing::{FaultProxy, TestServer},
};

use super::{
    fixtures::{connect, eventually, impatient, pendulum, swing, view_is_the_log},
    load::Load,
};
use crate::support::workflow;

/// Waits until calls fail at once, and checks that they have the time since then, and are
/// worth trying again.
async fn fails_fast(petrel: &Petrel) {
    let (pendulum, case) = (workflow("pendulum"), crate::support::case("case-0"));
    eventually("calls that fail at once", Duration::from_secs(20), async || {
        let begun = Instant::now();
        let answer = petrel.case(&pendulum, &case).await;
        let took = begun.elapsed();
        let error = match answer {
            Ok(case) => return Err(format!("the server answered {}", case.sequence)),
            Err(error) => error,
        };
        assert!(error.retryable(), "{error}");
        let Error::Storage(StorageError::Unavailable { away_since, .. }) = &error else {
            panic!("{error}");
        };
        match away_since {
            Some(_) if took < Duration::from_millis(50) => {
                assert!(error.to_string().contains("away since"), "{error}");
                Ok(())
            }
            since => Err(format!("after {took:?}, away since {since:?}: {error}")),
        }
    })
    .await;
}

async fn survives_kills(sync_interval: SyncInterval) {
    let options = LocalServerOptions { sync_interval, ..Default::default() };
    let mut server = TestServer::start_with(options).await;
    let load = Load::start((0..3).map(|_| impatient(server.url()))).await;
    for _ in 0..3 {
        load.goes_on(60).await;
        server.kill().await;
        for cases in &load.connections {
            fails_fast(cases).await;
        }
        server.restart().await;
    }
    load.goes_on(60).await;
    load.ends_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_killed_in_mid_load_loses_and_doubles_nothing() {
    survives_kills(SyncInterval::Default).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_killed_in_mid_load_loses_and_doubles_nothing_when_it_always_syncs() {
    survives_kills(SyncInterval::Always).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_cut_in_mid_load_loses_and_doubles_nothing() {
    let server = TestServer::start().await;
    let proxy = FaultProxy::start(server.address()).await;
    // One of the three is never cut off, and goes on with the others' cases meanwhile.
    let configs = [impatient(proxy.url()), impatient(proxy.url()), impatient(server.url())];
    let load = Load::start(configs).await;
    for _ in 0..4 {
        load.goes_on(60).await;
        proxy.cut().await;
        fails_fast(&load.connections[0]).await;
        proxy.restore();
    }
    // Answers are lost, requests are not.
    for _ in 0..3 {
        load.goes_on(60).await;
        proxy.drop_replies();
        fails_fast(&load.connections[1]).await;
        proxy.cut().await;
        proxy.pass_replies();
        proxy.restore();
    }
    load.goes_on(60).await;
    load.ends_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_server_loses_and_doubles_nothing() {
    let server = TestServer::start().await;
    let load = Load::start((0..3).map(|_| impatient(server.url()))).await;
    for _ in 0..2 {
        load.goes_on(60).await;
        server.suspend();
        for cases in &load.connections {
            fails_fast(cases).await;
        }
        server.resume();
    }
    load.goes_on(60).await;
    load.ends_well().await;
}

#[tokio::test]
async fn a_call_that_the_server_does_not_answer_ends_and_the_next_one_after_the_thaw_succeeds() {
    let server = TestServer::start().await;
    let petrel = connect(impatient(server.url())).await;
    pendulum(&petrel).await;
    let (case, token) = swing(&petrel, "case-0").await;
    server.suspend();
    let begun = Instant::now();
    let change = stormpetrel::petrel::Change::default();
    let error = petrel.pause(&workflow("pendulum"), &case, change).await.unwrap_err();
    assert!(error.retryable(), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    server.resume();
    eventually("an answer", Duration::from_secs(10), async || {
        petrel.token(None, &token, Default::default()).await
    })
    .await;
    // The pause arrived late or not at all, and the view knows whichever it was.
    eventually("views", Duration::from_secs(10), async || view_is_the_log(&petrel).await).await;
}
