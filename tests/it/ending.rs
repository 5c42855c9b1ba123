//! Waiting for the end of a case, and its result.

use std::time::{Duration, Instant};

use async_graphql::{Executor, Request};
use futures::future::join_all;
use serde_json::{Value, json};
use stormpetrel::{
    graphql::{Api, Caller, Limits},
    models::CaseStatus,
    petrel::{Change, Fire, NewCase, Petrel},
    storage::{Page, TokenScope},
};

use crate::{
    cli::{errors, json as json_of, on, text},
    support::{case, definition, petrel_at, place, system, transition, workflow},
};

async fn begun(petrel: &Petrel, id: &str) {
    let net = definition(json!({
        "id": "pair", "initial_place": "a",
        "places": [{"id": "a"}, {"id": "b"}, {"id": "c"}, {"id": "x"}, {"id": "y"}],
        "transitions": [
            {"id": "split", "inputs": [{"place": "a"}],
             "outputs": [{"place": "b"}, {"place": "c"}]},
            {"id": "left", "from_places": ["b"], "to_place": "x", "output": "{'left': 1, 'by': 'x'}"},
            {"id": "right", "from_places": ["c"], "to_place": "y", "output": "{'right': 2, 'by': 'y'}"}
        ]
    }));
    petrel.create_workflow(net, Default::default()).await.unwrap();
    let data = json!({ "amount": 5 });
    let new = NewCase { case: Some(case(id)), data, ..NewCase::of(workflow("pair")) };
    petrel.create_case(new).await.unwrap();
}

async fn fire(petrel: &Petrel, id: &str, name: &str) {
    let fire = Fire::case(workflow("pair"), case(id), transition(name));
    petrel.fire(fire).await.unwrap();
}

/// Those who wait are in the process that ends the case, and in another; the view has its end.
#[tokio::test]
async fn whoever_waits_is_answered_when_the_case_has_ended_and_the_view_says_so() {
    let (server, one) = system().await;
    let other = petrel_at(server.url()).await;
    for number in 0..10 {
        let name = format!("k-{number}");
        begun(&one, &name).await;
        let wait = async |petrel: &Petrel| {
            let (of, id) = (workflow("pair"), case(&name));
            let ended = petrel.await_case(&of, &id, Duration::from_secs(60)).await.unwrap();
            assert_eq!(ended.status, CaseStatus::Completed);
            let wanted = json!({ "amount": 5, "left": 1, "right": 2, "by": "y" });
            assert_eq!(ended.result(), Some(wanted));
            let scope = TokenScope { workflow: of, place: Some(place("y")), case: Some(id) };
            let page = petrel.tokens(&scope, Page::default()).await.unwrap();
            assert_eq!(page.items.len(), 1);
        };
        let ends = async {
            for step in ["split", "left", "right"] {
                fire(&one, &name, step).await;
            }
        };
        tokio::join!(wait(&one), wait(&other), wait(&other), ends);
        // At once, of a case that has ended.
        let begun = Instant::now();
        wait(&petrel_at(server.url()).await).await;
        assert!(begun.elapsed() < Duration::from_secs(30));
    }
}

#[tokio::test]
async fn a_wait_has_an_end_of_its_own() {
    let (_server, petrel) = system().await;
    begun(&petrel, "k").await;
    let of = (workflow("pair"), case("k"));
    let waited = petrel.await_case(&of.0, &of.1, Duration::from_millis(50)).await.unwrap();
    assert_eq!((waited.status, waited.result()), (CaseStatus::Running, None));
    let none = petrel.await_case(&of.0, &case("none"), Duration::ZERO).await.unwrap_err();
    assert_eq!(none.code(), "NOT_FOUND");
    petrel.cancel(&of.0, &of.1, Change::default()).await.unwrap();
    let waited = petrel.await_case(&of.0, &of.1, Duration::ZERO).await.unwrap();
    assert_eq!((waited.status, waited.result()), (CaseStatus::Cancelled, None));
}

#[tokio::test]
async fn the_command_line_waits_and_shows_the_result() {
    let (server, petrel) = system().await;
    begun(&petrel, "k").await;
    let waits = ["case", "wait", "pair", "k", "--within", "50ms"];
    let running = on(&server, &waits).await;
    assert_eq!(running.status.code(), Some(2), "{}", errors(&running));
    let said = String::from_utf8_lossy(&running.stdout).into_owned();
    assert!(said.contains("still running after 50ms"), "{said}");
    for step in ["split", "left", "right"] {
        fire(&petrel, "k", step).await;
    }
    let said = text(&server, &["case", "wait", "pair", "k"]).await;
    assert!(said.contains("result {\"amount\":5,\"by\":\"y\",\"left\":1,\"right\":2}"), "{said}");
    let json = json_of(&server, &["case", "wait", "pair", "k"]).await;
    assert_eq!((&json["ended"], &json["result"]["right"]), (&json!(true), &json!(2)));
}

#[tokio::test]
async fn graphql_waits_and_many_waits_leave_room_for_others() {
    let (_server, petrel) = system().await;
    begun(&petrel, "k").await;
    let limits = Limits { under_way: 4, ..Limits::default() };
    let executor = Api::new(petrel.clone(), limits).executor(Caller::Anybody);
    let ask = async |query: &str| -> Value {
        let answer = executor.execute(Request::new(query)).await;
        serde_json::to_value(&answer).unwrap()
    };
    let wait = |within: i32| {
        format!(
            r#"{{ awaitCase(workflowId: "pair", id: "k", within: {within}) {{ ended case {{
            status result }} }} }}"#
        )
    };
    let over = ask(&wait(20)).await;
    let running = json!({ "status": "RUNNING", "result": null });
    assert_eq!(over["data"]["awaitCase"], json!({ "ended": false, "case": running }), "{over}");
    let refused = ask(&wait(60_001)).await;
    assert!(refused["errors"][0]["message"].as_str().unwrap().contains("60000"), "{refused}");
    let none = ask(r#"{ awaitCase(workflowId: "pair", id: "none", within: 0) { ended } }"#).await;
    assert_eq!(none["errors"][0]["extensions"]["code"], "NOT_FOUND");
    // More of them than operations may be under way.
    let long = wait(60_000);
    let waits = join_all((0..20).map(|_| ask(&long)));
    let ends = async {
        for step in ["split", "left", "right"] {
            let fire = format!(
                r#"mutation {{ fireCase(input: {{ workflowId: "pair", caseId: "k",
                transitionId: "{step}" }}) {{ repeated }} }}"#
            );
            let fired = ask(&fire).await;
            assert!(fired["errors"].is_null(), "{fired}");
        }
    };
    let (answers, ()) = tokio::join!(waits, ends);
    for answer in answers {
        let awaited = &answer["data"]["awaitCase"];
        assert_eq!(
            (&awaited["ended"], &awaited["case"]["result"]["left"]),
            (&json!(true), &json!(1))
        );
    }
}
