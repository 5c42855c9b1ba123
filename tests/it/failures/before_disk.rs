//! A view that acknowledges before the disk, and what a crash of its server takes.

use std::{fs, path::PathBuf, time::Duration};

use futures::future::try_join_all;
use serde_json::{Value, json};
use stormpetrel::{
    local_server::{LocalServerOptions, Store},
    petrel::{Fire, Petrel},
    storage::nats::{NatsStorage, NatsStorageConfig},
    testing::{TestCluster, TestServer},
};

use super::fixtures::{
    Reconciler, connect, eventually, faulty, fire_once, impatient, move_once, operator, pendulum,
    stream_info, swing, token_in, view_is_the_log,
};
use crate::support::{config, copy_folder, replicated, transition};

const PATIENCE: Duration = Duration::from_secs(60);

/// A server that loses what its view got since [`keep`](Self::keep), and nothing of its log.
struct Forgetful {
    server: Option<TestServer>,
    url: String,
    port: u16,
    folder: tempfile::TempDir,
}

impl Forgetful {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::Kept(folder.path().join("data"));
        let server =
            TestServer::start_with(LocalServerOptions { store, ..Default::default() }).await;
        let (url, port) = (server.url(), server.local().port());
        Self { server: Some(server), url, port, folder }
    }

    /// Starts the server again, after a change of its view's folder and of that of the copy.
    async fn again(&mut self, change: impl FnOnce(PathBuf, PathBuf)) {
        self.server = None;
        let data = self.folder.path().join("data");
        change(data.join("jetstream/$G/streams/CB_MARKING"), self.folder.path().join("kept"));
        let (store, port) = (Store::Kept(data), Some(self.port));
        let options = LocalServerOptions { store, port, ..Default::default() };
        self.server = Some(TestServer::start_with(options).await);
    }

    /// Keeps what the view has now.
    async fn keep(&mut self) {
        self.again(|view, kept| copy_folder(&view, &kept)).await;
    }

    async fn crash(&mut self) {
        self.again(|view, kept| {
            fs::remove_dir_all(&view).unwrap();
            copy_folder(&kept, &view);
        })
        .await;
    }
}

async fn persist_mode(url: String) -> Value {
    stream_info(&operator(url).await, "CB_MARKING").await["config"]["persist_mode"].take()
}

#[tokio::test]
async fn a_view_acknowledges_before_the_disk_where_its_loss_is_noticed() {
    let server = TestServer::start().await;
    drop(connect(config(server.url())).await);
    assert_eq!(persist_mode(server.url()).await, "async");
    // It stays as it is.
    drop(connect(NatsStorageConfig { view_on_disk: true, ..config(server.url()) }).await);
    assert_eq!(persist_mode(server.url()).await, "async");

    let server = TestServer::start().await;
    drop(connect(NatsStorageConfig { view_on_disk: true, ..config(server.url()) }).await);
    assert_ne!(persist_mode(server.url()).await, "async");
    drop(connect(config(server.url())).await);
    assert_ne!(persist_mode(server.url()).await, "async");

    let cluster = TestCluster::start(3).await;
    drop(connect(NatsStorageConfig { replicas: Some(1), ..replicated(&cluster, 0) }).await);
    assert_ne!(persist_mode(cluster.url(0)).await, "async");
}

#[tokio::test]
async fn replicas_for_a_view_before_the_disk_are_refused_with_what_to_do() {
    // As where the server joined a cluster later.
    let alone = TestServer::start().await;
    drop(connect(config(alone.url())).await);
    let alone = operator(alone.url()).await;
    let cluster = TestCluster::start(3).await;
    let cluster_of = operator(cluster.url(0)).await;
    for stream in ["CB_LOG", "CB_MARKING"] {
        let settings = stream_info(&alone, stream).await["config"].take();
        let made: Value =
            cluster_of.request(format!("STREAM.CREATE.{stream}"), &settings).await.unwrap();
        assert!(made.get("error").is_none(), "{made}");
    }
    let error = NatsStorage::connect(replicated(&cluster, 0)).await.unwrap_err().to_string();
    assert!(error.contains("CB_MARKING") && error.contains("nats stream rm"), "{error}");
    let info = stream_info(&cluster_of, "CB_LOG").await;
    assert_eq!(info["config"]["num_replicas"], 1, "nothing was changed");
    // What it says to do does it.
    cluster_of.delete_stream("CB_MARKING").await.unwrap();
    drop(connect(replicated(&cluster, 0)).await);
    for stream in ["CB_LOG", "CB_MARKING"] {
        let info = stream_info(&cluster_of, stream).await;
        assert_eq!(info["config"]["num_replicas"], 3, "{stream}");
    }
}

async fn checkpoint(url: String) -> Result<Value, String> {
    let view = operator(url).await.get_stream("CB_MARKING").await.unwrap();
    let last = view.direct_get_last_for_subject("cb.views.checkpoint").await;
    let last = last.map_err(|error| error.to_string())?;
    Ok(serde_json::from_slice(&last.payload).unwrap())
}

/// Each of so many new cases is one record.
async fn fill(petrel: &Petrel, name: &str, cases: usize) {
    let numbers: Vec<_> = (0..cases).collect();
    for some in numbers.chunks(128) {
        let begun = some.iter().map(async |number| {
            swing(petrel, &format!("{name}-{number}")).await;
            Ok::<_, ()>(())
        });
        try_join_all(begun).await.unwrap();
    }
}

