//! Memory for answers, which many ask for at a time.

use futures::future::join_all;
use serde_json::{Value, json};
use stormpetrel::{ExpectedVersion, NewCase, Petrel, models::TokenId};
use tokio::time::timeout;

use super::{PATIENCE, Serving, connections::peak};
use crate::support::{definition, petrel_at, workflow};

/// The most memory that a serving process may take, in kB.
const MOST: usize = 512 * 1024;

/// The tokens of a new workflow of one place with so many cases, each with so many bytes of data.
async fn cases(petrel: &Petrel, count: usize, bytes: usize) -> Vec<TokenId> {
    let net =
        json!({ "id": "w", "initial_place": "p", "places": [{ "id": "p" }], "transitions": [] });
    petrel.create_workflow(definition(net), ExpectedVersion::New).await.unwrap();
    let data = json!({ "text": "x".repeat(bytes) });
    let mut tokens = Vec::new();
    for some in (0..count).collect::<Vec<_>>().chunks(20) {
        let begun = some.iter().map(|_| {
            let case = NewCase { data: data.clone(), ..NewCase::of(workflow("w")) };
            petrel.create_case(case)
        });
        tokens.extend(
            join_all(begun).await.into_iter().map(|begun| begun.unwrap().tokens[0].id.clone()),
        );
    }
    tokens
}

/// Asks so many times at once, and counts the answers without errors. All others must say that
/// there is too much to do, or that it is too much.
async fn ask(serving: &Serving, times: usize, query: &str) -> usize {
    let http = reqwest::Client::new();
    let url = format!("http://{}/graphql", serving.address);
    let asked = (0..times).map(|_| http.post(&url).json(&json!({ "query": query })).send());
    let mut whole = 0;
    for answer in timeout(4 * PATIENCE, join_all(asked)).await.unwrap() {
        let answer: Value = answer.unwrap().json().await.unwrap();
        match answer["errors"][0]["extensions"]["code"].as_str() {
            None => whole += 1,
            Some(code) => assert!(["OVERLOADED", "TOO_LARGE"].contains(&code), "{answer}"),
        }
    }
    // Only Linux says it.
    let peak = peak(serving).unwrap_or_default();
    assert!(peak < MOST, "{peak} kB after {times} of {query}");
    whole
}

#[tokio::test]
async fn listings_of_large_tokens_at_once_take_bounded_memory() {
    let serving = Serving::start(&[]).await;
    cases(&petrel_at(serving.nats.url()).await, 60, 800_000).await;
    let pages = |first: usize, alias: usize| {
        format!("a{alias}: tokens(workflowId: \"w\", first: {first}) {{ nodes {{ tokenId }} }}")
    };
    let many: String = (0..30).map(|alias| pages(1_000 - alias, alias) + " ").collect();
    for query in [
        pages(1_000, 0),
        "cases(workflowId: \"w\", first: 1000) { nodes { caseId } }".to_owned(),
        many,
    ] {
        let query = format!("{{ {query} }}");
        ask(&serving, 1, &query).await;
        ask(&serving, 16, &query).await;
        // Nothing stays behind that keeps others from it.
        assert_eq!(
            ask(&serving, 1, "{ tokens(workflowId: \"w\") { nodes { tokenId } } }").await,
            1
        );
    }
    serving.stop().await;
}

#[tokio::test]
async fn a_burst_of_large_reads_after_small_ones_cuts_no_connection() {
    let serving = Serving::start(&[]).await;
    let tokens = cases(&petrel_at(serving.nats.url()).await, 32, 800_000).await;
    let reads = tokens.iter().enumerate();
    let reads = reads.map(|(at, token)| format!("a{at}: token(id: \"{token}\") {{ placeId }} "));
    let large = format!("{{ {} }}", reads.collect::<String>());
    for _ in 0..3 {
        // What is not there is a small answer.
        for _ in 0..5 {
            ask(&serving, 40, "{ case(workflowId: \"w\", id: \"none\") { status } }").await;
        }
        ask(&serving, 24, &large).await;
    }
    let (_, log) = serving.program.terminate().await;
    let before = log.split("stopping").next().unwrap();
    assert!(before.contains("event=connected") && !before.contains("event=disconnected"), "{log}");
}

#[tokio::test]
async fn answers_of_many_small_values_at_once_take_bounded_memory() {
    let serving = Serving::start(&[]).await;
    cases(&petrel_at(serving.nats.url()).await, 400, 50).await;
    let values: String =
        (0..100).map(|at| format!("a{at}: caseId b{at}: revision c{at}: headHash ")).collect();
    let query = format!("{{ cases(workflowId: \"w\", first: 1000) {{ nodes {{ {values} }} }} }}");
    assert_eq!(ask(&serving, 1, &query).await, 1);
    assert!(ask(&serving, 40, &query).await > 0);
    serving.stop().await;
}
