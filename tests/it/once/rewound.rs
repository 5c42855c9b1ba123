//! A log that went back: what a process remembers of the lost part is not used.

use std::{fs, path::Path, time::Duration};

use serde_json::json;
use stormpetrel::{
    cases::{Cases, Change, Error},
    local_server::{LocalServerOptions, Store},
    testing::TestServer,
};

use super::fixtures::{What, create, is_sound, log, loops, named};
use crate::support::cases_at;

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to),
            false => drop(fs::copy(entry.path(), to).unwrap()),
        }
    }
}

/// Asks until the server is there again.
async fn when_back(cases: &Cases, what: &What, name: &str, id: &str) -> bool {
    loop {
        match what.ask(cases, name, named(id)).await {
            Ok(changed) => return changed.repeated,
            Err(Error::Storage(error)) if error.retryable() => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test]
async fn ids_and_cases_of_a_log_that_went_back_are_read_anew() {
    let folder = tempfile::tempdir().unwrap();
    let (data, backup) = (folder.path().join("data"), folder.path().join("backup"));
    let options =
        LocalServerOptions { store: Store::Kept(data.clone()), ..LocalServerOptions::default() };
    let mut server = TestServer::start_with(options).await;
    let p1 = cases_at(server.url()).await;
    loops(&p1).await;
    let tick = What::Fire("tick", 0);
    create(&p1, "k", json!({})).await.unwrap();
    // Long enough that pages are remembered too.
    for number in 0..70 {
        tick.ask(&p1, "k", named(&format!("kept-{number}"))).await.unwrap();
    }
    server.kill().await;
    copy(&data, &backup);
    server.restart().await;
    for number in 0..6 {
        assert!(!when_back(&p1, &tick, "k", &format!("lost-{number}")).await);
    }
    server.kill().await;
    fs::remove_dir_all(&data).unwrap();
    copy(&backup, &data);
    server.restart().await;
    let p2 = cases_at(server.url()).await;
    // As many as were lost, so that all numbers are the same.
    for number in 0..6 {
        assert!(!when_back(&p2, &tick, "k", &format!("z-{number}")).await);
    }
    for number in 0..6 {
        assert!(when_back(&p1, &tick, "k", &format!("z-{number}")).await, "z-{number} twice");
    }
    assert!(when_back(&p1, &tick, "k", "kept-3").await);
    assert!(!when_back(&p1, &tick, "k", "lost-3").await, "it is not in the log any more");
    tick.ask(&p1, "k", Change::default()).await.unwrap();
    is_sound(&log(p1.storage(), "k").await);
}
