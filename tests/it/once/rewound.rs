//! A log that went back: a process's memory of the lost part is not used.

use std::{fs, time::Duration};

use serde_json::json;
use stormpetrel::{
    local_server::{LocalServerOptions, Store},
    petrel::{Change, Error, ExpectedVersion, Petrel},
    testing::TestServer,
};
use tempfile::TempDir;

use super::fixtures::{What, create, is_sound, log, loops, named};
use crate::support::{copy_folder, definition, petrel_at};

/// Asks until the server is there again.
async fn when_back(petrel: &Petrel, what: &What, name: &str, id: &str) -> bool {
    loop {
        match what.ask(petrel, name, named(id)).await {
            Ok(changed) => return changed.repeated,
            Err(Error::Storage(error)) if error.retryable() => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// A server whose data folder can be put back to an earlier copy.
struct Rewinding {
    server: TestServer,
    folder: TempDir,
}

impl Rewinding {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::Kept(folder.path().join("data"));
        let options = LocalServerOptions { store, ..LocalServerOptions::default() };
        Self { server: TestServer::start_with(options).await, folder }
    }

    async fn keep(&mut self) {
        self.server.kill().await;
        copy_folder(&self.folder.path().join("data"), &self.folder.path().join("backup"));
        self.server.restart().await;
    }

    async fn put_back(&mut self) {
        self.server.kill().await;
        let data = self.folder.path().join("data");
        fs::remove_dir_all(&data).unwrap();
        copy_folder(&self.folder.path().join("backup"), &data);
        self.server.restart().await;
    }
}

#[tokio::test]
async fn ids_and_cases_of_a_log_that_went_back_are_read_anew() {
    let mut server = Rewinding::start().await;
    let p1 = petrel_at(server.server.url()).await;
    loops(&p1).await;
    let tick = What::Fire("tick", 0);
    create(&p1, "k", json!({})).await.unwrap();
    // Long enough that pages are remembered too.
    for number in 0..70 {
        tick.ask(&p1, "k", named(&format!("kept-{number}"))).await.unwrap();
    }
    server.keep().await;
    for number in 0..6 {
        assert!(!when_back(&p1, &tick, "k", &format!("lost-{number}")).await);
    }
    server.put_back().await;
    let p2 = petrel_at(server.server.url()).await;
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

/// The workflow of the other tests, but `tick` leads to `to`.
async fn ticks_to(petrel: &Petrel, to: &str) -> u64 {
    let away = if to == "b" { "c" } else { "b" };
    let other = definition(json!({
        "id": "loops", "name": "Loops", "initial_place": "a",
        "places": [{"id": "a"}, {"id": "b"}, {"id": "c"}],
        "transitions": [
            {"id": "tick", "from_places": ["a"], "to_place": to},
            {"id": "go", "from_places": ["a"], "to_place": away}
        ]
    }));
    loop {
        match petrel.create_workflow(other.clone(), ExpectedVersion::Any).await {
            Ok(stored) => return stored.sequence.get(),
            Err(error) if error.retryable() => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test]
async fn a_definition_of_a_log_that_went_back_is_not_fired() {
    let mut server = Rewinding::start().await;
    let p1 = petrel_at(server.server.url()).await;
    loops(&p1).await;
    server.keep().await;
    let lost = ticks_to(&p1, "b").await;
    create(&p1, "k", json!({})).await.unwrap();
    server.put_back().await;
    let p2 = petrel_at(server.server.url()).await;
    assert_eq!(ticks_to(&p2, "c").await, lost, "another definition has its sequence");
    create(&p2, "k", json!({})).await.unwrap();
    let tick = What::Fire("tick", 0);
    assert!(!when_back(&p1, &tick, "k", "first").await);
    let case = log(p2.storage(), "k").await.pop().unwrap().value;
    assert_eq!(case.marking.0[0].place.as_str(), "c");
}
