//! The examples of durable functions: each prints its page.

use std::{path::Path, process::Stdio, time::Duration};

use tokio::process::Command;

const EXAMPLES: &[&str] = &[
    "hello",
    "async",
    "typed",
    "concurrent",
    "retry_failed",
    "pause_cancel",
    "approval",
    "delayed",
    "saga",
];

#[tokio::test]
async fn each_example_prints_its_page() {
    let tests = std::env::current_exe().unwrap();
    let program = tests.parent().unwrap().parent().unwrap().join("examples/durable");
    let pages = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/durable");
    for name in EXAMPLES {
        let page = std::fs::read_to_string(pages.join(format!("{name}.txt"))).unwrap();
        let run = Command::new(&program).arg(name).stdin(Stdio::null()).kill_on_drop(true).output();
        let run = tokio::time::timeout(Duration::from_secs(120), run).await.unwrap().unwrap();
        let (said, wrong) = (String::from_utf8(run.stdout), String::from_utf8(run.stderr));
        assert_eq!(said.unwrap(), page, "{name}: {}", wrong.unwrap());
        assert!(run.status.success(), "{name}");
    }
}
