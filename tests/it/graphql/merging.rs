//! Answers agree with the specification about fragments, fields of one name, and fields that
//! are skipped, fail, or are null.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::Served;

#[tokio::test]
async fn a_field_of_a_mutation_that_is_written_twice_is_done_once() {
    let served = Served::start().await.with_orders().await;
    let create = "createToken(input: { workflowId: \"orders\", caseId: \"twice\" })";
    let query = format!(
        "mutation {{ a: {create} {{ placeId }} ...more a: {create} {{ live }} }}
         fragment more on Mutation {{ a: {create} {{ caseId }} }}"
    );
    let made = served.data(&query, json!({})).await;
    assert_eq!(made["a"], json!({ "placeId": "new", "live": true, "caseId": "twice" }));
    let case =
        served.data("{ case(workflowId: \"orders\", id: \"twice\") { tokensMade } }", json!({}));
    assert_eq!(case.await["case"]["tokensMade"], 1);
    served.stop().await;
}

#[tokio::test]
async fn every_mutation_of_a_request_reports_for_itself() {
    let served = Served::start().await.with_orders().await;
    let begin = |key: &str, case: &str| {
        format!(
            "{key}: createWorkflowInstance(input: {{workflowId: \"orders\", caseId: \"{case}\"}})
                {{ tokenId }} "
        )
    };
    let query = format!(
        "mutation {{ {} second: pauseCase(input: {{workflowId: \"orders\", caseId: \"nobody\"}})
            {{ status }} {} }}",
        begin("first", "a"),
        begin("third", "c")
    );
    let answer = served.ask(&query, json!({})).await;
    let data = &answer["data"];
    assert!(
        data["first"]["tokenId"].is_string() && data["third"]["tokenId"].is_string(),
        "{answer}"
    );
    assert_eq!(data["second"], Value::Null);
    let keys: Vec<_> = data.as_object().unwrap().keys().collect();
    assert_eq!(keys.len(), 3);
    let errors = answer["errors"].as_array().unwrap();
    assert_eq!((errors.len(), &errors[0]["path"]), (1, &json!(["second"])));
    assert_eq!(errors[0]["extensions"]["code"], "NOT_FOUND");
    served.stop().await;
}

#[tokio::test]
async fn a_subscription_finds_its_field_in_fragments_and_is_refused_with_several() {
    let served = Served::start().await.with_orders().await;
    let mut client = served.ready_socket().await;
    let event = "workflowEvents(workflowId: \"orders\", fromSequence: 0)";
    served.order("a").await;
    for (id, query) in [
        (
            "1",
            format!(
                "subscription {{ ...x }} fragment x on Subscription {{ {event} {{ caseId kind }} }}"
            ),
        ),
        (
            "2",
            format!(
                "subscription {{ ... {{ ... on Subscription {{ {event} {{ caseId kind }} }} }} }}"
            ),
        ),
        (
            "3",
            format!(
                "subscription {{ {event} {{ caseId }} ...x {event} {{ kind }} }}
            fragment x on Subscription {{ {event} {{ kind }} }}"
            ),
        ),
    ] {
        client.subscribe(id, &query).await;
        let told = client.next(id).await;
        assert_eq!(told, json!({ "workflowEvents": { "caseId": "a", "kind": "CREATED" } }), "{id}");
        client.send(json!({ "type": "complete", "id": id })).await;
    }
    for (id, query) in [
        ("a", format!("subscription {{ {event} {{ caseId }} b: {event} {{ caseId }} }}")),
        (
            "b",
            format!(
                "subscription {{ {event} {{ caseId }} ...x }}
            fragment x on Subscription {{ b: {event} {{ caseId }} }}"
            ),
        ),
        ("c", format!("subscription {{ {event} {{ caseId }} __typename }}")),
        ("d", "subscription { __typename }".to_owned()),
        (
            "e",
            format!("subscription($no: Boolean = true) {{ {event} @skip(if: $no) {{ caseId }} }}"),
        ),
    ] {
        client.subscribe(id, &query).await;
        let message = client.message().await;
        assert_eq!((&message["type"], &message["id"]), (&json!("error"), &json!(id)), "{message}");
        assert_eq!(message["payload"][0]["extensions"]["code"], "INVALID_REQUEST", "{message}");
    }
    served.stop().await;
}

