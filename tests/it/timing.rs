//! The timing example, as `cargo run --example nats_timing_test` runs it.

use std::path::Path;

use tokio::process::Command;

#[tokio::test]
async fn the_timing_example_reads_everything_right_and_says_so() {
    reads_everything_right("direct").await;
}

#[tokio::test]
async fn the_timing_example_reads_everything_right_by_consumers_too() {
    reads_everything_right("consumer").await;
}

async fn reads_everything_right(read_path: &str) {
    let petrel = Path::new(env!("CARGO_BIN_EXE_petrel"));
    let example = petrel.with_file_name("examples").join("nats_timing_test");
    assert!(example.exists(), "{} is missing: cargo build --examples", example.display());
    let output = Command::new(example)
        .env_remove("NATS_URL")
        .env("PETREL_READ_PATH", read_path)
        .output()
        .await
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.ends_with("every read was right\n"), "{text}");
    let right = |operation: &str| {
        let row = text.lines().find(|line| line.starts_with(operation)).expect(operation);
        let (right, checked) = row.split_whitespace().last().unwrap().split_once('/').unwrap();
        assert_eq!(right, checked, "{row}");
        checked.parse::<u32>().unwrap()
    };
    assert!(right("get a token ") >= 900);
    assert!(right("get a token, strong") >= 400);
    assert_eq!(right("get a token, 8 tasks at once"), 500);
    assert!(right("list a place of 30") >= 100);
    assert!(right("fire 3 -> 3") >= 300);
    assert_eq!(right("get a token beside a worker"), 40 * 12 * 3);
    assert_eq!(right("get what a worker has made"), 40 * 4);
    assert_eq!(right("list what workers have made"), 40 * 2);
}
