//! The memory for cases that a process knows.

use futures::future::try_join_all;
use stormpetrel::{
    petrel::{ExpectedVersion, NewCase},
    testing::TestServer,
};

use crate::program::{Program, program};
use crate::support::{case, orders, petrel_at, workflow};

const CASES: usize = 60;

/// Number of changes in `CASES` cases, fired in twice each, that read their case first.
async fn cold_changes(server: &TestServer, cache: &str) -> String {
    let mut command = program();
    command.args(["--json", "serve", "--listen", "127.0.0.1:0", "--case-cache", cache]);
    command.env("NATS_URL", server.url());
    let mut serving = Program::start(command);
    let graphql = serving.json().await["graphql"].as_str().unwrap().to_owned();
    let http = reqwest::Client::new();
    for transition in ["submit", "reject"] {
        let fired = (0..CASES).map(async |number| {
            let query = format!(
                "mutation {{ fireCase(input: {{workflowId: \"orders\", caseId: \"c{number}\", \
                 transitionId: \"{transition}\"}}) {{ __typename }} }}"
            );
            let asked = http.post(&graphql).json(&serde_json::json!({ "query": query }));
            asked.send().await?.text().await
        });
        for answer in try_join_all(fired).await.unwrap() {
            assert!(!answer.contains("errors"), "{answer}");
        }
    }
    let metrics = reqwest::get(graphql.replace("/graphql", "/metrics")).await.unwrap();
    let text = metrics.text().await.unwrap();
    let (code, errors) = serving.terminate().await;
    assert_eq!(code, Some(0), "{errors}");
    let line = text.lines().find(|line| line.starts_with("petrel_cold_changes_total "));
    line.expect("a counter").to_owned()
}

#[tokio::test]
async fn as_many_cases_are_known_as_the_memory_for_them_takes() {
    let server = TestServer::start().await;
    let petrel = petrel_at(server.url()).await;
    petrel.create_workflow(orders(), ExpectedVersion::New).await.unwrap();
    for number in 0..CASES {
        let begun =
            NewCase { case: Some(case(&format!("c{number}"))), ..NewCase::of(workflow("orders")) };
        petrel.create_case(begun).await.unwrap();
    }
    assert_eq!(cold_changes(&server, "64MiB").await, format!("petrel_cold_changes_total {CASES}"));
    assert_eq!(
        cold_changes(&server, "1KiB").await,
        format!("petrel_cold_changes_total {}", 2 * CASES)
    );
}
