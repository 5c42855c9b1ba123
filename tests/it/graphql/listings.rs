//! Listings: their subjects exist, and their cursors are theirs.

use serde_json::{Value, json};
use stormpetrel::storage::ReadPath;

use super::Served;

#[tokio::test]
async fn a_listing_of_something_that_does_not_exist_is_not_found_by_its_kind_and_id() {
    let served = Served::start().await.with_orders().await;
    served.order("a").await;
    for (listing, kind, id) in [
        ("tokens(workflowId: \"nope\")", "workflow", "nope"),
        ("tokens(workflowId: \"nope\", placeId: \"new\")", "workflow", "nope"),
        ("tokens(workflowId: \"orders\", placeId: \"nonsense\")", "place", "nonsense"),
        ("tokens(workflowId: \"orders\", caseId: \"nobody\")", "case", "nobody"),
        (
            "tokens(workflowId: \"orders\", placeId: \"nonsense\", caseId: \"a\")",
            "place",
            "nonsense",
        ),
        ("tokensInPlace(workflowId: \"orders\", placeId: \"nonsense\")", "place", "nonsense"),
        ("tokensInPlace(workflowId: \"nope\", placeId: \"new\")", "workflow", "nope"),
        ("cases(workflowId: \"nope\")", "workflow", "nope"),
        ("cases(workflowId: \"nope\", status: PAUSED)", "workflow", "nope"),
        ("history(workflowId: \"nope\", caseId: \"a\")", "case", "a"),
        ("history(workflowId: \"orders\", caseId: \"nobody\")", "case", "nobody"),
    ] {
        let query = format!("{{ {listing} {{ nodes {{ __typename }} }} }}");
        let error = served.error(&query, json!({})).await;
        let told = &error["extensions"];
        assert_eq!(told["code"], "NOT_FOUND", "{listing}: {error}");
        assert_eq!((&told["kind"], &told["id"]), (&json!(kind), &json!(id)), "{listing}");
    }
    for listing in [
        "tokens(workflowId: \"orders\", placeId: \"done\")",
        "tokensInPlace(workflowId: \"orders\", placeId: \"review\")",
        "tokens(workflowId: \"orders\", placeId: \"done\", caseId: \"a\")",
        "cases(workflowId: \"orders\", status: PAUSED)",
    ] {
        let query = format!("{{ it: {listing} {{ nodes {{ __typename }} }} }}");
        assert_eq!(served.data(&query, json!({})).await["it"]["nodes"], json!([]), "{listing}");
    }
    served.stop().await;
}

#[tokio::test]
async fn a_cursor_is_taken_by_the_listing_that_gave_it_and_by_no_other() {
    let served = Served::start().await.with_orders().await;
    for case in ["a", "b", "c"] {
        served.order(case).await;
    }
    let workflow =
        "mutation { createWorkflow(input: {id: \"bills\", name: \"Bills\", initialPlace: \"new\",
        places: [{id: \"new\"}], transitions: []}) { version } }";
    served.data(workflow, json!({})).await;
    let listings = [
        "workflows(",
        "tokens(workflowId: \"orders\"",
        "tokens(workflowId: \"bills\"",
        "tokens(workflowId: \"orders\", placeId: \"new\"",
        "tokens(workflowId: \"orders\", caseId: \"a\"",
        "tokens(workflowId: \"orders\", caseId: \"b\"",
        "cases(workflowId: \"orders\"",
        "cases(workflowId: \"orders\", status: RUNNING",
        "cases(workflowId: \"orders\", status: PAUSED",
        "history(workflowId: \"orders\", caseId: \"a\"",
        "history(workflowId: \"orders\", caseId: \"b\"",
    ];
    let ask = async |listing: &str, after: &Value| {
        let query = format!(
            "query($after: String) {{ page: {listing}, first: 1, after: $after) {{
                pageInfo {{ endCursor }} }} }}"
        );
        served.ask(&query.replace("(,", "("), json!({ "after": after })).await
    };
    let mut taken = 0;
    for giver in listings {
        let given = ask(giver, &Value::Null).await;
        let cursor = &given["data"]["page"]["pageInfo"]["endCursor"];
        if cursor.is_null() {
            continue;
        }
        for taker in listings {
            let answer = ask(taker, cursor).await;
            if taker == giver {
                assert!(answer.get("errors").is_none(), "{taker}: {answer}");
                taken += 1;
                continue;
            }
            let error = &answer["errors"][0];
            assert_eq!(error["extensions"]["code"], "INVALID_ARGUMENT", "{giver} {taker} {answer}");
            assert_eq!(error["extensions"]["argument"], "after");
            let message = error["message"].as_str().unwrap();
            assert!(message.contains("another listing"), "{message}");
        }
    }
    assert!(taken >= 8, "{taken}");
    // The same listing by another way of asking for it.
    let given = ask("tokens(workflowId: \"orders\", placeId: \"new\"", &Value::Null).await;
    let cursor = &given["data"]["page"]["pageInfo"]["endCursor"];
    let answer = ask("tokensInPlace(workflowId: \"orders\", placeId: \"new\"", cursor).await;
    assert!(answer.get("errors").is_none(), "{answer}");
    let given = ask("history(workflowId: \"orders\", caseId: \"a\"", &Value::Null).await;
    let cursor = &given["data"]["page"]["pageInfo"]["endCursor"];
    let of_case = "query($after: String) { case(workflowId: \"orders\", id: \"a\") {
        history(after: $after) { nodes { kind } } } }";
    assert!(served.ask(of_case, json!({ "after": cursor })).await.get("errors").is_none());
    served.stop().await;
}

#[tokio::test]
async fn a_page_of_cases_that_cannot_be_read_leads_to_the_next_one() {
    let served = Served::reading(ReadPath::Direct).await.with_orders().await;
    let nats = served.nats.as_ref().unwrap().url();
    let raw = async_nats::jetstream::new(async_nats::connect(nats).await.unwrap());
    for case in ["a", "b", "c"] {
        let subject = format!("cb.workflows.orders.events.lifecycle.{case}");
        raw.publish(subject, "rubbish".into()).await.unwrap().await.unwrap();
    }
    served.order("d").await;
    let query = "query($after: String) { cases(workflowId: \"orders\", first: 2, after: $after) {
        nodes { id } edges { cursor } unreadable pageInfo { hasNextPage endCursor } } }";
    let first = &served.data(query, json!({})).await["cases"];
    assert_eq!((&first["nodes"], &first["unreadable"]), (&json!([]), &json!(["a", "b"])));
    assert_eq!(first["pageInfo"]["hasNextPage"], true);
    let after = &first["pageInfo"]["endCursor"];
    let second = &served.data(query, json!({ "after": after })).await["cases"];
    assert_eq!(second["unreadable"], json!(["c"]));
    assert_eq!(second["nodes"].as_array().unwrap().len(), 1);
    assert_eq!(second["edges"][0]["cursor"], second["pageInfo"]["endCursor"]);
    assert_eq!(second["pageInfo"]["hasNextPage"], false);
    served.stop().await;
}
