use serde_json::{Value, json};

use stormpetrel::storage::ReadPath;

use super::Served;

/// Runs each of these in memory and on a nats-server, with tokens read in either way.
macro_rules! in_each_way {
    ($($name:ident)*) => {
        mod in_memory {
            $(#[tokio::test]
            async fn $name() {
                super::$name(super::Served::start().await).await;
            })*
        }
        mod by_direct_get {
            $(#[tokio::test]
            async fn $name() {
                super::$name(super::Served::reading(super::ReadPath::Direct).await).await;
            })*
        }
        mod by_consumer {
            $(#[tokio::test]
            async fn $name() {
                super::$name(super::Served::reading(super::ReadPath::Consumer).await).await;
            })*
        }
    };
}

in_each_way! {
    what_does_not_exist_is_null_and_what_hangs_on_it_is_not_found
    a_token_is_found_with_its_case_and_its_workflow
    listings_are_pages_that_together_have_everything_once
    workflows_are_listed_by_id
    a_case_explains_what_it_can_do_and_what_hinders_the_rest
    pictures_are_svg_of_the_net_and_of_a_case_with_its_tokens
}

async fn what_does_not_exist_is_null_and_what_hangs_on_it_is_not_found(served: Served) {
    let served = served.with_orders().await;
    let nothing = served
        .data(
            "{ workflow(id: \"x\") { id } token(id: \"x\") { id } natsToken(id: \"x\") { id }
            findToken(workflowId: \"x\", tokenId: \"x\") { id }
            case(workflowId: \"orders\", id: \"x\") { id } }",
            json!({}),
        )
        .await;
    assert!(nothing.as_object().unwrap().values().all(Value::is_null), "{nothing}");
    for query in [
        "{ marking(workflowId: \"orders\", caseId: \"x\") { sequence } }",
        "{ explain(workflowId: \"orders\", caseId: \"x\") { summary } }",
        "{ history(workflowId: \"orders\", caseId: \"x\") { nodes { kind } } }",
        "{ availableTransitions(tokenId: \"x\") { id } }",
    ] {
        assert_eq!(
            served.error(query, json!({})).await["extensions"]["code"],
            "NOT_FOUND",
            "{query}"
        );
    }
    let error = served.error("{ token(id: \"a.b\") { id } }", json!({})).await;
    assert_eq!(error["extensions"]["code"], "INVALID_ARGUMENT");
    assert_eq!(error["extensions"]["argument"], "id");
    served.stop().await;
}

async fn a_token_is_found_with_its_case_and_its_workflow(served: Served) {
    let served = served.with_orders().await;
    let token = served.order("a").await;
    for strong in [false, true] {
        let query = "query($id: ID!, $strong: Boolean!) { token(id: $id, strong: $strong) {
            id workflowId caseId placeId data metadata createdAt revision natsTimestamp
            case { status revision workflow { version } tokens { tokenId } }
            workflow { name places { placeId kind } } } }";
        let found = served.data(query, json!({ "id": token, "strong": strong })).await;
        let found = &found["token"];
        assert_eq!((&found["placeId"], &found["data"]), (&json!("new"), &json!({ "amount": 7 })));
        assert!(found["revision"].is_string() && found["natsTimestamp"].is_string(), "{found}");
        assert_eq!(found["case"]["workflow"]["version"], 1);
        assert_eq!(found["case"]["tokens"], json!([{ "tokenId": token }]));
        assert_eq!(
            found["workflow"]["places"][2],
            json!({ "placeId": "done", "kind": "TERMINAL" })
        );
    }
    served.stop().await;
}

async fn listings_are_pages_that_together_have_everything_once(served: Served) {
    let served = served.with_orders().await;
    for number in 0..5 {
        served.order(&format!("case-{number}")).await;
    }
    for (query, field) in [
        ("query($first: Int, $after: String) { page: tokens(workflowId: \"orders\", first: $first,
            after: $after) { edges { cursor node { key: caseId } } nodes { caseId }
            pageInfo { hasNextPage hasPreviousPage endCursor } } }", "tokens"),
        ("query($first: Int, $after: String) { page: tokensInPlace(workflowId: \"orders\",
            placeId: \"new\", first: $first, after: $after) { edges { cursor node { key: caseId } }
            pageInfo { hasNextPage hasPreviousPage endCursor } } }", "tokensInPlace"),
        ("query($first: Int, $after: String) { page: cases(workflowId: \"orders\", status: RUNNING,
            first: $first, after: $after) { edges { cursor node { key: caseId } }
            pageInfo { hasNextPage hasPreviousPage endCursor } } }", "cases"),
    ] {
        let (mut after, mut keys, mut pages) = (Value::Null, Vec::new(), 0);
        loop {
            let page = served.data(query, json!({ "first": 2, "after": after })).await["page"].clone();
            let edges = page["edges"].as_array().unwrap().clone();
            keys.extend(edges.iter().map(|edge| edge["node"]["key"].as_str().unwrap().to_owned()));
            assert_eq!(page["pageInfo"]["hasPreviousPage"], pages > 0, "{field}");
            pages += 1;
            after = page["pageInfo"]["endCursor"].clone();
            assert_eq!(after, edges.last().unwrap()["cursor"]);
            if page["pageInfo"]["hasNextPage"] == false {
                break;
            }
        }
        keys.sort();
        assert_eq!(keys, ["case-0", "case-1", "case-2", "case-3", "case-4"], "{field}");
        assert_eq!(pages, 3, "{field}");
    }
    served.stop().await;
}

