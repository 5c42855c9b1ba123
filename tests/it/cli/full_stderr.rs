//! A disk on which no line of the log, and no error, can be written any more.

use std::{fs::OpenOptions, net::TcpListener, process::Stdio, time::Duration};

use serde_json::{Value, json};
use stormpetrel::testing::TestServer;
use tokio::process::Command;

use crate::{failures::fixtures::eventually, program::program, support::system};

/// The command, with a stderr that is full.
fn full(mut command: Command) -> Command {
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    command.stdout(Stdio::null()).stderr(full);
    command
}

#[tokio::test]
async fn exit_codes_are_those_of_a_stderr_that_can_be_written() {
    let (server, _cases) = system().await;
    for (arguments, code) in [
        (&["nosuch"][..], 2),
        (&["nosuch", "--json"], 2),
        (&["fire", "nosuch", "--workflow", "w", "--case", "c"], 1),
        (&["case", "show", "w", "c", "--json"], 1),
        (&["case", "list", "w", "--nats-url", "nats://127.0.0.1:1"], 3),
        (&["rebuild"], 0),
        (&["workflow", "list"], 0),
    ] {
        let mut command = full(program());
        command.args(arguments).env("NATS_URL", server.url()).env("RUST_LOG", "debug");
        let status = command.status().await.unwrap();
        assert_eq!(status.code(), Some(code), "{arguments:?}");
    }
}

#[tokio::test]
async fn a_server_whose_log_is_full_serves_and_connects_again() {
    let mut server = TestServer::start().await;
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut command = full(program());
    command.args(["serve", "--listen", &address.to_string()]).env("RUST_LOG", "debug");
    let mut serving = command.env("NATS_URL", server.url()).spawn().unwrap();
    let http = reqwest::Client::new();
    let connected = async || -> Result<(), String> {
        let query = json!({ "query": "{ health { connected problem } }" });
        let asked = http.post(format!("http://{address}/graphql")).json(&query).send().await;
        let answer: Value = asked.map_err(|error| error.to_string())?.json().await.unwrap();
        match answer["data"]["health"]["connected"] == true {
            true => Ok(()),
            false => Err(answer.to_string()),
        }
    };
    let patience = Duration::from_secs(60);
    eventually("a server that serves", patience, &connected).await;
    for _ in 0..2 {
        server.restart().await;
        eventually("a server that is connected again", patience, &connected).await;
    }
    assert_eq!(serving.try_wait().unwrap(), None);
    serving.kill().await.unwrap();
}
