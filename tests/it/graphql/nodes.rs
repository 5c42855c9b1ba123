//! `id` names one object among everything, and every object with an `id` is found by it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Served;

/// Two workflows that have all their short ids in common, and a case in each.
async fn twins() -> Served {
    let served = Served::start().await;
    for workflow in ["X", "Y"] {
        let input = json!({ "input": { "id": workflow, "name": format!("Twin {workflow}"),
            "places": [{ "id": "case1" }, { "id": "b" }], "initialPlace": "case1",
            "transitions": [{ "id": "go", "fromPlaces": ["case1"], "toPlace": "b" },
                { "id": "back", "fromPlaces": ["b"], "toPlace": "case1" }] } });
        let create = "mutation($input: CreateWorkflowInput!) {
            createWorkflow(input: $input) { version } }";
        served.data(create, input).await;
        let begin = "mutation($w: ID!) { createWorkflowInstance(
            input: {workflowId: $w, caseId: \"case1\"}) { tokenId } }";
        served.data(begin, json!({ "w": workflow })).await;
        let fire = "mutation($w: ID!) {
            a: fireCase(input: {workflowId: $w, caseId: \"case1\", transitionId: \"go\"}) { sequence }
            b: fireCase(input: {workflowId: $w, caseId: \"case1\", transitionId: \"back\"}) { sequence } }";
        served.data(fire, json!({ "w": workflow })).await;
        if workflow == "X" {
            served.data("mutation { pauseCase(input: {workflowId: \"X\", caseId: \"case1\"}) { status } }", json!({})).await;
        }
    }
    // A second version of one of them, which its case does not run.
    let again =
        "mutation { createWorkflow(input: { id: \"X\", name: \"Newer\", initialPlace: \"case1\",
        places: [{id: \"case1\", capacity: 9}], transitions: [] }) { version } }";
    served.data(again, json!({})).await;
    served
}

const EVERYTHING: &str = "
    query($w: ID!) {
      workflow(id: $w) { ...W }
      workflows { nodes { ...W } }
      case(workflowId: $w, id: \"case1\") {
        ...C workflow { ...W } tokens { ...T case { ...C } workflow { ...W } }
        history { nodes { sequence produced { ...T } } }
      }
      tokens(workflowId: $w) { nodes { ...T } }
      cases(workflowId: $w) { nodes { ...C } }
    }
    fragment W on Workflow {
      __typename id workflowId name version
      places { __typename id placeId capacity } transitions { __typename id transitionId toPlace }
    }
    fragment C on Case { __typename id caseId workflowId status revision }
    fragment T on Token { __typename id tokenId workflowId placeId revision }";

/// Every object with an `id` in an answer.
fn objects(answer: &Value, found: &mut Vec<Value>) {
    match answer {
        Value::Array(items) => items.iter().for_each(|item| objects(item, found)),
        Value::Object(fields) => {
            if fields.contains_key("id") {
                let own =
                    fields.iter().filter(|(_, value)| !value.is_array() && !value.is_object());
                found.push(own.map(|(key, value)| (key.clone(), value.clone())).collect());
            }
            fields.values().for_each(|value| objects(value, found));
        }
        _ => {}
    }
}

#[tokio::test]
async fn a_client_that_keeps_objects_by_their_id_never_mixes_two_up() {
    let served = twins().await;
    let mut found = Vec::new();
    for workflow in ["X", "Y"] {
        objects(&served.data(EVERYTHING, json!({ "w": workflow })).await, &mut found);
    }
    // By the id alone, as Relay does, and so by type and id, as Apollo does.
    let mut kept: BTreeMap<String, Value> = BTreeMap::new();
    for object in &found {
        let id = object["id"].as_str().unwrap().to_owned();
        let before = kept.entry(id).or_insert_with(|| object.clone());
        assert_eq!(before, object);
    }
    let of = |kind: &str| kept.values().filter(|object| object["__typename"] == kind).count();
    let counts = ["Workflow", "Case", "Token", "Place", "Transition"].map(of);
    // Two versions of X and one of Y; tokens as they are, and after each of three records.
    assert_eq!(counts, [3, 2, 2 + 6, 2 + 1 + 2, 2 + 2], "{kept:#?}");
    served.stop().await;
}

#[tokio::test]
async fn whatever_has_an_id_is_found_by_it_and_is_the_same() {
    let served = twins().await;
    let mut found = Vec::new();
    objects(&served.data(EVERYTHING, json!({ "w": "X" })).await, &mut found);
    let nats = served.data("{ tokens(workflowId: \"X\") { nodes { tokenId } } }", json!({})).await
        ["tokens"]["nodes"][0]["tokenId"]
        .clone();
    let nats = served
        .data(
            "query($id: ID!) { natsToken(id: $id) { __typename id tokenId } }",
            json!({ "id": nats }),
        )
        .await;
    objects(&nats, &mut found);
    let node = "query($id: ID!, $ids: [ID!]!) { node(id: $id) { ...N } nodes(ids: $ids) { ...N } }
        fragment N on Node { __typename id
          ... on Workflow { workflowId name version }
          ... on Case { caseId workflowId status revision }
          ... on Token { tokenId workflowId placeId revision }
          ... on NatsToken { tokenId }
          ... on Place { placeId capacity }
          ... on Transition { transitionId toPlace } }";
    for object in &found {
        let id = &object["id"];
        let again = served.data(node, json!({ "id": id, "ids": [id, "Case.X.nobody", id] })).await;
        assert_eq!(&again["node"], object, "{id}");
        assert_eq!(again["nodes"], json!([object, null, object]), "{id}");
    }
    for gone in [
        "Case.Z.case1",
        "Workflow.X.99",
        "Place.X.99.case1",
        "Token.X.nobody",
        "Token.X.case1-x-1.7",
        "Transition.Y.2.nothing",
    ] {
        let none = served.data(node, json!({ "id": gone, "ids": [] })).await;
        assert_eq!(none, json!({ "node": null, "nodes": [] }), "{gone}");
    }
    for wrong in ["case1", "", "Case.X", "Case.X.case1.more", "Thing.X.y"] {
        let error =
            served.error("query($id: ID!) { node(id: $id) { id } }", json!({ "id": wrong })).await;
        assert_eq!(error["extensions"]["code"], "INVALID_ARGUMENT", "{error}");
        assert_eq!(error["extensions"]["argument"], "id", "{error}");
    }
    served.stop().await;
}

#[tokio::test]
async fn what_takes_a_short_id_takes_the_other_one_too_and_says_when_it_is_of_something_else() {
    let served = Served::start().await.with_orders().await;
    let query = "mutation { createWorkflowInstance(input: {workflowId: \"orders\", caseId: \"a\",
        initialData: {amount: 1}}) { id tokenId case { id } workflow { id transitions { id } places { id } } } }";
    let made = served.data(query, json!({})).await["createWorkflowInstance"].clone();
    let variables = json!({
        "token": made["id"], "case": made["case"]["id"], "workflow": made["workflow"]["id"],
        "submit": made["workflow"]["transitions"][0]["id"], "new": made["workflow"]["places"][0]["id"],
        "review": made["workflow"]["places"][1]["id"],
    });
    let reads = "query($token: ID!, $case: ID!, $workflow: ID!, $new: ID!) {
        workflow(id: $workflow) { version } token(id: $token) { placeId } natsToken(id: $token) { placeId }
        findToken(workflowId: $workflow, tokenId: $token) { placeId }
        tokens(workflowId: $workflow, placeId: $new, caseId: $case) { nodes { tokenId } }
        tokensInPlace(workflowId: $workflow, placeId: $new) { nodes { tokenId } }
        availableTransitions(tokenId: $token) { transitionId }
        case(workflowId: $workflow, id: $case) { status } cases(workflowId: $workflow) { nodes { caseId } }
        marking(workflowId: $workflow, caseId: $case) { sequence }
        explain(workflowId: $workflow, caseId: $case) { summary }
        history(workflowId: $workflow, caseId: $case) { nodes { kind } } }";
    let read = served.data(reads, variables.clone()).await;
    assert!(read.as_object().unwrap().values().all(|value| !value.is_null()), "{read}");
    let change = "mutation($token: ID!, $case: ID!, $workflow: ID!, $submit: ID!, $new: ID!, $review: ID!) {
        a: createToken(input: {workflowId: $workflow, caseId: $case, initialPlace: $new}) { placeId }
        b: updateTokenData(input: {tokenId: $token, workflowId: $workflow, patch: {n: 1}}) { placeId }
        c: transitionTokenWithNats(input: {tokenId: $token, transitionId: $submit, newPlace: $review}) { placeId }
        d: pauseCase(input: {workflowId: $workflow, caseId: $case}) { status }
        e: resumeCase(input: {workflowId: $workflow, caseId: $case}) { status }
        f: fireCase(input: {workflowId: $workflow, caseId: $case, transitionId: \"approve\", tokenIds: [$token]}) { sequence } }";
    let done = served.data(change, variables.clone()).await;
    assert!(done.as_object().unwrap().values().all(|value| !value.is_null()), "{done}");

    for (query, argument) in [
        ("query($case: ID!) { token(id: $case) { placeId } }", "id"),
        ("query($case: ID!) { workflow(id: $case) { name } }", "id"),
        ("query($case: ID!) { case(workflowId: \"bills\", id: $case) { status } }", "id"),
        (
            "mutation($case: ID!) { pauseCase(input: {workflowId: \"bills\", caseId: $case}) { status } }",
            "input.caseId",
        ),
        (
            "mutation($token: ID!) { fireTransition(input: {tokenId: $token, workflowId: \"bills\",
            transitionId: \"submit\"}) { sequence } }",
            "input.tokenId",
        ),
        (
            "mutation($submit: ID!) { fireCase(input: {workflowId: \"bills\", caseId: \"a\",
            transitionId: $submit}) { sequence } }",
            "input.transitionId",
        ),
    ] {
        let error = served.error(query, variables.clone()).await;
        assert_eq!(error["extensions"]["code"], "INVALID_ARGUMENT", "{error}");
        assert_eq!(error["extensions"]["argument"], argument, "{error}");
    }
    served.stop().await;
}
