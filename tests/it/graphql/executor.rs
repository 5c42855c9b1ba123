//! The API as others' services execute it, by async-graphql's `Executor`.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use async_graphql::{BatchRequest, Executor, Request, Response, UploadValue, Variables};
use futures::{FutureExt, StreamExt};
use serde_json::{Value, json};
use stormpetrel::{
    ExpectedVersion, MemoryStorage, NewCase, Petrel,
    graphql::{Api, ApiExecutor, Caller, Limits},
    models::{Principal, Role},
};

use crate::support::{definition, orders, workflow};

const BEGIN: &str = "mutation($case: ID!) { createWorkflowInstance(
    input: { workflowId: \"orders\", caseId: $case }) { tokenId placeId } }";

async fn api(limits: Limits) -> Api {
    let petrel = Petrel::new(Arc::new(MemoryStorage::new()));
    petrel.create_workflow(orders(), ExpectedVersion::Any).await.unwrap();
    Api::new(petrel, limits)
}

fn request(query: &str, variables: Value) -> Request {
    Request::new(query).variables(Variables::from_json(variables))
}

fn json_of(response: &Response) -> Value {
    serde_json::to_value(response).unwrap()
}

/// The first error's code, of a request that is executed by itself or as a stream: the same.
async fn code(executor: &ApiExecutor, request: impl Fn() -> Request) -> String {
    let once = json_of(&executor.execute(request()).await);
    let streamed: Vec<_> = executor.execute_stream(request(), None).collect().await;
    let [streamed] = &streamed[..] else { panic!("{streamed:?}") };
    assert_eq!(json_of(streamed)["errors"], once["errors"]);
    once["errors"][0]["extensions"]["code"].as_str().unwrap_or_else(|| panic!("{once}")).to_owned()
}

#[tokio::test]
async fn who_mounts_the_api_is_held_to_the_limits_of_a_request() {
    let limits = Limits {
        document_bytes: 1_000,
        body_bytes: 2_000,
        depth: 4,
        complexity: 20_000,
        look_ups: 5,
        answer_bytes: 150_000,
        ..Limits::default()
    };
    let executor = api(limits).await.executor(Caller::Anybody);
    for case in 0..10 {
        let begun = executor.execute(request(BEGIN, json!({ "case": format!("c{case}") }))).await;
        assert!(begun.is_ok(), "{begun:?}");
    }
    let deep = "{ cases(workflowId: \"orders\") { nodes { workflow { places { kind } } } } }";
    let dear =
        "{ cases(workflowId: \"orders\", first: 1000) { nodes { tokens { case { status } } } } }";
    let many = "{ tokens(workflowId: \"orders\", first: 10) { nodes { case { status } } } }";
    let large: String = (0..60).map(|at| format!("a{at}: natsSubject ")).collect();
    let large =
        format!("{{ tokens(workflowId: \"orders\", first: 10) {{ nodes {{ {large} }} }} }}");
    let long = format!("{{ health {{ version }} }} # {}", "x".repeat(1_000));
    let brackets = format!("{{ a(b: {}", "[".repeat(500));
    for (query, expected) in [
        (deep, "INVALID_REQUEST"),
        (dear, "INVALID_REQUEST"),
        (many, "TOO_MANY_LOOK_UPS"),
        (&large, "TOO_LARGE"),
        (&long, "TOO_LARGE"),
        (&brackets, "INVALID_REQUEST"),
        ("{ nothing }", "INVALID_REQUEST"),
        ("query($first: Int) { workflows(first: $first) { nodes { id } } }", "INVALID_ARGUMENT"),
    ] {
        let variables = json!({ "first": "seven" });
        assert_eq!(
            code(&executor, || request(query, variables.clone())).await,
            expected,
            "{query}"
        );
    }
    let much = json!({ "case": "x".repeat(2_000) });
    assert_eq!(code(&executor, || request(BEGIN, much.clone())).await, "TOO_LARGE");
}

#[tokio::test]
async fn what_gets_past_the_text_of_one_request_is_refused() {
    let executor = api(Limits::default()).await.executor(Caller::Anybody);
    // The text counts, and not what somebody says that it was parsed to.
    let parsed = || {
        let document = async_graphql::parser::parse_query(
            "mutation { createWorkflowInstance(input: { workflowId: \"orders\" }) { tokenId } }",
        );
        let mut request = request("{ health { version } }", json!({}));
        request.set_parsed_query(document.unwrap());
        request
    };
    let answer = json_of(&executor.execute(parsed()).await);
    assert!(answer["data"]["health"]["version"].is_string(), "{answer}");
    let hidden = request("{ __schema { types { name } } }", json!({})).disable_introspection();
    let answer = json_of(&executor.execute(hidden).await);
    assert!(!answer.to_string().contains("Query"), "{answer}");

    let upload = || {
        let mut request = request(BEGIN, json!({ "case": "a" }));
        let (filename, content) = ("a".to_owned(), "x".into());
        request.set_upload("variables.case", UploadValue { filename, content_type: None, content });
        request
    };
    assert_eq!(code(&executor, upload).await, "INVALID_REQUEST");

    let two = ["a", "b"].map(|case| request(BEGIN, json!({ "case": case })));
    let answer = executor.execute_batch(BatchRequest::Batch(two.into())).await;
    let answer = serde_json::to_value(answer).unwrap();
    assert!(answer["errors"][0]["message"].as_str().unwrap().contains("batches"), "{answer}");
    let cases = "{ cases(workflowId: \"orders\") { nodes { caseId } } }";
    let one = BatchRequest::Single(request(cases, json!({})));
    let answer = serde_json::to_value(executor.execute_batch(one).await).unwrap();
    assert_eq!(answer, json!({ "data": { "cases": { "nodes": [] } } }));
}

#[tokio::test]
async fn an_executor_is_one_callers() {
    let api = api(Limits::default()).await;
    let known = |role| {
        let principal = Principal { name: "ann".into(), role };
        api.executor(Caller::Known(Arc::new(principal)))
    };
    let begin = || request(BEGIN, json!({ "case": "a" }));
    assert_eq!(code(&api.executor(Caller::Stranger), begin).await, "UNAUTHENTICATED");
    assert_eq!(code(&known(Role::Reader), begin).await, "FORBIDDEN");
    assert!(known(Role::Operator).execute(begin()).await.is_ok());
    // What a request brings along makes nobody an other.
    let forged = || begin().data(Caller::Anybody);
    assert_eq!(code(&known(Role::Reader), forged).await, "FORBIDDEN");
    let by = "{ history(workflowId: \"orders\", caseId: \"a\") { nodes { by } } }";
    let history = json_of(&known(Role::Reader).execute(request(by, json!({}))).await);
    assert_eq!(history["data"]["history"]["nodes"], json!([{ "by": "ann" }]));
}

/// On the only thread there is, nothing goes on while this test does not wait.
#[tokio::test(flavor = "current_thread")]
async fn a_mutation_goes_on_when_its_caller_leaves_and_keeps_its_room_until_then() {
    let api = api(Limits { under_way: 1, subscriptions: 1, ..Limits::default() }).await;
    let executor = api.executor(Caller::Anybody);
    let begun = executor.execute(request(BEGIN, json!({ "case": "a" }))).now_or_never();
    assert!(begun.is_none(), "{begun:?}");
    let query = || request("{ case(workflowId: \"orders\", id: \"a\") { status } }", json!({}));
    let other = api.executor(Caller::Anybody);
    let refused = json_of(&other.execute(query()).await);
    assert_eq!(refused["errors"][0]["extensions"]["code"], "OVERLOADED", "{refused}");
    assert_eq!(refused["errors"][0]["extensions"]["retryable"], true, "{refused}");
    api.finish().await;
    let answer = json_of(&other.execute(query()).await);
    assert_eq!(answer, json!({ "data": { "case": { "status": "RUNNING" } } }));

    let follow = "subscription { workflowEvents(workflowId: \"orders\", fromSequence: \"1\") {
        caseId kind } }";
    let follow = || request(follow, json!({}));
    let mut first = executor.execute_stream(follow(), None);
    let event = json_of(&first.next().await.unwrap());
    assert_eq!(event["data"]["workflowEvents"], json!({ "caseId": "a", "kind": "CREATED" }));
    let refused = json_of(&other.execute_stream(follow(), None).next().await.unwrap());
    assert_eq!(refused["errors"][0]["extensions"]["code"], "OVERLOADED", "{refused}");
    drop(first);
    assert!(other.execute_stream(follow(), None).next().await.unwrap().is_ok());
    let refused = json_of(&other.execute(follow()).await);
    assert_eq!(refused["errors"][0]["extensions"]["code"], "INVALID_REQUEST", "{refused}");
}

