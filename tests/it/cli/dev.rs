use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::{errors, output, petrel, sample};

/// `petrel` on a data folder of the test's own.
pub(super) fn in_folder(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = petrel(arguments);
    command.env("PETREL_DATA_DIR", folder);
    command
}

/// A running `petrel dev`, killed when dropped.
pub(super) struct Dev {
    child: Child,
    /// The line that it printed when it was up.
    pub(super) up: Value,
}

impl Dev {
    async fn start(folder: &Path) -> Self {
        Self::start_with(folder, &[]).await
    }

    pub(super) async fn start_with(folder: &Path, arguments: &[&str]) -> Self {
        let dev = ["dev", "--json", "--listen", "127.0.0.1:0"];
        let mut command = in_folder(folder, &[&dev[..], arguments].concat());
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let stdout = child.stdout.take().unwrap();
        let read = move || {
            let mut line = String::new();
            BufReader::new(stdout).read_line(&mut line).map(|_| line)
        };
        let line = tokio::task::spawn_blocking(read).await.unwrap().unwrap();
        let up = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error} in {line:?}"));
        Self { child, up }
    }

    /// Ends it as a service manager does, and answers its exit code.
    pub(super) async fn terminate(self) -> Option<i32> {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        self.ended().await
    }

    /// Waits until it has ended by itself, and answers its exit code.
    pub(super) async fn ended(mut self) -> Option<i32> {
        tokio::task::spawn_blocking(move || self.child.wait().unwrap().code()).await.unwrap()
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        // Fails when it has ended already, which is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(super) async fn run(folder: &Path, arguments: &[&str]) -> Value {
    let output = output(in_folder(folder, &[arguments, &["--json"]].concat())).await;
    assert!(output.status.success(), "{arguments:?}: {}", errors(&output));
    assert!(output.stderr.is_empty(), "{}", errors(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test]
async fn commands_find_the_server_of_a_running_dev_and_its_data_later() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(folder.path()).await;
    assert_eq!(dev.up["workflow"], "order-approval");
    assert!(dev.up["durability"].as_str().unwrap().contains("sync_interval"));
    assert!(folder.path().join("running.json").exists());

    let start = ["case", "start", "order-approval", "--id", "order-1", "--data", r#"{"amount":1}"#];
    run(folder.path(), &start).await;
    let shown =
        output(in_folder(folder.path(), &["case", "show", "order-approval", "order-1"])).await;
    assert!(errors(&shown).contains("running petrel"), "{}", errors(&shown));

    assert_eq!(dev.terminate().await, Some(0));
    assert!(!folder.path().join("running.json").exists());
    let shown = run(folder.path(), &["case", "show", "order-approval", "order-1"]).await;
    assert_eq!(shown["status"], "running");
}

#[tokio::test]
async fn commands_keep_data_between_them_without_any_server_running() {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path(), &["workflow", "apply", &sample()]).await;
    run(folder.path(), &["case", "start", "order-approval", "--id", "order-1"]).await;
    let listed = run(folder.path(), &["case", "list", "order-approval"]).await;
    assert_eq!(listed["items"][0]["id"], "order-1");
}

#[tokio::test]
async fn a_second_dev_on_the_same_data_says_where_the_first_one_is() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(folder.path()).await;
    let second = output(in_folder(folder.path(), &["dev", "--listen", "127.0.0.1:0"])).await;
    assert_eq!(second.status.code(), Some(1));
    let errors = errors(&second);
    assert!(errors.contains(dev.up["graphql"].as_str().unwrap()), "{errors}");
}

#[tokio::test]
async fn a_taken_port_is_refused_before_anything_is_started() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let refused = output(in_folder(folder.path(), &["dev", "--listen", &address])).await;
    assert_eq!(refused.status.code(), Some(1));
    assert!(errors(&refused).contains("--listen"), "{}", errors(&refused));
}

#[tokio::test]
async fn dev_serves_the_sample_over_graphql() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(folder.path()).await;
    let query = r#"{ workflow(id: "order-approval") { name places { placeId } } }"#;
    let answer: Value = reqwest::Client::new()
        .post(dev.up["graphql"].as_str().unwrap())
        .json(&serde_json::json!({ "query": query }))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(answer["data"]["workflow"]["name"], "Order approval", "{answer}");
    assert_eq!(dev.terminate().await, Some(0));
}
