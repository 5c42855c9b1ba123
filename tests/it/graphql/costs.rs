//! The limits of a query's cost.

use serde_json::{Value, json};

use super::Served;

async fn refused(served: &Served, query: &str) -> String {
    let error = served.error(query, json!({})).await;
    assert_eq!(error["extensions"]["code"], "INVALID_REQUEST", "{error}");
    error["message"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn an_ordinary_page_with_what_hangs_on_its_items_is_answered() {
    let served = Served::start().await.with_orders().await;
    let token = served.order("a").await;
    served.fire(&token, "submit").await;
    // Nested pages of the default size, with all that a person wants to see.
    let query = "query($first: Int, $after: String) {
        cases(workflowId: \"orders\", first: $first, after: $after) {
            edges { cursor node { id status revision workflow { id name version }
                tokens { id placeId data history { from to transition time triggeredBy } }
                history { nodes { sequence time kind by transitionId status metadata
                    consumed { tokenId placeId } produced { id placeId data natsSequence } }
                    pageInfo { hasNextPage endCursor } } } }
            pageInfo { hasNextPage endCursor } }
        tokens(workflowId: \"orders\", first: 1000) {
            nodes { id caseId placeId data metadata createdAt updatedAt natsSequence natsTimestamp
                natsSubject history { from to transition time sequence metadata } } }
        explain(workflowId: \"orders\", caseId: \"a\") { summary transitions { transitionId enabled
            modes { from enabled wouldTake blockers { reason message placeId } } } } }";
    let answer = served.data(query, json!({})).await;
    let events = answer["cases"]["edges"][0]["node"]["history"]["nodes"].as_array().unwrap();
    assert_eq!(events.len(), 2);
    served.stop().await;
}

#[tokio::test]
async fn one_of_many_operations_of_a_document_costs_what_it_costs_alone() {
    let served = Served::start().await.with_orders().await;
    let mut document = String::from(
        "query Mine($first: Int) {
        tokens(workflowId: \"orders\", first: $first) { nodes { ...Shown } } }
        fragment Shown on Token { id }",
    );
    for number in 0..300 {
        document += &format!(
            " query Other{number} {{ cases(workflowId: \"orders\", first: 1000) {{
            nodes {{ id tokens {{ id history {{ from to }} }} }} }} }}"
        );
    }
    let request = json!({ "query": document, "operationName": "Mine" });
    let answer = served.http.post(served.url("/graphql")).json(&request).send().await.unwrap();
    let answer: Value = answer.json().await.unwrap();
    assert_eq!(answer, json!({ "data": { "tokens": { "nodes": [] } } }));
    served.stop().await;
}

#[tokio::test]
async fn a_thousand_look_ups_and_nested_large_pages_are_refused_with_their_cost_and_the_limit() {
    let served = Served::start().await.with_orders().await;
    let many = |field: &str| {
        let each = (0..1_000).map(|number| format!("a{number}: {field} "));
        format!("{{ {} }}", each.collect::<String>())
    };
    let message = refused(&served, &many("token(id: \"x\") { id }")).await;
    assert!(message.contains("costs 501000 and the most is 500000"), "{message}");
    let message = refused(&served, &many("tokens(workflowId: \"orders\") { nodes { id } }")).await;
    assert!(message.contains("selects 3000 fields") && message.contains("2000"), "{message}");
    let nested = "{ cases(workflowId: \"orders\", first: 1000) { nodes {
        history(first: 1000) { nodes { kind } } } } }";
    let message = refused(&served, nested).await;
    assert!(message.contains("costs 1501501 and the most is 500000"), "{message}");
    assert!(message.contains("ask for smaller pages"), "{message}");
    served.stop().await;
}

#[tokio::test]
async fn fields_nested_too_deep_are_refused_with_their_depth_and_the_limit() {
    let served = Served::start().await.with_orders().await;
    let deep = |times: usize| {
        let (open, close) = ("case { tokens { ".repeat(times), "} } ".repeat(times));
        format!("{{ token(id: \"x\") {{ {open} id {close} }} }}")
    };
    let message = refused(&served, &deep(10)).await;
    assert!(message.contains("nested 22 deep, and the most is 20"), "{message}");
    served.stop().await;
}

#[tokio::test]
async fn a_page_larger_than_the_largest_is_refused_for_its_size_and_not_for_its_cost() {
    let served = Served::start().await.with_orders().await;
    for first in ["100000", "1001", "0", "-1", "-2147483648"] {
        let query =
            format!("{{ tokens(workflowId: \"orders\", first: {first}) {{ nodes {{ id }} }} }}");
        let error = served.error(&query, json!({})).await;
        assert_eq!(error["extensions"]["code"], "INVALID_ARGUMENT", "{error}");
        assert_eq!(error["extensions"]["argument"], "first", "{error}");
        assert_eq!(error["message"], "first: must be from 1 to 1000");
    }
    served.stop().await;
}