#[tokio::test]
async fn what_is_skipped_is_left_out_and_an_object_without_fields_is_empty() {
    let served = Served::start().await.with_orders().await;
    let query = "query($no: Boolean = true, $yes: Boolean!) {
        a: workflow(id: \"orders\") { name @skip(if: $no) }
        b: workflow(id: \"orders\") { name @skip(if: $no) version }
        c: workflow(id: \"orders\") @include(if: $yes) { name }
        ... @skip(if: $no) { d: health { version } }
        places: workflow(id: \"orders\") { places { name @skip(if: true) } }
        none: workflow(id: \"nobody\") { name @skip(if: $no) } }";
    let data = served.data(query, json!({ "yes": false })).await;
    let expected = json!({ "a": {}, "b": { "version": 1 }, "places": { "places": [{}, {}, {}] },
        "none": null });
    assert_eq!(data, expected);
    let typed = "query($no: Boolean = true) { __typename @skip(if: $no) a: __typename }";
    assert_eq!(served.data(typed, json!({})).await, json!({ "a": "Query" }));
    let data = served.data("{ health @skip(if: true) { version } }", json!({})).await;
    assert_eq!(data, json!({}));
    let given = served.data(query, json!({ "yes": true, "no": false })).await;
    let keys: Vec<_> = given.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys.len(), 6, "{keys:?}");
    assert_eq!(given["a"], json!({ "name": "Orders" }));
    served.stop().await;
}

#[tokio::test]
async fn what_fails_is_null_up_to_what_may_be_null_and_the_rest_is_there() {
    let served = Served::start().await.with_orders().await;
    served.order("a").await;
    let query = "{ a: case(workflowId: \"orders\", id: \"a\") { caseId history(first: 0) { nodes { kind } } }
        ...f b: token(id: \"a b\") { tokenId } health { version } }
        fragment f on Query { node(id: \"Case.orders.a\") {
            ... on Case { status history(first: 0) { nodes { kind } } } } }";
    let answer = served.ask(query, json!({})).await;
    let data = &answer["data"];
    assert_eq!((&data["a"], &data["node"], &data["b"]), (&Value::Null, &Value::Null, &Value::Null));
    assert!(data["health"]["version"].is_string(), "{answer}");
    assert_eq!(answer["errors"].as_array().unwrap().len(), 3, "{answer}");
    // Where nothing on the way may be null, there is no data.
    let answer = served
        .ask("{ health { version } cases(workflowId: \"nope\") { nodes { status } } }", json!({}));
    assert_eq!(answer.await["data"], Value::Null);
    served.stop().await;
}

#[tokio::test]
async fn fields_of_one_name_that_ask_for_different_things_are_refused_wherever_they_are() {
    let served = Served::start().await.with_orders().await;
    for query in [
        "{ a: token(id: \"x\") { tokenId } ... on Query { a: token(id: \"y\") { tokenId } } }",
        "{ health { a: version } ...f } fragment f on Query { health { a: connected } }",
        "{ ...f ...g } fragment f on Query { a: health { version } }
            fragment g on Query { a: workflows { nodes { name } } }",
    ] {
        let error = served.error(query, json!({})).await;
        assert_eq!(error["extensions"]["code"], "INVALID_REQUEST", "{error}");
    }
    served.stop().await;
}

/// A selection of `health`'s and of `workflow`'s fields, written in some way.
#[derive(Debug, Clone)]
enum Written {
    Field(usize),
    Inline(Option<bool>, Vec<Written>),
    Fragment(Option<bool>, Vec<Written>),
}

const FIELDS: [(&str, &str); 4] =
    [("name", "name"), ("version", "version"), ("kind", "kind: __typename"), ("id", "workflowId")];

fn written() -> impl Strategy<Value = Vec<Written>> {
    let field = (0..FIELDS.len()).prop_map(Written::Field);
    let one = field.prop_recursive(4, 24, 4, |inner| {
        let many = || proptest::collection::vec(inner.clone(), 1..4);
        prop_oneof![
            (any::<Option<bool>>(), many()).prop_map(|(skip, of)| Written::Inline(skip, of)),
            (any::<Option<bool>>(), many()).prop_map(|(skip, of)| Written::Fragment(skip, of)),
        ]
    });
    proptest::collection::vec(one, 1..5)
}

/// The text of a selection, and the keys that it asks for; fragments are added to `fragments`.
fn text(
    of: &[Written],
    skipped: bool,
    keys: &mut Vec<&str>,
    fragments: &mut Vec<String>,
) -> String {
    let mut whole = String::new();
    for one in of {
        match one {
            Written::Field(at) => {
                let (_, field) = FIELDS[*at];
                let key = field.split(':').next().unwrap();
                if !skipped && !keys.contains(&key) {
                    keys.push(key);
                }
                whole += &format!("{field} ");
            }
            Written::Inline(skip, of) | Written::Fragment(skip, of) => {
                let below = text(of, skipped || *skip == Some(true), keys, fragments);
                let directive = match skip {
                    None => "",
                    Some(true) => "@include(if: $no)",
                    Some(false) => "@skip(if: $no)",
                };
                if matches!(one, Written::Inline(..)) {
                    whole += &format!("... {directive} {{ {below} }} ");
                } else {
                    let name = format!("f{}", fragments.len());
                    fragments.push(format!("fragment {name} on Workflow {{ {below} }}"));
                    whole += &format!("...{name} {directive} ");
                }
            }
        }
    }
    whole
}

#[test]
fn however_a_selection_is_written_its_fields_come_once_and_in_the_order_of_their_first_use() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let served = runtime.block_on(async { Served::start().await.with_orders().await });
    let whole =
        json!({ "name": "Orders", "version": 1, "kind": "Workflow", "workflowId": "orders" });
    let config = ProptestConfig { cases: 200, ..ProptestConfig::default() };
    proptest!(config, |(of in written())| {
        let (mut keys, mut fragments) = (Vec::new(), Vec::new());
        let selection = text(&of, false, &mut keys, &mut fragments);
        let query = format!(
            "query($no: Boolean = false) {{ workflow(id: \"orders\") {{ {selection} }}
                unused: health @include(if: $no) {{ version }} }} {}",
            fragments.join(" ")
        );
        let answer = runtime.block_on(async {
            let asked = served.http.post(served.url("/graphql")).json(&json!({ "query": query }));
            asked.send().await.unwrap().text().await.unwrap()
        });
        let expected: Map<String, Value> =
            keys.iter().map(|key| ((*key).to_owned(), whole[*key].clone())).collect();
        let order: Vec<String> =
            keys.iter().map(|key| format!("\"{key}\":{}", whole[*key])).collect();
        let expected_text = format!("{{\"data\":{{\"workflow\":{{{}}}}}}}", order.join(","));
        prop_assert_eq!(&answer, &expected_text, "{} {:?}", query, expected);
    });
    runtime.block_on(served.stop());
}
