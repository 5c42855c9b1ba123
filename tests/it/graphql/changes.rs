use serde_json::{Value, json};

use super::Served;

#[tokio::test]
async fn a_case_goes_from_its_first_token_to_its_completion() {
    let served = Served::start().await.with_orders().await;
    let token = served.order("a").await;
    let submitted = served.fire(&token, "submit").await;
    assert_eq!(submitted["token"]["tokenId"], token.as_str());
    assert_eq!(submitted["token"]["placeId"], "review");
    assert_eq!(submitted["token"]["history"][0]["sequence"], submitted["sequence"]);
    assert_eq!(submitted["event"]["kind"], "FIRED");
    assert_eq!(submitted["case"]["status"], "RUNNING");
    let approved = served.fire(&token, "approve").await;
    assert_eq!(approved["case"]["status"], "COMPLETED");
    assert_eq!(approved["transitionId"], "approve");
    served.stop().await;
}

#[tokio::test]
async fn a_transition_that_is_not_enabled_says_why_and_how_a_program_can_tell() {
    let served = Served::start().await.with_orders().await;
    let token = served.order("a").await;
    let fire = "mutation($token: ID!) { fireTransition(
        input: { tokenId: $token, transitionId: \"approve\" }) { sequence } }";
    let error = served.error(fire, json!({ "token": token })).await;
    assert_eq!(error["extensions"]["code"], "NOT_ENABLED");
    assert_eq!(error["extensions"]["retryable"], false);
    let blockers = error["extensions"]["blockers"].as_array().unwrap();
    assert!(blockers.iter().any(|b| b["message"].as_str().unwrap().contains("review")), "{error}");
    assert_eq!(error["path"], json!(["fireTransition"]));
    served.stop().await;
}

#[tokio::test]
async fn a_firing_id_fires_once() {
    let served = Served::start().await.with_orders().await;
    let token = served.order("a").await;
    let fire = "mutation($token: ID!) { fireTransition(input: { tokenId: $token,
        transitionId: \"submit\", firingId: \"f-1\" }) { sequence repeated firingId } }";
    let first = served.data(fire, json!({ "token": token })).await["fireTransition"].clone();
    let again = served.data(fire, json!({ "token": token })).await["fireTransition"].clone();
    assert_eq!((&first["repeated"], &again["repeated"]), (&json!(false), &json!(true)));
    assert_eq!(first["sequence"], again["sequence"]);
    served.stop().await;
}

#[tokio::test]
async fn a_workflow_that_is_stored_again_says_so() {
    let served = Served::start().await.with_orders().await;
    let store = "mutation($name: String!) { createWorkflow(input: { id: \"w\", name: $name,
        places: [{ id: \"a\" }], transitions: [], initialPlace: \"a\" }) { version repeated } }";
    let stored = async |name: &str| {
        served.data(store, json!({ "name": name })).await["createWorkflow"].clone()
    };
    assert_eq!(stored("one").await, json!({ "version": 1, "repeated": false }));
    assert_eq!(stored("one").await, json!({ "version": 1, "repeated": true }));
    assert_eq!(stored("two").await, json!({ "version": 2, "repeated": false }));
    // The first one again is another version than the latest.
    assert_eq!(stored("one").await, json!({ "version": 3, "repeated": false }));
    let read = served.data("{ workflow(id: \"w\") { repeated } }", json!({})).await;
    assert_eq!(read["workflow"]["repeated"], Value::Null);
    served.stop().await;
}

#[tokio::test]
async fn every_answer_says_whether_it_is_a_repeated_one_and_shows_the_state_of_today() {
    let served = Served::start().await.with_orders().await;
    let begin = json!({ "workflowId": "orders", "caseId": "once", "initialData": { "amount": 5 } });
    let create = "mutation($input: CreateWorkflowInstanceInput!) {
        createWorkflowInstance(input: $input) { id placeId live repeated case { status } } }";
    let token = |answer: &Value| answer["createWorkflowInstance"].clone();
    let first = token(&served.data(create, json!({ "input": begin })).await);
    assert_eq!((&first["repeated"], &first["live"]), (&json!(false), &json!(true)));
    let again = token(&served.data(create, json!({ "input": begin })).await);
    assert_eq!((&again["repeated"], &again["id"]), (&json!(true), &first["id"]));
    let change = json!({ "workflowId": "orders", "caseId": "once", "firingId": "same" });
    let changes = [
        "pauseCase(input: $input) { repeated status }",
        "resumeCase(input: $input) { repeated status }",
        "cancelCase(input: $input) { repeated status }",
    ];
    for (number, field) in changes.iter().enumerate() {
        let mutation = format!("mutation($input: CaseChangeInput!) {{ it: {field} }}");
        let mut input = change.clone();
        input["firingId"] = json!(format!("same-{number}"));
        let once = served.data(&mutation, json!({ "input": input })).await["it"].clone();
        let twice = served.data(&mutation, json!({ "input": input })).await["it"].clone();
        assert_eq!((&once["repeated"], &twice["repeated"]), (&json!(false), &json!(true)));
    }
    let gone = token(&served.data(create, json!({ "input": begin })).await);
    assert_eq!((&gone["repeated"], &gone["live"]), (&json!(true), &json!(false)));
    assert_eq!(gone["case"]["status"], "CANCELLED");
    let query = "query($id: ID!) { case(workflowId: \"orders\", id: $id) { repeated } }";
    assert_eq!(served.data(query, json!({ "id": "once" })).await["case"]["repeated"], Value::Null);
    served.stop().await;
}

#[tokio::test]
async fn another_request_under_a_used_id_is_a_conflict_that_names_the_first_use() {
    let served = Served::start().await.with_orders().await;
    let token = served.order("a").await;
    let submit = "mutation($token: ID!) { fireTransition(input: { tokenId: $token,
        transitionId: \"submit\", firingId: \"same\" }) { sequence } }";
    let first = served.data(submit, json!({ "token": token })).await["fireTransition"].clone();
    let others = [
        "cancelCase(input: { workflowId: \"orders\", caseId: \"a\", firingId: \"same\" }) { id }",
        "fireCase(input: { workflowId: \"orders\", caseId: \"a\", transitionId: \"nonsense\",
            firingId: \"same\" }) { sequence }",
        "updateTokenData(input: { tokenId: $token, patch: { n: 1 }, firingId: \"same\" }) { id }",
    ];
    for other in others {
        let variables = if other.contains("$token") { "($token: ID!)" } else { "" };
        let mutation = format!("mutation{variables} {{ {other} }}");
        let error = served.error(&mutation, json!({ "token": token })).await;
        let said = &error["extensions"];
        assert_eq!((&said["code"], &said["retryable"]), (&json!("CONFLICT"), &json!(false)));
        let first =
            json!({ "kind": "FIRED", "transitionId": "submit", "sequence": first["sequence"] });
        assert_eq!(said["first"], first, "{error}");
    }
    served.stop().await;
}

#[tokio::test]
async fn a_revision_that_is_not_the_cases_is_a_conflict() {
    let served = Served::start().await.with_orders().await;
    let token = served.order("a").await;
    let fire =
        "mutation($token: ID!, $revision: Sequence) { fireTransition(input: { tokenId: $token,
        transitionId: \"submit\", expectedRevision: $revision }) { sequence } }";
    let error = served.error(fire, json!({ "token": token, "revision": "1" })).await;
    assert_eq!(error["extensions"]["code"], "CONFLICT");
    let actual = &error["extensions"]["actual"];
    let none = served.error(fire, json!({ "token": token, "revision": "0" })).await;
    assert_eq!(none["extensions"]["code"], "INVALID_ARGUMENT");
    assert_eq!(none["extensions"]["argument"], "input.expectedRevision");
    served.data(fire, json!({ "token": token, "revision": actual })).await;
    served.stop().await;
}

#[tokio::test]
async fn a_version_of_a_workflow_that_has_none_is_a_conflict_and_names_no_version_0() {
    let served = Served::start().await;
    let create = "mutation($input: CreateWorkflowInput!) { createWorkflow(input: $input) { id } }";
    let input = json!({ "id": "new", "name": "New", "places": [{ "id": "a" }, { "id": "b" }],
        "initialPlace": "a", "expectedVersion": 3,
        "transitions": [{ "id": "t", "fromPlaces": ["a"], "toPlace": "b" }] });
    let error = served.error(create, json!({ "input": input })).await;
    let said = &error["extensions"];
    assert_eq!((&said["code"], &said["expected"]), (&json!("CONFLICT"), &json!("3")));
    assert_eq!(said["actual"], json!(null));
    let text = error["message"].as_str().unwrap();
    assert!(text.contains("workflow new has no version"), "{text}");
    served.stop().await;
}

#[tokio::test]
async fn all_the_problems_of_a_definition_come_at_once_in_the_spelling_of_the_schema() {
    let served = Served::start().await;
    let create = "mutation($input: CreateWorkflowInput!) { createWorkflow(input: $input) { id } }";
    let input = json!({ "name": "Bad", "places": [{ "id": "a" }], "initialPlace": "b",
        "transitions": [{ "id": "t", "fromPlaces": ["nowhere"], "toPlace": "a" }] });
    let error = served.error(create, json!({ "input": input })).await;
    assert_eq!(error["extensions"]["code"], "INVALID_ARGUMENT");
    let problems = error["extensions"]["problems"].as_array().unwrap();
    let paths: Vec<_> = problems.iter().map(|problem| problem["path"].as_str().unwrap()).collect();
    assert!(paths.contains(&"initialPlace"), "{paths:?}");
    assert!(paths.iter().any(|path| path.starts_with("transitions[0].fromPlaces")), "{paths:?}");

    let input = json!({ "name": "Bad", "places": [{ "id": "a b" }], "initialPlace": "a b", "transitions": [] });
    let error = served.error(create, json!({ "input": input })).await;
    assert_eq!(error["extensions"]["problems"][0]["path"], "places[0].id");
    served.stop().await;
}

#[tokio::test]
async fn a_case_is_paused_resumed_and_cancelled() {
    let served = Served::start().await.with_orders().await;
    let token = served.order("a").await;
    let change = async |name: &str| {
        let mutation = format!(
            "mutation {{ {name}(input: {{ workflowId: \"orders\", caseId: \"a\",
            reason: \"test\", triggeredBy: \"me\" }}) {{ status }} }}"
        );
        served.data(&mutation, json!({})).await[name]["status"].clone()
    };
    assert_eq!(change("pauseCase").await, "PAUSED");
    let fire = "mutation($token: ID!) { fireTransition(
        input: { tokenId: $token, transitionId: \"submit\" }) { sequence } }";
    served.error(fire, json!({ "token": token })).await;
    assert_eq!(change("resumeCase").await, "RUNNING");
    assert_eq!(change("cancelCase").await, "CANCELLED");
    let history =
        "{ history(workflowId: \"orders\", caseId: \"a\") { nodes { kind by metadata } } }";
    let history = served.data(history, json!({})).await;
    let last = &history["history"]["nodes"][3];
    assert_eq!(*last, json!({ "kind": "CANCELLED", "by": "me", "metadata": { "reason": "test" } }));
    served.stop().await;
}

#[tokio::test]
async fn tokens_are_added_to_cases_and_their_data_is_patched() {
    let served = Served::start().await.with_orders().await;
    let create = "mutation($input: CreateTokenInput!) { createToken(input: $input) {
        id caseId placeId data metadata case { tokensMade } } }";
    let of = |input: Value| json!({ "input": input });
    let input = of(json!({ "workflowId": "orders", "data": { "n": 1 }, "metadata": { "m": 2 } }));
    let alone = served.data(create, input).await["createToken"].clone();
    assert_eq!((&alone["placeId"], &alone["metadata"]), (&json!("new"), &json!({ "m": 2 })));
    let input =
        of(json!({ "workflowId": "orders", "caseId": alone["caseId"], "initialPlace": "review" }));
    let second = served.data(create, input).await["createToken"].clone();
    assert_eq!((&second["placeId"], &second["case"]["tokensMade"]), (&json!("review"), &json!(2)));
    let input = of(json!({ "workflowId": "orders", "firingId": "f" }));
    let error = served.error(create, input).await;
    assert_eq!(error["extensions"]["argument"], "input.firingId");

    let update =
        "mutation($input: UpdateTokenDataInput!) { updateTokenData(input: $input) { data } }";
    let input = of(json!({ "tokenId": alone["id"], "patch": { "n": null, "x": [1] } }));
    let updated = served.data(update, input).await;
    assert_eq!(updated["updateTokenData"]["data"], json!({ "x": [1] }));
    served.stop().await;
}

#[tokio::test]
async fn beginning_a_case_again_answers_with_its_token_wherever_that_is() {
    let served = Served::start().await.with_orders().await;
    let token = served.order("a").await;
    served.fire(&token, "submit").await;
    assert_eq!(served.order("a").await, token);
    served.stop().await;
}
