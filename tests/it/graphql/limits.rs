use std::sync::Arc;

use serde_json::{Value, json};
use stormpetrel::{graphql::Limits, storage::nats::NatsStorage, testing::TestServer};

use super::Served;
use crate::support::config;

fn nested(levels: usize) -> Value {
    (0..levels).fold(json!(1), |inner, _| json!({ "a": inner }))
}

#[tokio::test]
async fn what_nests_too_deep_is_refused_by_the_name_of_its_argument_and_the_rest_comes_back() {
    let served = Served::start().await.with_orders().await;
    let token = served.order("a").await;
    let deep = nested(65);
    let asked = [
        (
            "input.initialData",
            "createWorkflowInstance(input: {workflowId: \"orders\", initialData: $deep}) {id}",
        ),
        (
            "input.metadata",
            "createWorkflowInstance(input: {workflowId: \"orders\", metadata: $deep}) {id}",
        ),
        ("input.data", "createToken(input: {workflowId: \"orders\", data: $deep}) {id}"),
        ("input.metadata", "createToken(input: {workflowId: \"orders\", metadata: $deep}) {id}"),
        (
            "input.data",
            "fireTransition(input: {tokenId: $token, transitionId: \"submit\", data: $deep}) {sequence}",
        ),
        (
            "input.metadata",
            "fireTransition(input: {tokenId: $token, transitionId: \"submit\", metadata: $deep}) {sequence}",
        ),
        ("input.patch", "updateTokenData(input: {tokenId: $token, patch: $deep}) {id}"),
        (
            "input.metadata",
            "pauseCase(input: {workflowId: \"orders\", caseId: \"a\", metadata: $deep}) {id}",
        ),
        (
            "input.metadata",
            "cancelCase(input: {workflowId: \"orders\", caseId: \"a\", metadata: $deep}) {id}",
        ),
    ];
    for (argument, mutation) in asked {
        let token_type = if mutation.contains("$token") { "$token: ID!, " } else { "" };
        let query = format!("mutation({token_type}$deep: JSON!) {{ {mutation} }}");
        let error = served.error(&query, json!({ "token": token, "deep": deep })).await;
        let told = &error["extensions"];
        assert_eq!(
            (&told["code"], &told["argument"]),
            (&"INVALID_ARGUMENT".into(), &argument.into()),
            "{error}"
        );
        assert!(error["message"].as_str().unwrap().contains("64 levels"), "{error}");
    }
    let fire = "mutation($token: ID!, $deep: JSON) { fireTransition(input: {tokenId: $token,
        transitionId: \"submit\", data: $deep, metadata: $deep}) { token { data history { metadata } } } }";
    let fired = served.data(fire, json!({ "token": token, "deep": nested(64) })).await;
    let given = &fired["fireTransition"]["token"];
    assert_eq!(given["history"][0]["metadata"], nested(64));
    assert_eq!(given["data"]["a"], nested(63));
    served.stop().await;
}

#[tokio::test]
async fn an_unreadable_record_is_put_aside_and_subscribers_and_readers_go_on() {
    let server = TestServer::start().await;
    let storage = NatsStorage::connect(config(server.url())).await.unwrap();
    let served = Served::over(Arc::new(storage), Limits::default()).await.with_orders().await;
    let token = served.order("a").await;
    served.fire(&token, "submit").await;
    let client = async_nats::connect(server.url()).await.unwrap();
    let stream = async_nats::jetstream::new(client);
    let subject = "cb.workflows.orders.events.lifecycle.a";
    let at = stream.publish(subject, "rubbish".into()).await.unwrap().await.unwrap().sequence;
    let listing = "{ cases(workflowId: \"orders\") { nodes { caseId } unreadable } }";
    let listed = served.data(listing, json!({})).await;
    assert_eq!(listed["cases"], json!({ "nodes": [], "unreadable": ["a"] }));
    let quarantine = "mutation { quarantineCase(input: {workflowId: \"orders\", caseId: \"a\",
        reason: \"a script\"}) { status history(first: 10) { nodes { kind putAside { sequence subject } } } } }";
    let done = served.data(quarantine, json!({})).await;
    let nodes = done["quarantineCase"]["history"]["nodes"].as_array().unwrap().clone();
    let last = nodes.last().unwrap();
    assert_eq!(last["kind"], "QUARANTINED");
    assert_eq!(last["putAside"], json!([{ "sequence": at.to_string(), "subject": subject }]));
    assert_eq!(served.fire(&token, "approve").await["case"]["status"], "COMPLETED");
    let again = served.error(quarantine, json!({})).await;
    assert_eq!(again["extensions"]["code"], "INVALID_ARGUMENT");
    served.stop().await;
}
