//! Mistakes of a newcomer, and the answers to them.

use serde_json::{Value, json};

use super::Served;

/// The paths of `extensions.problems`.
fn paths(error: &Value) -> Vec<&str> {
    let problems = error["extensions"]["problems"].as_array().unwrap();
    problems.iter().map(|problem| problem["path"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn all_the_problems_of_a_workflow_come_at_once_with_ids_that_can_not_be_read() {
    let served = Served::start().await;
    let create = "mutation($input: CreateWorkflowInput!) { createWorkflow(input: $input) { id } }";
    let input = json!({ "id": "my flow", "name": "Bad", "initialPlace": "start",
        "places": [{ "id": "a b" }, { "id": "done" }, { "id": "done" }, { "id": "" }],
        "transitions": [
            { "id": "go", "fromPlaces": ["a b"], "toPlace": "nowhere" },
            { "id": "go", "inputs": [{ "place": "x.y" }], "outputs": [{ "place": "done" }],
              "conditions": [{ "near": 1 }, "token.data.amount >"] },
        ] });
    let error = served.error(create, json!({ "input": input })).await;
    assert_eq!(error["extensions"]["code"], "INVALID_ARGUMENT");
    let paths = paths(&error);
    for expected in [
        "id",
        "initialPlace",
        "places[0].id",
        "places[2].id",
        "places[3].id",
        "transitions[0].toPlace",
        "transitions[1].id",
        "transitions[1].inputs[0].place",
        "transitions[1].conditions[0]",
    ] {
        assert!(paths.contains(&expected), "{expected} is not in {error:#}");
    }
    let messages = error["message"].as_str().unwrap();
    assert!(messages.contains("has ' ' at position 2"), "{messages}");
    served.stop().await;
}

#[tokio::test]
async fn an_id_that_can_not_be_one_names_the_character_and_where_it_is() {
    let served = Served::start().await.with_orders().await;
    for (query, argument) in [
        ("{ token(id: \"ab.c\") { id } }", "id"),
        ("{ findToken(workflowId: \"ab.c\", tokenId: \"x\") { id } }", "workflowId"),
        ("{ tokens(workflowId: \"orders\", placeId: \"ab.c\") { nodes { id } } }", "placeId"),
        (
            "mutation { createToken(input: { workflowId: \"orders\", caseId: \"ab.c\" }) { id } }",
            "input.caseId",
        ),
    ] {
        let error = served.error(query, json!({})).await;
        assert_eq!(error["extensions"]["code"], "INVALID_ARGUMENT", "{error}");
        assert_eq!(error["extensions"]["argument"], argument, "{error}");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains("has '.' at position 2"), "{message}");
    }
    served.stop().await;
}

#[tokio::test]
async fn a_place_that_a_transition_does_not_lead_to_is_refused_by_its_argument() {
    let served = Served::start().await.with_orders().await;
    let token = served.order("a").await;
    let go = "mutation($token: ID!, $place: ID!) { transitionTokenWithNats(input: {
        tokenId: $token, transitionId: \"submit\", newPlace: $place }) { placeId } }";
    for place in ["nowhere", "done"] {
        let error = served.error(go, json!({ "token": token, "place": place })).await;
        assert_eq!(error["extensions"]["code"], "INVALID_ARGUMENT", "{error}");
        assert_eq!(error["extensions"]["argument"], "input.newPlace");
        let expected = format!("transition submit leads to review, not to {place}");
        assert!(error["message"].as_str().unwrap().contains(&expected), "{error}");
    }
    let create = "mutation { createToken(input: { workflowId: \"orders\",
        initialPlace: \"nowhere\" }) { id } }";
    let error = served.error(create, json!({})).await;
    assert_eq!(error["extensions"]["argument"], "input.initialPlace", "{error}");
    let moved = served.data(go, json!({ "token": token, "place": "review" })).await;
    assert_eq!(moved["transitionTokenWithNats"]["placeId"], "review");
    served.stop().await;
}

#[tokio::test]
async fn what_is_to_change_and_does_not_exist_is_not_found_by_its_kind_and_id() {
    let served = Served::start().await.with_orders().await;
    let token = served.order("a").await;
    let fire = |token: &str, transition: &str| {
        format!(
            "mutation {{ fireTransition(input: {{ tokenId: \"{token}\",
                transitionId: \"{transition}\" }}) {{ sequence }} }}"
        )
    };
    let case = "mutation { pauseCase(input: { workflowId: \"orders\", caseId: \"z\" }) { id } }";
    let workflow = "mutation { createToken(input: { workflowId: \"nothing\" }) { id } }";
    let later = token.trim_end_matches('1').to_owned() + "77";
    for (query, kind, id) in [
        (fire("x", "submit"), "token", "x"),
        (fire(&later, "submit"), "token", later.as_str()),
        (fire(&token, "fly"), "transition", "fly"),
        (case.to_owned(), "case", "z"),
        (workflow.to_owned(), "workflow", "nothing"),
    ] {
        let error = served.error(&query, json!({})).await;
        let extensions = &error["extensions"];
        assert_eq!(extensions["code"], "NOT_FOUND", "{error}");
        assert_eq!((&extensions["kind"], &extensions["id"]), (&json!(kind), &json!(id)), "{error}");
        assert_eq!(extensions["retryable"], false);
    }
    let unknown = served.error(&fire(&token, "fly"), json!({})).await;
    let known = unknown["extensions"]["known"].as_array().unwrap();
    assert!(known.contains(&json!("submit")), "{unknown}");
    let message = unknown["message"].as_str().unwrap();
    assert!(message.contains("orders has no transition fly; it has submit, "), "{unknown}");
    served.stop().await;
}

#[tokio::test]
async fn variables_of_the_wrong_type_are_all_named_with_where_they_are() {
    let served = Served::start().await;
    let create = "mutation($input: CreateWorkflowInput!) { createWorkflow(input: $input) { id } }";
    let input = json!({ "name": 7, "initialPlace": "a", "places": [{ "id": "a", "kind": "END" }],
        "transitions": [{ "from": "a" }] });
    let answer = served.ask(create, json!({ "input": input })).await;
    let errors = answer["errors"].as_array().unwrap();
    let arguments: Vec<_> =
        errors.iter().map(|error| error["extensions"]["argument"].as_str().unwrap()).collect();
    assert_eq!(
        arguments,
        [
            "input.name",
            "input.places[0].kind",
            "input.transitions[0].id",
            "input.transitions[0].from"
        ]
    );
    assert!(errors.iter().all(|error| error["extensions"]["code"] == "INVALID_ARGUMENT"));
    assert!(errors[1]["message"].as_str().unwrap().contains("NORMAL, TERMINAL"), "{answer}");
    served.stop().await;
}

#[tokio::test]
async fn sequences_are_taken_as_strings_and_as_numbers_and_nothing_else() {
    let served = Served::start().await.with_orders().await;
    let token = served.order("a").await;
    let fire = "mutation($token: ID!, $at: Sequence) { fireTransition(input: { tokenId: $token,
        transitionId: \"submit\", expectedRevision: $at }) { sequence } }";
    for at in
        [json!("9007199254740993"), json!(9_007_199_254_740_993_u64), json!("18446744073709551615")]
    {
        let error = served.error(fire, json!({ "token": token, "at": at })).await;
        assert_eq!(error["extensions"]["code"], "CONFLICT");
        let digits = at.to_string();
        assert_eq!(error["extensions"]["expected"], digits.trim_matches('"'));
    }
    for at in [json!(-1), json!(1.5), json!("latest"), json!("18446744073709551616")] {
        let error = served.error(fire, json!({ "token": token, "at": at })).await;
        assert_eq!(error["extensions"]["code"], "INVALID_ARGUMENT", "{error}");
        assert_eq!(error["extensions"]["argument"], "at", "{error}");
        assert!(error["message"].as_str().unwrap().contains("18446744073709551615"), "{error}");
    }
    // In the document itself, too.
    let written = format!(
        "mutation {{ fireTransition(input: {{ tokenId: \"{token}\", transitionId: \"submit\",
            expectedRevision: \"latest\" }}) {{ sequence }} }}"
    );
    let error = served.error(&written, json!({})).await;
    assert!(error["message"].as_str().unwrap().contains("latest"), "{error}");
    served.stop().await;
}

#[tokio::test]
async fn a_cursor_that_was_never_given_says_where_to_take_one() {
    let served = Served::start().await.with_orders().await;
    for (listing, after) in [
        ("tokens(workflowId: \"orders\"", "next please"),
        ("cases(workflowId: \"orders\"", "MTIz!"),
        ("workflows(first: 5", ""),
        ("tokens(workflowId: \"orders\"", "/////w=="),
    ] {
        let query = format!("{{ {listing}, after: \"{after}\") {{ nodes {{ id }} }} }}");
        let error = served.error(&query, json!({})).await;
        assert_eq!(error["extensions"]["code"], "INVALID_ARGUMENT", "{error}");
        assert_eq!(error["extensions"]["argument"], "after");
        assert!(error["message"].as_str().unwrap().contains("endCursor"), "{error}");
    }
    served.stop().await;
}

#[tokio::test]
async fn what_is_named_twice_is_refused_wherever_the_last_one_would_have_been_taken_in_silence() {
    let served = Served::start().await;
    let literal = "mutation { createWorkflowInstance(input: \
                   {workflowId: \"orders\", caseId: \"a\", caseId: \"b\"}) { caseId } }";
    let error = served.error(literal, json!({})).await;
    assert_eq!(error["extensions"]["code"], "INVALID_REQUEST", "{error}");
    assert_eq!(error["message"], "There can only be one input field named \"caseId\"");
    for body in [
        r#"{"query": "{ health { problem } }", "query": "{ __typename }"}"#,
        r#"{"query": "{ health { problem } }", "variables": {"a": {"b": 1, "b": 2}}}"#,
    ] {
        let request = served.http.post(served.url("/graphql")).body(body);
        let response = request.header("content-type", "application/json").send().await.unwrap();
        assert_eq!(response.status(), 400, "{body}");
        let answer: Value = response.json().await.unwrap();
        assert!(answer["errors"][0]["message"].as_str().unwrap().contains("twice"), "{answer}");
    }
}

#[tokio::test]
async fn numbers_are_kept_as_the_documentation_says_in_variables_and_in_documents() {
    let served = Served::start().await.with_orders().await;
    let numbers = "9223372036854775807, -9223372036854775808, 18446744073709551615, 0.1, 1e308";
    let kept = json!([i64::MAX, i64::MIN, u64::MAX, 0.1, 1e308]);
    let token = |data: &str| {
        format!("createToken(input: {{workflowId: \"orders\", data: {data}}}) {{ data caseId }}")
    };
    let mutation = format!("mutation {{ {} }}", token(&format!("{{n: [{numbers}]}}")));
    let literal = served.data(&mutation, json!({})).await["createToken"].clone();
    let mutation = format!("mutation($data: JSON) {{ {} }}", token("$data"));
    let variable = served.data(&mutation, json!({ "data": { "n": kept } })).await;
    let variable = variable["createToken"].clone();
    for created in [literal, variable] {
        assert_eq!(created["data"]["n"], kept);
        // The log and the view have them, too.
        let query = "query($id: ID!) { case(workflowId: \"orders\", id: $id) { tokens { data } } }";
        let case = served.data(query, json!({ "id": created["caseId"] })).await["case"].clone();
        assert_eq!(case["tokens"][0]["data"]["n"], kept);
    }
    // What is longer is rounded; it is never cut to another whole number.
    let mutation = format!("mutation {{ {} }}", token("{n: 18446744073709551616}"));
    let rounded = served.data(&mutation, json!({})).await;
    assert_eq!(rounded["createToken"]["data"]["n"], json!(18446744073709551616.0));
    served.stop().await;
}

#[tokio::test]
async fn metadata_that_are_no_object_are_refused_by_their_argument() {
    let served = Served::start().await.with_orders().await;
    let token = served.order("a").await;
    let of_case = json!({ "workflowId": "orders", "caseId": "a" });
    let mutations = [
        (
            "createWorkflowInstance",
            "CreateWorkflowInstanceInput",
            json!({ "workflowId": "orders" }),
        ),
        ("createToken", "CreateTokenInput", json!({ "workflowId": "orders" })),
        ("createToken", "CreateTokenInput", of_case.clone()),
        ("updateTokenData", "UpdateTokenDataInput", json!({ "tokenId": token, "patch": {} })),
        (
            "fireTransition",
            "FireTransitionInput",
            json!({ "tokenId": token, "transitionId": "submit" }),
        ),
        ("pauseCase", "CaseChangeInput", of_case),
    ];
    for metadata in [json!([1]), json!("note"), json!(1), json!(false)] {
        for (name, kind, input) in &mutations {
            let mutation =
                format!("mutation($input: {kind}!) {{ {name}(input: $input) {{ __typename }} }}");
            let mut input = input.clone();
            input["metadata"] = metadata.clone();
            let error = served.error(&mutation, json!({ "input": input })).await;
            assert_eq!(error["extensions"]["argument"], "input.metadata", "{name}: {error}");
            assert_eq!(error["extensions"]["code"], "INVALID_ARGUMENT", "{name}: {error}");
        }
        let mutation =
            "mutation($input: CreateWorkflowInput!) { createWorkflow(input: $input) { id } }";
        let input = json!({ "id": "w", "name": "w", "initialPlace": "a b", "places": [{ "id": "a" }],
            "transitions": [], "metadata": metadata });
        let error = served.error(mutation, json!({ "input": input })).await;
        assert!(
            paths(&error).contains(&"metadata") && paths(&error).contains(&"initialPlace"),
            "{error}"
        );
    }
    served.stop().await;
}