async fn workflows_are_listed_by_id(served: Served) {
    let served = served.with_orders().await;
    let create =
        "mutation($id: ID) { createWorkflow(input: { id: $id, name: \"W\", initialPlace: \"a\",
        places: [{ id: \"a\" }, { id: \"b\" }],
        transitions: [{ id: \"t\", fromPlaces: [\"a\"], toPlace: \"b\" }] }) { id } }";
    served.data(create, json!({ "id": "alpha" })).await;
    let list = "query($after: String) { workflows(first: 1, after: $after) {
        nodes { workflowId } pageInfo { hasNextPage endCursor } } }";
    let first = served.data(list, json!({})).await["workflows"].clone();
    assert_eq!(first["nodes"], json!([{ "workflowId": "alpha" }]));
    let after = &first["pageInfo"]["endCursor"];
    let second = served.data(list, json!({ "after": after })).await["workflows"].clone();
    assert_eq!(second["nodes"], json!([{ "workflowId": "orders" }]));
    assert_eq!(second["pageInfo"]["hasNextPage"], false);

    // A cursor of one listing is no cursor of another, and a page has its limits.
    let tokens = "query($first: Int, $after: String) {
        tokens(workflowId: \"orders\", first: $first, after: $after) { nodes { id } } }";
    for variables in [
        json!({ "after": after }),
        json!({ "after": "?" }),
        json!({ "first": 0 }),
        json!({ "first": 1001 }),
    ] {
        let error = served.error(tokens, variables).await;
        assert_eq!(error["extensions"]["code"], "INVALID_ARGUMENT", "{error}");
    }
    served.stop().await;
}

async fn a_case_explains_what_it_can_do_and_what_hinders_the_rest(served: Served) {
    let served = served.with_orders().await;
    let token = served.order("a").await;
    let query = "query($token: ID!) {
        availableTransitions(tokenId: $token) { transitionId name inputs { place } toPlace conditions }
        marking(workflowId: \"orders\", caseId: \"a\") { places { placeId count tokenIds } entries { tokenId sequence } }
        explain(workflowId: \"orders\", caseId: \"a\") { status summary transitions { transitionId enabled
            modes { from wouldTake blockers { reason message placeId arc needed present } } } } }";
    let answer = served.data(query, json!({ "token": token })).await;
    let available = &answer["availableTransitions"][0];
    assert_eq!(
        (&available["transitionId"], &available["toPlace"]),
        (&json!("submit"), &json!("review"))
    );
    assert_eq!(available["conditions"], json!(["has(token.data.amount)"]));
    let places = json!([{ "placeId": "new", "count": 1, "tokenIds": [token] }]);
    assert_eq!(answer["marking"]["places"], places);
    let transitions = &answer["explain"]["transitions"];
    assert_eq!(transitions[0]["modes"][0]["wouldTake"], json!([token]));
    let blocker = &transitions[1]["modes"][0]["blockers"][0];
    assert_eq!(
        (&blocker["reason"], &blocker["placeId"]),
        (&json!("TOO_FEW_TOKENS"), &json!("review"))
    );
    assert_eq!(
        (&blocker["arc"], &blocker["needed"], &blocker["present"]),
        (&json!("CONSUME"), &json!(1), &json!(0))
    );
    served.stop().await;
}

async fn pictures_are_svg_of_the_net_and_of_a_case_with_its_tokens(served: Served) {
    let served = served.with_orders().await;
    served.order("a").await;
    let query = "{ workflow(id: \"orders\") { svg }
        case(workflowId: \"orders\", id: \"a\") { svg workflow { svg } } }";
    let found = served.data(query, json!({})).await;
    let picture = |value: &Value| value["svg"].as_str().unwrap().to_owned();
    let (workflow, case) = (picture(&found["workflow"]), picture(&found["case"]));
    assert_eq!(workflow, picture(&found["case"]["workflow"]));
    assert!(workflow.starts_with("<svg ") && !workflow.contains(": enabled"), "{workflow}");
    assert!(case.contains("case a, running") && case.contains(": enabled"), "{case}");
    assert!(case.contains("new: 1 token"), "{case}");
    for text in [workflow, case] {
        roxmltree::Document::parse(&text).unwrap();
    }
    served.stop().await;
}
