//! Memory for answers, which many ask for at a time.

use std::{collections::HashSet, future::ready};

use futures::{StreamExt, future::join_all};
use serde_json::{Value, json};
use stormpetrel::{
    Change, ExpectedVersion, NewCase, NewToken, Petrel,
    models::{CaseId, TokenId},
    storage::{Page, TokenScope},
};
use tokio::time::timeout;

use super::{PATIENCE, Serving, connections::peak};
use crate::failures::fixtures::{eventually, operator};
use crate::support::{case, definition, petrel_at, workflow};

/// The most memory that a serving process may take, in kB.
const MOST: usize = 512 * 1024;

/// The tokens of a new workflow of one place with so many cases, each with so many bytes of data.
async fn cases(petrel: &Petrel, count: usize, bytes: usize) -> Vec<TokenId> {
    cases_with(petrel, count, json!({ "text": "x".repeat(bytes) })).await
}

async fn cases_with(petrel: &Petrel, count: usize, data: Value) -> Vec<TokenId> {
    let net =
        json!({ "id": "w", "initial_place": "p", "places": [{ "id": "p" }], "transitions": [] });
    petrel.create_workflow(definition(net), ExpectedVersion::New).await.unwrap();
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

/// A validation would copy the variable for each use, in arguments, lists and directives alike.
#[tokio::test]
async fn a_variable_that_is_used_again_and_again_takes_bounded_memory() {
    let serving = Serving::start(&[]).await;
    let many = "$v ".repeat(20_000);
    let used = |of: &str| format!("query($v: JSON) {{ {} }}", of.replace("MANY", &many));
    for query in [
        used("tokens(workflowId: \"w\", first: [MANY]) { nodes { tokenId } }"),
        used("cases(workflowId: \"w\") { nodes { caseId @include(if: [MANY]) } }"),
        format!(
            "{} fragment F on Query {{ workflows(first: [{many}]) {{ nodes {{ name }} }} }}",
            used("...F")
        ),
    ] {
        let asked = json!({ "query": query, "variables": { "v": "x".repeat(900_000) } });
        let url = format!("http://{}/graphql", serving.address);
        let answer = reqwest::Client::new().post(&url).json(&asked).send();
        let answer: Value = timeout(PATIENCE, answer).await.unwrap().unwrap().json().await.unwrap();
        assert_eq!(answer["errors"][0]["extensions"]["code"], "INVALID_REQUEST", "{answer}");
        assert!(peak(&serving).unwrap_or_default() < MOST);
    }
    serving.stop().await;
}

/// Data that is small as JSON and a hundred times as large when it is read.
fn swelling(objects: usize) -> Value {
    Value::Array((0..objects).map(|_| json!({ "": 0 })).collect())
}

#[tokio::test]
async fn listings_of_tokens_that_swell_when_they_are_read_take_bounded_memory() {
    let serving = Serving::start(&[]).await;
    let petrel = petrel_at(serving.nats.url()).await;
    let tokens = cases_with(&petrel, 60, swelling(15_000)).await;
    // Asked for at once, and, among more than the server answers for at once, one after the other.
    for more in [0, 1_100] {
        for some in (0..more).collect::<Vec<_>>().chunks(50) {
            let begun = some.iter().map(|_| petrel.create_case(NewCase::of(workflow("w"))));
            join_all(begun).await.into_iter().for_each(|begun| drop(begun.unwrap()));
        }
        for query in [
            "{ tokens(workflowId: \"w\", first: 1000) { nodes { tokenId } } }",
            "{ cases(workflowId: \"w\", first: 1000) { nodes { caseId } } }",
        ] {
            assert_eq!(ask(&serving, 1, query).await, 1);
            ask(&serving, 8, query).await;
        }
    }
    // Page by page, none is left out.
    let scope = TokenScope { workflow: workflow("w"), place: None, case: None };
    let (mut listed, mut page) = (Vec::new(), Page { first: 1_000, after: None });
    loop {
        let found = petrel.tokens(&scope, page).await.unwrap();
        page.after = found.end();
        listed.extend(found.items.into_iter().map(|(_, token)| token.id));
        if !found.has_next {
            break;
        }
    }
    assert_eq!(listed.len(), 1_160);
    assert_eq!(listed[..60].iter().collect::<HashSet<_>>(), tokens.iter().collect());
    serving.stop().await;
}

#[tokio::test]
async fn large_cases_after_a_small_one_take_bounded_memory_in_listings() {
    let serving = Serving::start(&[]).await;
    let petrel = petrel_at(serving.nats.url()).await;
    ring(&petrel, "w").await;
    for number in 0..13 {
        let id = case(&format!("k{number}"));
        let begun = NewCase { case: Some(id.clone()), ..NewCase::of(workflow("w")) };
        petrel.create_case(begun).await.unwrap();
        for _ in 0..number.min(1) * 12 {
            petrel.create_token(token_of("w", id.clone(), swelling(9_000))).await.unwrap();
        }
    }
    let query = "{ cases(workflowId: \"w\", first: 1000) { nodes { caseId }
        pageInfo { hasNextPage } } }";
    assert_eq!(ask(&serving, 1, query).await, 1);
    assert!(ask(&serving, 8, query).await > 0);
    let (mut listed, mut page) = (0, Page::default());
    loop {
        let found = petrel.cases(&workflow("w"), None, page).await.unwrap().cases;
        (listed, page.after) = (listed + found.items.len(), found.end());
        if !found.has_next {
            break;
        }
    }
    assert_eq!(listed, 13);
    serving.stop().await;
}

