//! Names of fields that the library which reads JSON takes for something else.

use serde_json::{Map, Value, json};
use stormpetrel::{
    models::{Guard, LogSequence, Rule, WorkflowDefinition},
    petrel::{Change, ExpectedVersion, Fire, NewCase, NewToken},
};

use super::loop_of;
use crate::{
    program,
    support::{begin, case, definition, orders, system, transition, workflow},
};

const NAMES: [&str; 2] = ["$serde_json::private::RawValue", "$serde_json::private::Number"];

/// A definition with a rule that compares with this.
fn guarded(value: &Value) -> WorkflowDefinition {
    let mut guarded = orders();
    guarded.transitions[0].conditions =
        vec![Guard::Rule(Rule::Equals { path: "token.data".to_owned(), value: value.clone() })];
    guarded
}

/// Values with the name first, last and deep.
fn values(name: &str) -> Vec<Value> {
    vec![
        json!({ name: "[1,2]" }),
        json!({ "\u{0}": 1, name: "garbage" }),
        json!({ "list": [{ "a": { name: "{\"a\":1,\"a\":2}" } }] }),
    ]
}

#[tokio::test]
async fn nothing_is_stored_that_could_not_be_read_back() {
    let (_server, petrel) = system().await;
    let (begun, token) = begin(&petrel, json!({})).await;
    let id = workflow("orders");
    let before = petrel.storage().last_sequence().await.unwrap();
    for value in NAMES.iter().flat_map(|name| values(name)) {
        let map: Map<String, Value> = value.as_object().unwrap().clone();
        let noted = || Change { metadata: map.clone(), ..Change::default() };
        let new = || NewCase { case: Some(case("new")), ..NewCase::of(id.clone()) };
        let more = || NewToken {
            workflow: id.clone(),
            case: begun.case.id.clone(),
            place: None,
            data: json!({}),
            metadata: Map::new(),
            change: Change::default(),
        };
        let submit = || Fire::token(token.clone(), transition("submit"));
        let defined = || {
            let metadata = map.clone();
            WorkflowDefinition { metadata, ..orders() }
        };
        let refused = [
            petrel.create_case(NewCase { data: value.clone(), ..new() }).await.map(drop),
            petrel.create_case(NewCase { metadata: map.clone(), ..new() }).await.map(drop),
            petrel.create_token(NewToken { data: value.clone(), ..more() }).await.map(drop),
            petrel.create_token(NewToken { metadata: map.clone(), ..more() }).await.map(drop),
            petrel.create_token(NewToken { change: noted(), ..more() }).await.map(drop),
            petrel.fire(Fire { data: Some(value.clone()), ..submit() }).await.map(drop),
            petrel.fire(Fire { change: noted(), ..submit() }).await.map(drop),
            petrel
                .update_token_data(None, &token, value.clone(), Change::default())
                .await
                .map(drop),
            petrel.pause(&id, &begun.case.id, noted()).await.map(drop),
            petrel.create_workflow(defined(), ExpectedVersion::Any).await.map(drop),
            petrel.create_workflow(guarded(&value), ExpectedVersion::Any).await.map(drop),
        ];
        for (number, refused) in refused.into_iter().enumerate() {
            let error = refused.expect_err(&format!("request {number}")).to_string();
            assert!(error.contains("a name that no field can have"), "{number}: {error}");
        }
    }
    assert_eq!(petrel.storage().last_sequence().await.unwrap(), before);
}

#[tokio::test]
async fn an_expression_makes_nothing_that_could_not_be_read_back() {
    let (_server, petrel) = system().await;
    for (number, name) in NAMES.iter().enumerate() {
        let id = format!("made{number}");
        let net = definition(json!({
            "id": id, "initial_place": "a", "places": [{"id": "a"}, {"id": "b"}],
            "transitions": [{"id": "t", "inputs": [{"place": "a"}], "outputs": [{"place": "b"}],
                             "output": format!("{{'a': [{{'{name}': 'x'}}]}}")}]
        }));
        petrel.create_workflow(net, ExpectedVersion::New).await.unwrap();
        let begun = petrel.create_case(NewCase::of(workflow(&id))).await.unwrap();
        let token = begun.tokens[0].id.clone();
        let fired = petrel.fire(Fire::token(token, transition("t"))).await;
        let error = fired.unwrap_err().to_string();
        assert!(error.contains(name), "{error}");
        let case = petrel.case(&workflow(&id), &begun.case.id).await.unwrap();
        assert_eq!(Some(case.sequence), LogSequence::new(begun.record.sequence.get()));
    }
}

#[tokio::test]
async fn the_command_line_names_what_no_field_can_have() {
    let (server, petrel) = system().await;
    loop_of(&petrel).await;
    for value in NAMES.iter().flat_map(|name| values(name)) {
        let mut start = program::program();
        start.args(["case", "start", "loop", "--data", &value.to_string()]);
        start.env("NATS_URL", server.url());
        let output = program::output(start).await;
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{errors}");
        assert!(errors.contains("no field can have the name"), "{errors}");
    }
}
