//! A view that acknowledges before the disk, and what a crash of its server takes.

use std::{fs, path::PathBuf, time::Duration};

use futures::future::try_join_all;
use serde_json::{Value, json};
use stormpetrel::{
    local_server::{LocalServerOptions, Store},
    petrel::{Fire, Petrel},
    storage::{
        Consistency, Recovery, TokenView,
        nats::{NatsStorage, NatsStorageConfig},
    },
    testing::{TestCluster, TestServer},
};

use super::fixtures::{
    Reconciler, connect, eventually, faulty, fire_once, impatient, move_once, operator, pendulum,
    stream_info, swing, token_in, view_is_the_log,
};
use super::{doctor::Configured, looking::run};
use crate::program::{Program, program};
use crate::support::{config, copy_folder, replicated, transition};

pub(super) const PATIENCE: Duration = Duration::from_secs(60);

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

pub(super) async fn persist_mode(url: String) -> Value {
    stream_info(&operator(url).await, "CB_MARKING").await["config"]["persist_mode"].take()
}

#[tokio::test]
async fn a_view_acknowledges_before_the_disk_where_its_loss_is_noticed() {
    let server = TestServer::start().await;
    let storage = NatsStorage::connect(config(server.url())).await.unwrap();
    assert_eq!(persist_mode(server.url()).await, "async");
    assert!(matches!(storage.recovery().await.unwrap(), Recovery::After(_)));
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
pub(super) async fn fill(petrel: &Petrel, name: &str, cases: usize) {
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
    let petrel = connect(config(&server.url)).await;
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
    let other = connect(config(&server.url)).await;
    fill(&other, "later", 10_100).await;
    assert!(view_is_the_log(&other).await.is_err(), "{lost} was not lost");
    let third = connect(config(&server.url)).await;
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

/// In another life of a view, what was on disk is right, and not what was only acknowledged.
#[tokio::test]
async fn whoever_serves_begins_where_the_view_was_on_disk_after_a_crash() {
    let mut server = Forgetful::start().await;
    let petrel = connect(config(&server.url)).await;
    pendulum(&petrel).await;
    let (early, _) = swing(&petrel, "early").await;
    server.keep().await;
    move_once(&petrel, &early, "lost").await;
    fill(&petrel, "later", 10_100).await;
    server.crash().await;
    let other = connect(config(&server.url)).await;
    fill(&other, "since", 10_100).await;
    let last = other.storage().last_sequence().await.unwrap().unwrap();
    let info = stream_info(&operator(&server.url).await, "CB_MARKING").await;
    let made = info["created"].as_str().unwrap();
    for (life, on_disk) in [("second", last.get() - 1), ("third", 2)] {
        let kept = json!({ "life": format!("{made} {life}"), "right": last, "kept": on_disk });
        let client = async_nats::connect(&server.url).await.unwrap();
        client.publish("cb.views.checkpoint", kept.to_string().into()).await.unwrap();
        client.flush().await.unwrap();
        let _reconciler = Reconciler::of(&other);
        eventually("another checkpoint", PATIENCE, async || {
            let found = checkpoint(server.url.clone()).await?;
            let is_of_this_life = found["life"] != kept["life"] && found["right"] == last.get();
            if is_of_this_life { Ok(()) } else { Err(found.to_string()) }
        })
        .await;
        let seen = view_is_the_log(&other).await;
        assert_eq!(seen.is_ok(), on_disk == 2, "{on_disk} of {last}: {seen:?}");
    }
}

#[tokio::test]
async fn a_view_whose_server_crashes_while_it_is_filled_is_filled_all_the_same() {
    let mut server = Forgetful::start().await;
    let petrel = connect(impatient(&server.url)).await;
    pendulum(&petrel).await;
    fill(&petrel, "case", 3_000).await;
    let view = operator(&server.url).await;
    view.delete_stream("CB_MARKING").await.unwrap();
    assert!(run(&server.url, &["init"]).await.status.success());
    server.keep().await;
    let mut serve = program();
    serve.args(["--json", "serve", "--listen", "127.0.0.1:0", "--nats-url", &server.url]);
    let mut serve = Program::start(serve);
    serve.json().await;
    eventually("a view that is half full", PATIENCE, async || {
        let view = stream_info(&operator(&server.url).await, "CB_MARKING").await;
        let messages = view["state"]["messages"].as_u64().unwrap();
        if messages > 500 { Ok(()) } else { Err(messages) }
    })
    .await;
    server.crash().await;
    serve.logs("it has been filled").await;
    view_is_the_log(&connect(impatient(&server.url)).await).await.unwrap();
    serve.terminate().await;
}

/// It is on disk that the view has been filled, and the tokens are not. The one that goes on serving
/// has not filled it.
#[tokio::test]
async fn what_a_crash_took_of_a_view_that_another_process_filled_is_found() {
    let mut server = Forgetful::start().await;
    let petrel = connect(impatient(&server.url)).await;
    pendulum(&petrel).await;
    fill(&petrel, "case", 10_100).await;
    operator(&server.url).await.delete_stream("CB_MARKING").await.unwrap();
    assert!(run(&server.url, &["init"]).await.status.success());
    server.keep().await;
    let _reconciler = Reconciler::of(&petrel);
    let mut serve = program();
    serve.args(["--json", "serve", "--listen", "127.0.0.1:0", "--nats-url", &server.url]);
    let mut serve = Program::start(serve);
    serve.logs("it has been filled").await;
    serve.terminate().await;
    let last = petrel.storage().last_sequence().await.unwrap().unwrap();
    eventually("a checkpoint", PATIENCE, async || {
        let found = checkpoint(server.url.clone()).await?;
        if found["right"] == last.get() { Ok(()) } else { Err(found.to_string()) }
    })
    .await;
    let put_back = |view: PathBuf, kept: PathBuf| {
        fs::remove_dir_all(view.join("msgs")).unwrap();
        copy_folder(&kept.join("msgs"), &view.join("msgs"));
    };
    server.again(put_back).await;
    let view = stream_info(&operator(&server.url).await, "CB_MARKING").await;
    assert!(view["state"]["messages"].as_u64().unwrap() < 10_000, "nothing was lost: {view}");
    assert!(view["config"]["metadata"]["stormpetrel.filling"].is_null(), "{view}");
    eventually("a view that is right", PATIENCE, async || view_is_the_log(&petrel).await).await;
}

#[tokio::test]
async fn a_view_is_filled_by_a_user_who_may_not_keep_its_checkpoint() {
    let server = Configured::start(
        "jetstream { store_dir: \"STORE\" }\nauthorization { users: [\n\
         { user: all, password: s }\n\
         { user: old, password: s, permissions: { publish: { deny: [\"cb.views.>\"] } } }\n]}",
    )
    .await;
    let of = |user: &str| server.url.replace("//", &format!("//{user}:s@"));
    let on_disk = NatsStorageConfig { view_on_disk: true, ..impatient(of("all")) };
    let petrel = connect(on_disk).await;
    pendulum(&petrel).await;
    swing(&petrel, "case").await;
    let mut serve = program();
    serve.args(["--json", "serve", "--listen", "127.0.0.1:0", "--nats-url", &of("old")]);
    let mut serve = Program::start(serve);
    serve.json().await;
    // It makes one that acknowledges before the disk.
    let all = async_nats::ConnectOptions::with_user_and_password("all".into(), "s".into());
    let all = async_nats::jetstream::new(all.connect(&server.url).await.unwrap());
    all.delete_stream("CB_MARKING").await.unwrap();
    serve.logs("it has been filled").await;
    eventually("a view that is right", PATIENCE, async || view_is_the_log(&petrel).await).await;
    serve.terminate().await;
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
    let before = petrel.token(None, &token, Consistency::Eventual).await.unwrap().place;
    let second = petrel.create_token(token_in(&case)).await.unwrap().tokens[0].id.clone();
    server.keep().await;
    let go = |token| Fire::token(token, transition("go"));
    let lost = fire_once(go(token.clone()), "lost");
    eventually("the firing", PATIENCE, async || petrel.fire(lost.clone()).await).await;
    storage.drop_views();
    petrel.fire(fire_once(go(second), "failed")).await.unwrap();
    storage.pass_views();
    server.crash().await;
    let other = connect(impatient(&server.url)).await;
    let seen = other.token(None, &token, Consistency::Eventual).await.unwrap();
    assert_eq!(seen.place, before, "nothing was lost");
    eventually("another token", PATIENCE, async || petrel.create_token(token_in(&case)).await)
        .await;
    view_is_the_log(&petrel).await.unwrap();
}

/// The records before can't be read while a change is made on top of those whose views are lost.
#[tokio::test]
async fn what_could_not_be_looked_at_after_a_crash_is_mended_by_the_change_after_that() {
    let mut server = Forgetful::start().await;
    let (storage, petrel) = faulty(&server.url).await;
    pendulum(&petrel).await;
    let (case, token) = swing(&petrel, "case").await;
    let second = petrel.create_token(token_in(&case)).await.unwrap();
    let (first, second) = (second.case.revision(), second.tokens[0].id.clone());
    server.keep().await;
    for (token, firing) in [(&token, "first"), (&second, "second")] {
        let lost = fire_once(Fire::token(token.clone(), transition("go")), firing);
        eventually(firing, PATIENCE, async || petrel.fire(lost.clone()).await).await;
    }
    server.crash().await;
    // A refusal is only given of what the log has, so the case is read again.
    let mut no_more = Fire::token(second, transition("go"));
    no_more.change.expected_revision = Some(first);
    eventually("a refusal", PATIENCE, async || match petrel.fire(no_more.clone()).await {
        Err(error) if !error.retryable() => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    storage.hold_appends(true);
    let creating = tokio::spawn({
        let (petrel, new) = (petrel.clone(), token_in(&case));
        async move { petrel.create_token(new).await }
    });
    storage.until_append_held().await;
    storage.lose_answers_by_sequence(true);
    storage.hold_appends(false);
    creating.await.unwrap().unwrap();
    storage.lose_answers_by_sequence(false);
    assert!(view_is_the_log(&petrel).await.is_err(), "it was looked at");
    petrel.create_token(token_in(&case)).await.unwrap();
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
