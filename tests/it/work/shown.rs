//! Work as GraphQL and the command line show and change it.

use async_graphql::{Executor, Request};
use serde_json::{Value, json};
use stormpetrel::{
    graphql::{Api, Caller, Limits},
    petrel::StartWork,
};

use super::{begun, item, steps};
use crate::{
    cli::{json as json_of, text},
    support::{case, system, workflow},
};

#[tokio::test]
async fn the_command_line_shows_with_whom_an_item_is() {
    let (server, petrel) = system().await;
    begun(&petrel, &steps(2, json!({})), "k").await;
    let shown = text(&server, &["work", "list", "steps", "k"]).await;
    assert!(shown.contains("waits for a worker"), "{shown}");
    let start = StartWork {
        work: item("steps", "k", 1),
        over: None,
        worker: "ann".into(),
        lease: std::time::Duration::from_secs(30),
        start: 7,
    };
    petrel.begin_work(start).await.unwrap();
    let shown = text(&server, &["case", "show", "steps", "k"]).await;
    assert!(shown.contains("work item 1 of step0 with ann since 20"), "{shown}");
    let explained = text(&server, &["case", "explain", "steps", "k"]).await;
    assert!(explained.contains("waits for work; 1 work item: 1 with workers"), "{explained}");
    assert!(explained.contains("(queue default, kind step0)"), "{explained}");
    let failed = ["work", "fail", "steps", "k", "1", "--claim", "1", "--code", "DOWN"];
    text(&server, &failed).await;
    let history = text(&server, &["case", "history", "steps", "k"]).await;
    assert!(history.contains("begun step0 (item 1, claim 1) by ann"), "{history}");
    assert!(history.contains("failed step0 (item 1, claim 1): DOWN; again at 20"), "{history}");
    let queues = json_of(&server, &["queue", "list"]).await;
    assert_eq!(queues["items"][0]["queue"], "default", "{queues}");
    text(&server, &["queue", "set", "default", "--ack-wait", "45s"]).await;
    let paused = json_of(&server, &["queue", "pause", "default"]).await;
    assert_eq!((&paused["paused"], &paused["ack_wait_seconds"]), (&json!(true), &json!(45.0)));
    begun(&petrel, &steps(2, json!({})), "waits").await;
    let explained = text(&server, &["case", "explain", "steps", "waits"]).await;
    assert!(explained.contains("queue default is paused"), "{explained}");
    text(&server, &["queue", "resume", "default"]).await;
    let explained = text(&server, &["case", "explain", "steps", "waits"]).await;
    assert!(explained.contains("queue default has no worker"), "{explained}");
    let done = ["work", "complete", "steps", "k", "1", "--result", "{\"n\": 1}", "--by", "ann"];
    text(&server, &done).await;
    let now = petrel.case(&workflow("steps"), &case("k")).await.unwrap();
    assert_eq!((now.items.len(), now.items[0].number), (1, 2));
}

#[tokio::test]
async fn graphql_shows_and_changes_work() {
    let (_server, petrel) = system().await;
    begun(&petrel, &steps(2, json!({ "retry": { "attempts": 1 } })), "k").await;
    let executor = Api::new(petrel.clone(), Limits::default()).executor(Caller::Anybody);
    let answer = async |query: &str| -> Value {
        serde_json::to_value(&executor.execute(Request::new(query)).await).unwrap()
    };
    let ask = async |query: &str| -> Value {
        let answer = answer(query).await;
        assert!(answer["errors"].is_null(), "{answer}");
        answer["data"].clone()
    };
    let items = r#"{ case(workflowId: "steps", id: "k") { workItems { item transitionId state class
        claim attempts failed worker incident tokens { placeId } } incidents { number item code }
        explain { workItems { item } transitions { activity } } } }"#;
    let shown = ask(items).await["case"].clone();
    let one = &shown["workItems"][0];
    assert_eq!(
        (&one["item"], &one["transitionId"], &one["state"], &one["class"]),
        (&json!(1), &json!("step0"), &json!("WAITING"), &json!("NORMAL"))
    );
    assert_eq!(shown["explain"]["workItems"][0]["item"], 1);
    assert_eq!(shown["explain"]["transitions"][0]["activity"], true);
    ask(r#"mutation { failWork(input: { workflowId: "steps", caseId: "k", item: 1, code: "GONE",
        message: "no luck", isFinal: true }) { revision } }"#)
    .await;
    let shown = ask(items).await["case"].clone();
    assert_eq!(shown["workItems"][0]["state"], "STOPPED");
    assert_eq!(shown["incidents"][0], json!({ "number": 1, "item": 1, "code": "WORK_FAILED" }));
    let done = |item: u32, firing: &str| {
        format!(
            r#"mutation {{ completeWork(input: {{ workflowId: "steps", caseId: "k", item: {item},
            result: {{ n: 1 }}, firingId: "{firing}" }}) {{ status repeated }} }}"#
        )
    };
    let first = ask(&done(1, "f-1")).await["completeWork"].clone();
    assert_eq!(first, json!({ "status": "RUNNING", "repeated": false }));
    assert_eq!(ask(&done(1, "f-1")).await["completeWork"]["repeated"], true);
    let refused = answer(&done(1, "f-2")).await["errors"][0].clone();
    assert_eq!(refused["extensions"]["code"], "WORK_OVER");
    assert_eq!(refused["extensions"]["item"], 1);
    let unknown = answer(&done(9, "f-3")).await["errors"][0].clone();
    assert_eq!(unknown["extensions"]["code"], "NOT_FOUND", "{unknown}");
    assert_eq!(ask(&done(2, "f-4")).await["completeWork"]["status"], "COMPLETED");
    let reserved = answer(&done(2, "~2-1")).await["errors"][0].clone();
    assert_eq!(reserved["extensions"]["code"], "INVALID_ARGUMENT", "{reserved}");
}