/// A workflow whose cases never end.
async fn ring(petrel: &Petrel, id: &str) {
    let net = json!({ "id": id, "initial_place": "p", "places": [{ "id": "p" }],
        "transitions": [{ "id": "t", "from_places": ["p"], "to_place": "p" }] });
    petrel.create_workflow(definition(net), ExpectedVersion::New).await.unwrap();
}

fn token_of(of: &str, case: CaseId, data: Value) -> NewToken {
    let (workflow, place, change) = (workflow(of), None, Change::default());
    NewToken { workflow, case, place, data, metadata: Default::default(), change }
}

#[tokio::test]
async fn large_cases_that_are_looked_at_at_once_take_bounded_memory() {
    let serving = Serving::start(&[]).await;
    let petrel = petrel_at(serving.nats.url()).await;
    for (name, count, data) in
        [("text", 40, json!({ "text": "x".repeat(800_000) })), ("swelling", 8, swelling(8_000))]
    {
        ring(&petrel, name).await;
        let begun = NewCase { case: Some(case("k")), ..NewCase::of(workflow(name)) };
        petrel.create_case(begun).await.unwrap();
        // Small ones first: they tell nothing of the others.
        for number in 0..count + 24 {
            let data = if number < 24 { json!({}) } else { data.clone() };
            petrel.create_token(token_of(name, case("k"), data)).await.unwrap();
        }
        // The last record has none of the tokens.
        let pause = Change::default();
        petrel.pause(&workflow(name), &case("k"), pause).await.unwrap();
        for what in [
            "explain(workflowId: \"W\", caseId: \"k\") { summary }",
            "case(workflowId: \"W\", id: \"k\") { revision }",
            "case(workflowId: \"W\", id: \"k\") { tokens { natsTimestamp } }",
        ] {
            let query = format!("{{ {} }}", what.replace('W', name));
            assert_eq!(ask(&serving, 1, &query).await, 1);
            assert!(ask(&serving, 24, &query).await > 0);
        }
    }
    serving.stop().await;
}

#[tokio::test]
async fn strong_reads_of_tokens_that_swell_take_bounded_memory() {
    let serving = Serving::start(&[]).await;
    let petrel = petrel_at(serving.nats.url()).await;
    ring(&petrel, "w").await;
    let mut tokens = Vec::new();
    for name in ["a", "b"] {
        let begun = NewCase {
            case: Some(case(name)),
            data: swelling(40_000),
            ..NewCase::of(workflow("w"))
        };
        tokens.push((case(name), petrel.create_case(begun).await.unwrap().tokens[0].id.clone()));
    }
    // The process knows these.
    let begin = "mutation($case: ID!, $data: JSON!) { createWorkflowInstance(input: \
                 { workflowId: \"w\", caseId: $case, initialData: $data }) { tokenId } }";
    for name in ["c", "d"] {
        let variables = json!({ "case": name, "data": swelling(40_000) });
        let url = format!("http://{}/graphql", serving.address);
        let request = json!({ "query": begin, "variables": variables });
        let begun = reqwest::Client::new().post(&url).json(&request).send().await.unwrap();
        let begun: Value = begun.json().await.unwrap();
        let token = begun["data"]["createWorkflowInstance"]["tokenId"].as_str().expect("a token");
        tokens.push((case(name), TokenId::new(token).unwrap()));
    }
    // The tokens are in the last records of their cases, and then in others.
    for is_paused in [false, true] {
        for (case, token) in &tokens {
            if is_paused {
                petrel.pause(&workflow("w"), case, Change::default()).await.unwrap();
            }
            let query = format!("{{ token(id: \"{token}\", strong: true) {{ tokenId }} }}");
            assert_eq!(ask(&serving, 1, &query).await, 1);
            assert!(ask(&serving, 40, &query).await > 0);
        }
    }
    serving.stop().await;
}

#[tokio::test]
async fn views_of_large_cases_that_are_filled_take_bounded_memory() {
    let serving = Serving::start(&[]).await;
    let petrel = petrel_at(serving.nats.url()).await;
    ring(&petrel, "w").await;
    for number in 0..16 {
        let id = case(&format!("k{number}"));
        let begun = NewCase { case: Some(id.clone()), ..NewCase::of(workflow("w")) };
        petrel.create_case(begun).await.unwrap();
        for _ in 0..12 {
            petrel.create_token(token_of("w", id.clone(), swelling(9_000))).await.unwrap();
        }
    }
    let operator = operator(serving.nats.url()).await;
    operator.delete_stream("CB_MARKING").await.unwrap();
    eventually("a full view", 6 * PATIENCE, async || {
        let view = operator.get_stream("CB_MARKING").await.map_err(|error| error.to_string())?;
        let tokens = view.info_with_subjects("cb.workflows.>").await;
        let tokens = tokens.map_err(|error| error.to_string())?;
        let found = tokens.filter(|token| ready(token.is_ok())).count().await;
        if found == 16 * 13 { Ok(()) } else { Err(format!("{found} tokens")) }
    })
    .await;
    let peak = peak(&serving).unwrap_or_default();
    assert!(peak < MOST, "{peak} kB");
    serving.stop().await;
}
