//! The built binary, from the outside.

mod activities;
mod analyse;
mod audit;
mod bench;
mod case_cache;
mod check;
#[cfg(target_os = "linux")]
mod cluster;
mod dev;
mod draw;
mod full_stderr;
mod history;
mod mistakes;
mod operations;
#[cfg(feature = "peers")]
mod peers;
mod pnml;
mod schema;
mod simulate;

use std::process::{Command, Output, Stdio};

use serde_json::Value;
use stormpetrel::testing::TestServer;

/// `petrel` with these arguments, in an environment that says nothing about a server.
fn petrel(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_petrel"));
    command.args(arguments).stdin(Stdio::null());
    for (variable, _) in std::env::vars_os() {
        // Where the servers' programs are found stays as it is for all tests.
        let name = variable.to_string_lossy();
        let search = ["PETREL_NATS_SERVER", "PETREL_CACHE_DIR", "PETREL_POSTGRES"];
        let search = search.contains(&&*name);
        if (name.starts_with("NATS_") || name.starts_with("PETREL_")) && !search {
            command.env_remove(&variable);
        }
    }
    command.env_remove("RUST_LOG");
    command
}

/// Runs it to its end on a thread of its own, beside the test's runtime.
async fn output(mut command: Command) -> Output {
    tokio::task::spawn_blocking(move || command.output())
        .await
        .expect("the thread only runs the command")
        .expect("the binary was built for this test")
}

/// Runs `petrel` on `server`, which has our streams.
pub(crate) async fn on(server: &TestServer, arguments: &[&str]) -> Output {
    drop(crate::support::petrel_at(server.url()).await);
    let mut command = petrel(arguments);
    command.env("NATS_URL", server.url());
    output(command).await
}

/// Its output, after it went well.
pub(crate) async fn text(server: &TestServer, arguments: &[&str]) -> String {
    let output = on(server, arguments).await;
    assert!(output.status.success(), "{arguments:?}: {}", errors(&output));
    String::from_utf8(output.stdout).expect("petrel writes UTF-8")
}

/// The JSON document it printed with `--json`, after it went well.
pub(crate) async fn json(server: &TestServer, arguments: &[&str]) -> Value {
    let arguments = [&["--json"], arguments].concat();
    let text = text(server, &arguments).await;
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in {text}"))
}

pub(crate) fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn sample() -> String {
    format!("{}/samples/order-approval.yaml", env!("CARGO_MANIFEST_DIR"))
}