#[tokio::test]
async fn answers_are_completed_as_those_of_petrel_serve() {
    let executor = api(Limits::default()).await.executor(Caller::Anybody);
    assert!(executor.execute(request(BEGIN, json!({ "case": "a" }))).await.is_ok());
    let fire = "mutation { b: fireCase(input: { workflowId: \"orders\", caseId: \"a\",
        transitionId: \"join\" }) { sequence } a: __typename }";
    let answer = executor.execute(request(fire, json!({}))).await;
    assert_eq!(serde_json::to_string(&answer.data).unwrap(), r#"{"b":null,"a":"Mutation"}"#);
    let error = &json_of(&answer)["errors"][0];
    assert_eq!(error["extensions"]["code"], "NOT_ENABLED", "{error}");
    assert_eq!(error["path"], json!(["b"]));
}

/// A subscriber's answer is begun, and then nobody asks for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_take_answers_keeps_no_turn_from_others() {
    let petrel = Petrel::new(Arc::new(MemoryStorage::new()));
    let places: Vec<_> = (0..30).map(|number| json!({ "id": format!("p{number}") })).collect();
    let transitions: Vec<_> = (1..30)
        .map(|to| {
            json!({ "id": format!("t{to}"), "from_places": [format!("p{}", to - 1)],
                          "to_place": format!("p{to}") })
        })
        .collect();
    let net = definition(json!({
        "id": "big", "initial_place": "p0", "places": places, "transitions": transitions
    }));
    petrel.create_workflow(net, ExpectedVersion::New).await.unwrap();
    let begun = petrel.create_case(NewCase::of(workflow("big"))).await.unwrap();
    let token = &begun.tokens[0].id;
    let api = Api::new(petrel, Limits::default());
    let drawings: String = (0..8).map(|number| format!("s{number}: svg ")).collect();
    let follow = format!(
        "subscription {{ tokenUpdates(tokenId: \"{token}\", workflowId: \"big\") {{
            workflow {{ {drawings} }} }} }}"
    );
    let executor = api.executor(Caller::Anybody);
    let begun = Instant::now();
    let whole = executor.execute_stream(request(&follow, json!({})), None).next().await.unwrap();
    assert!(whole.is_ok(), "{whole:?}");
    let whole = begun.elapsed();
    let mut stalled = Vec::new();
    for part in 1..=12 {
        let mut stream = executor.execute_stream(request(&follow, json!({})), None);
        // Not to its end: whatever it has of the drawings then, it has from now on.
        if tokio::time::timeout(whole * part / 14, stream.next()).await.is_err() {
            stalled.push(stream);
        }
    }
    assert!(!stalled.is_empty());
    let asked = executor.execute(request("{ workflow(id: \"big\") { svg } }", json!({})));
    let answer = tokio::time::timeout(Duration::from_secs(20), asked).await.expect("an answer");
    assert!(answer.is_ok(), "{answer:?}");
}