#[tokio::test]
async fn what_a_crash_took_of_the_view_is_found_however_long_ago_it_was() {
    let mut server = Forgetful::start().await;
    let petrel = connect(impatient(&server.url)).await;
    pendulum(&petrel).await;
    let (early, _) = swing(&petrel, "early").await;
    {
        let _reconciler = Reconciler::of(&petrel);
        eventually("a checkpoint", PATIENCE, async || {
            let checkpoint = checkpoint(server.url.clone()).await?;
            if checkpoint["right"] == 2 { Ok(()) } else { Err(checkpoint.to_string()) }
        })
        .await;
    }
    server.keep().await;
    for firing in ["a", "b", "c"] {
        move_once(&petrel, &early, firing).await;
    }
    let (lost, _) = swing(&petrel, "lost").await;
    server.crash().await;
    // Nobody serves, and the log goes on for longer than every process looks back.
    let other = connect(impatient(&server.url)).await;
    fill(&other, "later", 10_100).await;
    assert!(view_is_the_log(&other).await.is_err(), "{lost} was not lost");
    let third = connect(impatient(&server.url)).await;
    let _reconciler = Reconciler::of(&third);
    eventually("a view that is right", PATIENCE, async || view_is_the_log(&third).await).await;
    // The server was started twice since, and the view was right in the end.
    let last = third.storage().last_sequence().await.unwrap().unwrap();
    eventually("another checkpoint", PATIENCE, async || {
        let checkpoint = checkpoint(server.url.clone()).await?;
        if checkpoint["right"] == last.get() { Ok(()) } else { Err(checkpoint.to_string()) }
    })
    .await;
}

/// What was right in an earlier life of the view may be lost in this one, and what was on disk is not.
#[tokio::test]
async fn whoever_serves_begins_where_the_view_was_on_disk_after_a_crash() {
    let mut server = Forgetful::start().await;
    let petrel = connect(impatient(&server.url)).await;
    pendulum(&petrel).await;
    let (early, _) = swing(&petrel, "early").await;
    server.keep().await;
    move_once(&petrel, &early, "lost").await;
    fill(&petrel, "later", 10_100).await;
    server.crash().await;
    let other = connect(impatient(&server.url)).await;
    fill(&other, "since", 10_100).await;
    let last = other.storage().last_sequence().await.unwrap().unwrap();
    let info = stream_info(&operator(&server.url).await, "CB_MARKING").await;
    let made = info["created"].as_str().unwrap();
    let checkpoint = json!({ "life": format!("{made} another"), "right": last, "kept": 2 });
    let client = async_nats::connect(&server.url).await.unwrap();
    client.publish("cb.views.checkpoint", checkpoint.to_string().into()).await.unwrap();
    client.flush().await.unwrap();
    let _reconciler = Reconciler::of(&other);
    eventually("a view that is right", PATIENCE, async || view_is_the_log(&other).await).await;
}

#[tokio::test]
async fn a_process_that_was_there_before_the_crash_and_serves_mends_what_it_took() {
    let mut server = Forgetful::start().await;
    let petrel = connect(impatient(&server.url)).await;
    pendulum(&petrel).await;
    let _reconciler = Reconciler::of(&petrel);
    fill(&petrel, "kept", 20).await;
    server.keep().await;
    let (case, _) = swing(&petrel, "lost").await;
    for firing in ["a", "b", "c"] {
        move_once(&petrel, &case, firing).await;
    }
    fill(&petrel, "more", 200).await;
    server.crash().await;
    eventually("a view that is right", PATIENCE, async || view_is_the_log(&petrel).await).await;
}

/// The views of the last record could not be written, and those of the one before are lost.
#[tokio::test]
async fn what_is_lost_before_a_record_whose_views_failed_is_found_by_the_next_change() {
    let mut server = Forgetful::start().await;
    let (storage, petrel) = faulty(&server.url).await;
    pendulum(&petrel).await;
    let (case, token) = swing(&petrel, "case").await;
    let second = petrel.create_token(token_in(&case)).await.unwrap().tokens[0].id.clone();
    server.keep().await;
    let go = |token| Fire::token(token, transition("go"));
    let lost = fire_once(go(token), "lost");
    eventually("the firing", PATIENCE, async || petrel.fire(lost.clone()).await).await;
    storage.drop_views();
    petrel.fire(fire_once(go(second), "failed")).await.unwrap();
    storage.pass_views();
    server.crash().await;
    let other = connect(impatient(&server.url)).await;
    assert!(view_is_the_log(&other).await.is_err(), "nothing was lost");
    eventually("another token", PATIENCE, async || petrel.create_token(token_in(&case)).await)
        .await;
    view_is_the_log(&petrel).await.unwrap();
}

/// The change that is answered rests on a record whose views are lost.
#[tokio::test]
async fn whoever_is_answered_after_a_crash_finds_in_listings_what_the_answer_rests_on() {
    for next in ["the same", "another token", "a new token"] {
        let mut server = Forgetful::start().await;
        let petrel = connect(impatient(&server.url)).await;
        pendulum(&petrel).await;
        let (case, token) = swing(&petrel, "case").await;
        let second = petrel.create_token(token_in(&case)).await.unwrap().tokens[0].id.clone();
        server.keep().await;
        let go = |token| Fire::token(token, transition("go"));
        let lost = fire_once(go(token.clone()), "lost");
        eventually("the firing", PATIENCE, async || petrel.fire(lost.clone()).await).await;
        server.crash().await;
        let other = connect(impatient(&server.url)).await;
        assert!(view_is_the_log(&other).await.is_err(), "nothing was lost");
        eventually(next, PATIENCE, async || match next {
            "the same" => petrel.fire(lost.clone()).await,
            "another token" => petrel.fire(fire_once(go(second.clone()), "next")).await,
            _ => petrel.create_token(token_in(&case)).await,
        })
        .await;
        view_is_the_log(&petrel).await.unwrap_or_else(|differs| panic!("{next}: {differs}"));
    }
}
