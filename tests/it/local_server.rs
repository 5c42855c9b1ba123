use std::env;
use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use async_nats::jetstream::{self, stream};
use rustix::process::Pid;
use stormpetrel::local_server::{
    LocalServer, LocalServerError, LocalServerOptions, Origin, SearchEnvironment, ServerBinary,
    ServerVersion, Store, SyncInterval,
};
use stormpetrel::testing::TestServer;

fn kept(folder: &Path) -> LocalServerOptions {
    LocalServerOptions { store: Store::Kept(folder.to_owned()), ..Default::default() }
}

async fn jetstream(url: &str) -> jetstream::Context {
    let client = async_nats::connect(url).await.expect("a server that answers");
    jetstream::new(client)
}

/// Makes a stream of everything under `kept.` and stores one message in it.
async fn store_one(url: &str) {
    let context = jetstream(url).await;
    let config = stream::Config {
        name: "kept".to_owned(),
        subjects: vec!["kept.>".to_owned()],
        ..Default::default()
    };
    context.create_stream(config).await.unwrap();
    let stored = context.publish("kept.one", "first".into()).await.unwrap();
    stored.await.unwrap();
}

async fn stored_one(url: &str) -> Vec<u8> {
    let stream = jetstream(url).await.get_stream("kept").await.unwrap();
    let message = stream.get_last_raw_message_by_subject("kept.one").await;
    message.unwrap().payload.to_vec()
}

fn is_alive(pid: u32) -> bool {
    let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::test_kill_process(pid).is_ok()
}

#[tokio::test]
async fn a_server_starts_on_a_free_port_and_answers_with_jetstream() {
    let server = TestServer::start().await;
    assert!(server.local().version().is_supported());
    assert_eq!(server.url(), format!("nats://{}", server.address()));
    assert!(server.address().ip().is_loopback());
    store_one(&server.url()).await;
    assert_eq!(stored_one(&server.url()).await, b"first");
}

#[tokio::test]
async fn options_reach_the_server() {
    let server = TestServer::start_with(LocalServerOptions {
        max_payload: Some(2048),
        max_file_store: Some(1 << 20),
        server_name: Some("a-\"quoted\"-name".to_owned()),
        sync_interval: SyncInterval::Always,
        ..Default::default()
    })
    .await;
    let client = async_nats::connect(server.url()).await.unwrap();
    let info = client.server_info();
    assert_eq!(info.max_payload, 2048);
    assert_eq!(info.server_name, "a-\"quoted\"-name");
    assert!(server.local().durability().contains("always"));
}

#[tokio::test]
async fn kill_and_restart_keep_the_port_and_what_was_acknowledged() {
    let mut server = TestServer::start().await;
    let (url, pid) = (server.url(), server.local().pid().unwrap());
    store_one(&url).await;

    server.kill().await;
    assert!(!is_alive(pid));
    assert_eq!(server.local().pid(), None);
    TcpStream::connect(server.address()).expect_err("a killed server listens to nobody");

    server.restart().await;
    assert_eq!(server.url(), url);
    assert_eq!(stored_one(&url).await, b"first");

    server.restart().await;
    assert_eq!(stored_one(&url).await, b"first");
}

#[tokio::test]
async fn two_servers_run_side_by_side() {
    let (one, other) = tokio::join!(TestServer::start(), TestServer::start());
    assert_ne!(one.url(), other.url());
    store_one(&one.url()).await;
    let empty = jetstream(&other.url()).await.get_stream("kept").await;
    assert!(empty.is_err());
}

#[tokio::test]
async fn a_suspended_server_answers_after_it_is_resumed_and_can_be_stopped_while_suspended() {
    let server = TestServer::start().await;
    let context = jetstream(&server.url()).await;
    server.suspend();
    let patience = Duration::from_millis(100);
    let asked = tokio::time::timeout(patience, context.query_account()).await;
    asked.expect_err("a suspended server answers nothing");
    server.resume();
    context.query_account().await.unwrap();

    let folder = tempfile::tempdir().unwrap();
    let suspended = LocalServer::start(kept(folder.path())).await.unwrap();
    let pid = suspended.pid().unwrap();
    suspended.suspend().unwrap();
    suspended.stop().await.unwrap();
    assert!(!is_alive(pid));
}

#[tokio::test]
async fn a_kept_folder_is_refused_while_in_use_and_its_data_is_there_afterwards() {
    let folder = tempfile::tempdir().unwrap();
    let server = LocalServer::start(kept(folder.path())).await.unwrap();
    store_one(&server.url()).await;

    let refused = LocalServer::start(kept(folder.path())).await.unwrap_err();
    assert!(matches!(refused, LocalServerError::FolderInUse { .. }));
    let name = folder.path().file_name().unwrap().to_str().unwrap();
    assert!(refused.to_string().contains(name), "{refused}");

    server.stop().await.unwrap();
    let again = LocalServer::start(kept(folder.path())).await.unwrap();
    assert_eq!(stored_one(&again.url()).await, b"first");
    drop(again);
    assert!(folder.path().join("jetstream").is_dir());
}

