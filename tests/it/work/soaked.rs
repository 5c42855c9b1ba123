//! The soak of `examples/soak`, for some seconds: workers and nats-server are killed under load.

use std::path::Path;

use crate::program::{clean, output};
use tokio::process::Command;

/// Everything agrees at the end, and enough happened that could have gone wrong.
#[tokio::test]
async fn a_short_soak_finds_nothing() {
    let petrel = Path::new(env!("CARGO_BIN_EXE_petrel"));
    let example = petrel.with_file_name("examples").join("soak");
    assert!(example.exists(), "{} is missing: cargo build --examples", example.display());
    let mut command = clean(Command::new(example));
    command.args(["--minutes", "0.15", "--rate", "20", "--ack-wait", "2s", "--patience", "40s"]);
    command.args(["--kill-worker-every", "1s", "--kill-nats-every", "3s"]);
    let ended = output(command).await;
    let text = String::from_utf8_lossy(&ended.stdout);
    assert!(ended.status.success(), "{text}{}", String::from_utf8_lossy(&ended.stderr));
    // Each check says that it was made.
    let checks = text.lines().filter(|line| line.starts_with("ok  ")).count();
    assert_eq!(checks, 21, "{text}");
}
