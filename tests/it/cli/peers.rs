//! The bench beside Postgres and SQLite. Where there is no Postgres these fail, and the error names
//! the ways to get one.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::{Value, json};
use stormpetrel::testing::TestServer;
use tempfile::TempDir;

use super::{errors, output, petrel};

/// A short bench. Its last word asks for JSON.
const SHORT: [&str; 7] =
    ["bench", "--peers", "--clients=3", "--cases=7", "--rounds=2", "--turn=100ms", "--json"];

/// A folder for whatever is temporary. Others can enter it: where this is root, Postgres is
/// somebody else.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    folder
}

fn in_folder(folder: &TempDir, arguments: &[&str]) -> Command {
    let mut command = petrel(arguments);
    command.env("TMPDIR", folder.path());
    command
}

fn assert_empty(folder: &TempDir) {
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|one| one.unwrap()).collect();
    assert!(left.is_empty(), "{left:?}");
}

/// The report of a short bench, after which nothing may be left.
async fn report(more: &[&str]) -> Value {
    let folder = folder();
    let output = output(in_folder(&folder, &[&SHORT, more].concat())).await;
    assert!(output.status.success(), "{}", errors(&output));
    assert_empty(&folder);
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The setting of each peer, and the durability beside the engine's.
fn settings(report: &Value) -> Vec<(&str, &Value)> {
    let peers = report["peers"].as_array().unwrap().iter();
    peers.map(|peer| (peer["setting"].as_str().unwrap(), &peer["equal_durability"])).collect()
}

#[tokio::test]
async fn postgres_and_sqlite_take_turns_with_the_engine() {
    let report = report(&["--sync-interval=always"]).await;
    let (yes, no) = (json!(true), json!(false));
    let expected = [
        ("synchronous_commit=on", &yes),
        ("synchronous_commit=off", &no),
        ("synchronous=FULL", &yes),
        ("synchronous=NORMAL", &no),
    ];
    assert_eq!(settings(&report), expected, "{report}");
    for peer in report["peers"].as_array().unwrap() {
        let rates = peer["rates"].as_array().unwrap();
        assert_eq!(rates.len(), 2, "{report}");
        assert!(rates.iter().all(|rate| rate.as_f64().unwrap() > 0.0), "{report}");
        assert!(peer["p50_ms"].as_f64() <= peer["p99_ms"].as_f64(), "{report}");
        assert!(peer["ratio"].as_f64().unwrap() > 0.0, "{report}");
        assert!(peer["version"].as_str().unwrap().starts_with(|c: char| c.is_ascii_digit()));
    }
}

#[tokio::test]
async fn equal_durability_is_without_the_disk_where_the_engine_does_not_wait_for_it() {
    let report = report(&[]).await;
    let durable: Vec<_> = settings(&report).into_iter().map(|(_, equal)| equal.as_bool()).collect();
    assert_eq!(durable, [false, true, false, true].map(Some), "{report}");
}

#[tokio::test]
async fn of_a_server_that_is_not_ours_the_durability_is_not_known() {
    let (server, folder) = (TestServer::start().await, folder());
    let (_, for_people) = SHORT.split_last().unwrap();
    let mut command = in_folder(&folder, for_people);
    command.env("NATS_URL", server.url());
    let output = output(command).await;
    assert!(output.status.success(), "{}", errors(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    let ratios: Vec<_> =
        text.lines().filter(|line| line.contains(" if the NATS server ")).collect();
    assert_eq!(ratios.len(), 4, "{text}");
    assert!(ratios[0].starts_with("engine / Postgres "), "{text}");
    assert_empty(&folder);
}

#[tokio::test]
async fn a_folder_without_postgres_is_an_error_that_names_it() {
    let (folder, empty) = (folder(), tempfile::tempdir().unwrap());
    let mut command = in_folder(&folder, &SHORT);
    command.arg("--postgres").arg(empty.path());
    let output = output(command).await;
    assert_eq!(output.status.code(), Some(1));
    let errors = errors(&output);
    assert!(errors.contains(empty.path().to_str().unwrap()), "{errors}");
    assert!(errors.contains("initdb"), "{errors}");
    assert_empty(&folder);
}

/// The process of the Postgres that runs in a folder under this one, once there is one. That of
/// initdb, which is no server, is noted as a negative number.
fn postgres_in(folder: &Path) -> Option<Pid> {
    let pid = fs::read_dir(folder).unwrap().find_map(|one| {
        let file = one.unwrap().path().join("data/postmaster.pid");
        fs::read_to_string(file).ok()?.lines().next()?.parse::<i32>().ok().filter(|pid| *pid > 0)
    });
    pid.and_then(Pid::from_raw)
}

#[tokio::test]
async fn an_interrupted_bench_stops_postgres_and_removes_what_it_made() {
    let folder = folder();
    let mut command = in_folder(&folder, &["bench", "--peers", "--clients=3", "--turn=60s"]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut bench = command.spawn().unwrap();
    let until = Instant::now() + Duration::from_secs(60);
    let postgres = loop {
        if let Some(postgres) = postgres_in(folder.path()) {
            break postgres;
        }
        assert!(Instant::now() < until && bench.try_wait().unwrap().is_none(), "no Postgres runs");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    kill_process(Pid::from_child(&bench), Signal::INT).unwrap();
    let ended = tokio::task::spawn_blocking(move || bench.wait()).await.unwrap().unwrap();
    assert_eq!(ended.code(), Some(130));
    assert!(test_kill_process(postgres).is_err(), "{postgres:?} runs on");
    assert_empty(&folder);
}