#[tokio::test]
async fn a_fixed_port_is_taken_and_a_busy_one_is_named_in_the_error() {
    let busy = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = busy.local_addr().unwrap().port();
    let options = LocalServerOptions { port: Some(port), ..Default::default() };
    let refused = LocalServer::start(options.clone()).await.unwrap_err();
    assert!(matches!(refused, LocalServerError::PortInUse { .. }), "{refused}");
    assert!(refused.to_string().contains(&port.to_string()));

    drop(busy);
    let server = LocalServer::start(options).await.unwrap();
    assert_eq!(server.port(), port);
}

#[tokio::test]
async fn a_server_that_dies_during_start_up_is_reported_with_the_end_of_its_log() {
    let folder = tempfile::tempdir().unwrap();
    // A file where the server wants its folder.
    std::fs::write(folder.path().join("jetstream"), "").unwrap();
    let died = LocalServer::start(kept(folder.path())).await.unwrap_err();
    assert!(matches!(died, LocalServerError::Died { .. }), "{died}");
    assert!(died.to_string().contains("[FTL]"), "{died}");
}

#[tokio::test]
async fn a_dropped_server_is_gone_with_its_temporary_folder() {
    let server = TestServer::start().await;
    let pid = server.local().pid().unwrap();
    let folder = server.local().store_dir().to_owned();
    assert!(is_alive(pid) && folder.is_dir());
    drop(server);
    assert!(!is_alive(pid));
    assert!(!folder.exists());
}

#[tokio::test]
async fn a_server_survives_the_thread_that_started_it() {
    let started = std::thread::spawn(|| {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(TestServer::start())
    });
    let server = started.join().unwrap();
    store_one(&server.url()).await;
}

#[test]
#[cfg(target_os = "linux")]
fn a_server_ends_with_a_parent_that_is_killed() {
    // What the killed parent can't remove goes with this folder.
    let folder = tempfile::tempdir().unwrap();
    let mut parent = Command::new(env::current_exe().unwrap())
        .env("TMPDIR", folder.path())
        .args(["--exact", "local_server::a_parent_that_waits_to_be_killed"])
        .args(["--ignored", "--nocapture"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(parent.stdout.take().unwrap()).lines();
    let port = lines
        .find_map(|line| line.unwrap().strip_prefix("port ")?.parse::<u16>().ok())
        .expect("the parent prints its server's port");
    let mut connection = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();

    parent.kill().unwrap();
    parent.wait().unwrap();

    // The connection ends when the server does; an orphan would keep it open.
    let bound = Duration::from_secs(30);
    connection.set_read_timeout(Some(bound)).unwrap();
    let mut rest = Vec::new();
    match connection.read_to_end(&mut rest) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
    }
}

#[tokio::test]
#[ignore = "runs inside `a_server_ends_with_a_parent_that_is_killed`"]
async fn a_parent_that_waits_to_be_killed() {
    let server = TestServer::start().await;
    println!("\nport {}", server.local().port());
    std::future::pending::<()>().await;
}

#[test]
fn without_any_server_one_is_installed_once_even_for_many_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let environment = SearchEnvironment {
        server: None,
        path: path_without_nats_server(folder.path()),
        cache: Some(folder.path().join("cache")),
    };
    let find = || ServerBinary::find(&environment);
    let found = std::thread::scope(|scope| {
        let searches = [scope.spawn(find), scope.spawn(find), scope.spawn(find)];
        searches.map(|search| search.join().unwrap().unwrap_or_else(|e| panic!("{e}")))
    });
    let installed = found.iter().filter(|one| one.origin == Origin::Installed);
    assert_eq!(installed.count(), 1);
    for binary in &found {
        assert_eq!(binary.version, ServerVersion::release(2, 15, 1));
        assert_eq!(binary.path, found[0].path);
    }
    assert_eq!(find().unwrap().origin, Origin::Cache);
}

/// The folders of `PATH` that hold no nats-server, and a Python in any case.
fn path_without_nats_server(scratch: &Path) -> std::ffi::OsString {
    let path = env::var_os("PATH").unwrap();
    let folders: Vec<PathBuf> = env::split_paths(&path).collect();
    let python = folders
        .iter()
        .map(|folder| folder.join("python3"))
        .find(|file| file.is_file())
        .expect("this test needs python3 with pip");
    let own = scratch.join("bin");
    std::fs::create_dir(&own).unwrap();
    // A script and not a link: a virtual environment's Python goes by its path.
    let status = Command::new("sh")
        .arg("-c")
        .arg(r#"printf '#!/bin/sh\nexec "%s" "$@"\n' "$2" > "$1" && chmod +x "$1""#)
        .arg("sh")
        .args([own.join("python3"), python])
        .status();
    assert!(status.unwrap().success());
    let others = folders.into_iter().filter(|folder| !folder.join("nats-server").exists());
    env::join_paths([own].into_iter().chain(others)).unwrap()
}
