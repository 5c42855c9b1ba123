//! GraphQL's answers about the soundness of workflows.

use std::sync::Arc;

use serde_json::{Value, json};
use stormpetrel::{
    graphql::Limits,
    petrel::{Checks, Petrel},
    storage::MemoryStorage,
};

use super::Served;

const CREATE: &str = "mutation($input: CreateWorkflowInput!) { createWorkflow(input: $input) {
    id analysis { verdict decidedBy findings { kind message path marking { placeId tokens } } } } }";
const CHECK: &str = "query($input: CreateWorkflowInput!) { checkWorkflow(input: $input) {
    verdict decidedBy findings { kind message transitionId path marking { placeId tokens } } notes
    places transitions arcs freeChoice states bound } }";

/// A choice, joined as if both branches had been taken.
fn stuck() -> Value {
    json!({ "input": {
        "id": "stuck", "name": "Stuck", "initialPlace": "start",
        "places": [{ "id": "start" }, { "id": "left" }, { "id": "right" }, { "id": "end" }],
        "transitions": [
            { "id": "goLeft", "fromPlaces": ["start"], "toPlace": "left" },
            { "id": "goRight", "fromPlaces": ["start"], "toPlace": "right" },
            { "id": "join", "inputs": [{ "place": "left" }, { "place": "right" }],
              "outputs": [{ "place": "end" }], "conditions": ["true"] },
        ],
    } })
}

#[tokio::test]
async fn a_definition_is_checked_without_being_stored() {
    let served = Served::start().await;
    let analysis = served.data(CHECK, stuck()).await["checkWorkflow"].clone();
    assert_eq!(analysis["verdict"], "UNSOUND");
    let deadlock = &analysis["findings"][0];
    assert_eq!(deadlock["kind"], "DEADLOCK");
    assert_eq!(deadlock["path"], json!(["goLeft"]));
    assert_eq!(deadlock["marking"], json!([{ "placeId": "left", "tokens": 1 }]));
    let dead = analysis["findings"].as_array().unwrap().last().unwrap();
    assert_eq!((&dead["kind"], &dead["transitionId"]), (&json!("DEAD_TRANSITION"), &json!("join")));
    assert!(analysis["notes"][0].as_str().unwrap().ends_with(": join"), "guarded: {analysis}");
    let counts = ["places", "transitions", "arcs", "states", "bound"].map(|of| &analysis[of]);
    assert_eq!(counts, [&json!(4), &json!(3), &json!(7), &json!(3), &json!(1)]);
    let none = served.data("{ workflow(id: \"stuck\") { id } }", json!({})).await;
    assert_eq!(none["workflow"], Value::Null);
    served.stop().await;
}

#[tokio::test]
async fn a_workflow_has_its_analysis_with_it() {
    let served = Served::start().await;
    let created = served.data(CREATE, stuck()).await;
    assert_eq!(created["createWorkflow"]["analysis"]["verdict"], "UNSOUND");
    let query = "{ workflow(id: \"stuck\") { analysis { verdict findings { message } } } }";
    let asked = served.data(query, json!({})).await;
    let message = &asked["workflow"]["analysis"]["findings"][0]["message"];
    assert_eq!(message, "deadlock: after goLeft a case is stuck with a token in left");
    served.stop().await;
}

#[tokio::test]
async fn a_server_that_wants_only_sound_workflows_refuses_others_and_says_why() {
    let checks = Checks { require_sound: true, ..Checks::default() };
    let petrel = Petrel::new(Arc::new(MemoryStorage::new())).with_checks(checks);
    let served = Served::of(petrel, Limits::default()).await;
    let error = served.error(CREATE, stuck()).await;
    assert_eq!(error["extensions"]["code"], "NOT_SOUND");
    assert_eq!(error["extensions"]["retryable"], false);
    assert_eq!(error["extensions"]["verdict"], "UNSOUND");
    let findings = error["extensions"]["findings"].as_array().unwrap();
    assert!(findings[0]["message"].as_str().unwrap().contains("after goLeft"), "{error}");
    let none = served.data("{ workflow(id: \"stuck\") { id } }", json!({})).await;
    assert_eq!(none["workflow"], Value::Null);
    served.stop().await;
}

#[tokio::test]
async fn a_request_can_not_ask_for_more_checks_than_the_limits_allow() {
    let served = Served::start().await;
    let query = "{ workflows(first: 1000) { nodes { analysis { verdict } } } }";
    let error = served.error(query, json!({})).await;
    assert_eq!(error["extensions"]["code"], "INVALID_REQUEST");
    served.stop().await;
}

#[tokio::test]
async fn silent_transitions_and_final_markings_come_back_and_decide() {
    let served = Served::start().await;
    let input = json!({ "input": {
        "id": "quiet", "name": "Quiet", "initialPlace": "i",
        "finalMarkings": [[{ "placeId": "m", "tokens": 1 }]],
        "places": [{ "id": "i" }, { "id": "m" }, { "id": "o" }],
        "transitions": [
            { "id": "t", "fromPlaces": ["i"], "toPlace": "m" },
            { "id": "u", "silent": true, "fromPlaces": ["m"], "toPlace": "o" },
            { "id": "v", "fromPlaces": ["o"], "toPlace": "m" },
        ],
    } });
    let create = "mutation($input: CreateWorkflowInput!) { createWorkflow(input: $input) {
        transitions { silent } finalMarkings { placeId tokens } analysis { verdict } } }";
    let made = served.data(create, input).await["createWorkflow"].clone();
    assert_eq!(made["finalMarkings"], json!([[{ "placeId": "m", "tokens": 1 }]]));
    assert_eq!(made["transitions"], json!([false, true, false].map(|of| json!({ "silent": of }))));
    assert_eq!(made["analysis"]["verdict"], "SOUND");
}
