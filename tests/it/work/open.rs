//! Open work and incidents of all cases, as people list them.

use async_graphql::{Executor, Request};
use serde_json::json;
use stormpetrel::{
    graphql::{Api, Caller, Limits},
    models::Failure,
    petrel::{Change, StartWork, WorkFilter},
    storage::{Cursor, Open, OpenScope},
};

use super::*;
use crate::{
    cli::{json as json_of, text},
    failures::fixtures::faulty,
    support::{petrel_at, system},
};

/// A workflow with a step in a queue.
fn queued(id: &str, queue: &str) -> WorkflowDefinition {
    definition(json!({
        "id": id, "initial_place": "a", "places": [{"id": "a"}, {"id": "b"}],
        "transitions": [{"id": "go", "from_places": ["a"], "to_place": "b",
            "activity": {"queue": queue, "kind": "go", "retry": {"attempts": 1}}}]
    }))
}

/// Cases and numbers of the items that are listed, in pages of a size.
async fn listed(petrel: &Petrel, filter: &WorkFilter, first: usize) -> Vec<(String, String, u64)> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = petrel.work_items(filter, Page { first, after }).await.unwrap();
        let of = |open: &stormpetrel::petrel::OpenItem| {
            (open.workflow.to_string(), open.case.to_string(), open.item.number)
        };
        found.extend(page.items.iter().map(|(_, open)| of(open)));
        match page.items.last() {
            Some((Cursor(last), _)) if page.has_next => after = Some(Cursor(*last)),
            _ => return found,
        }
    }
}

fn all() -> WorkFilter {
    WorkFilter::default()
}

async fn fail(petrel: &Petrel, of: &str, id: &str, number: u64) {
    let failure = Failure { code: "X".to_owned(), is_final: true, ..Failure::default() };
    let work = item(of, id, number);
    petrel.fail_work(&work, None, failure, Change::default()).await.unwrap();
}

#[tokio::test]
async fn open_work_of_all_cases_is_listed_as_the_log_has_it() {
    let (server, petrel) = system().await;
    let other = petrel_at(server.url()).await;
    for (of, queue) in [("one", "fast"), ("two", "slow")] {
        let definition = queued(of, queue);
        for number in 0..5 {
            begun(&petrel, &definition, &format!("c{number}")).await;
        }
    }
    let wanted = |of: &[&str], numbers: &[usize]| -> Vec<(String, String, u64)> {
        let cases = |of: &&str| {
            let of = (*of).to_owned();
            numbers.iter().map(move |number| (of.clone(), format!("c{number}"), 1))
        };
        of.iter().flat_map(cases).collect()
    };
    let every = [0, 1, 2, 3, 4];
    // The process that opened them finds them at once, another one soon.
    for first in [1, 3, 10, 100] {
        assert_eq!(listed(&petrel, &all(), first).await, wanted(&["one", "two"], &every));
    }
    let fast = WorkFilter { queue: Some(queue("fast")), ..all() };
    let of_two = WorkFilter { workflow: Some(workflow("two")), ..all() };
    let none = WorkFilter { queue: Some(queue("slow")), workflow: Some(workflow("one")) };
    for petrel in [&petrel, &other] {
        eventually("all are noted", async || {
            (listed(petrel, &all(), 3).await.len() == 10).then_some(())
        })
        .await;
        assert_eq!(listed(petrel, &fast, 2).await, wanted(&["one"], &every));
        assert_eq!(listed(petrel, &of_two, 2).await, wanted(&["two"], &every));
        assert_eq!(listed(petrel, &none, 2).await, []);
    }
    // What it shows is the log's word of now, whoever changed it.
    let start = StartWork {
        work: item("one", "c0", 1),
        over: None,
        worker: "ann".to_owned(),
        lease: Duration::from_secs(30),
        start: 1,
    };
    other.begin_work(start).await.unwrap();
    fail(&other, "one", "c1", 1).await;
    other.pause(&workflow("one"), &case("c2"), Change::default()).await.unwrap();
    let done = stormpetrel::engine::Answered { outcome: None, result: json!({}), hand_over: None };
    let by_hand = item("one", "c3", 1);
    other.complete_work(&by_hand, None, done, Change::default()).await.unwrap();
    other.cancel(&workflow("one"), &case("c4"), Change::default()).await.unwrap();
    for petrel in [&petrel, &other] {
        let page = petrel.work_items(&fast, Page::default()).await.unwrap();
        let [running, stopped, paused] = &page.items[..] else { panic!("{page:?}") };
        let worker = running.1.item.running.as_ref().and_then(|of| of.worker.as_deref());
        assert_eq!((worker, running.1.kind.as_str()), (Some("ann"), "go"));
        assert_eq!(stopped.1.incidents.len(), 1);
        assert!(paused.1.is_paused && !running.1.is_paused);
    }
    petrel.close().await;
    other.close().await;
    // What is over is struck out.
    let items = OpenScope::Items { queue: None, workflow: Some(workflow("one")) };
    let noted = petrel.storage().open(&items, Page::default()).await.unwrap();
    assert_eq!(noted.items.len(), 3, "{noted:?}");
    is_whole(&petrel).await;
}

#[tokio::test]
async fn incidents_of_all_cases_are_listed_until_somebody_acts() {
    let (server, petrel) = system().await;
    let other = petrel_at(server.url()).await;
    for (of, queue) in [("one", "fast"), ("two", "slow")] {
        begun(&petrel, &queued(of, queue), "c").await;
        fail(&petrel, of, "c", 1).await;
    }
    let list = async |petrel: &Petrel, of: Option<&str>| -> Vec<String> {
        let of = of.map(workflow);
        let page = petrel.incidents(of.as_ref(), Page::default()).await.unwrap();
        page.items.iter().map(|(_, open)| format!("{} {}", open.workflow, open.case)).collect()
    };
    assert_eq!(list(&petrel, None).await, ["one c", "two c"]);
    eventually("another process has them", async || {
        (list(&other, None).await.len() == 2).then_some(())
    })
    .await;
    assert_eq!(list(&other, Some("two")).await, ["two c"]);
    let page = other.incidents(None, Page::default()).await.unwrap();
    let cause = other.explanation_of(&page.items[0].1).await.unwrap();
    assert!(cause.contains('X'), "{cause}");
    other.retry_incident(&workflow("one"), &case("c"), 1, Change::default()).await.unwrap();
    for petrel in [&petrel, &other] {
        assert_eq!(list(petrel, None).await, ["two c"]);
    }
}

/// The process died before it noted what it had opened; or somebody took away what was noted, and offered.
#[tokio::test]
async fn what_is_not_in_the_index_or_in_no_queue_is_put_back() {
    let (server, petrel) = system().await;
    let (storage, dying) = faulty(server.url()).await;
    storage.drop_notes(true);
    begun(&dying, &queued("one", "fast"), "c").await;
    begun(&petrel, &queued("two", "fast"), "c").await;
    assert_eq!(listed(&petrel, &all(), 10).await, [("two".to_owned(), "c".to_owned(), 1)]);
    petrel.reconcile_after(None).await.unwrap();
    assert_eq!(listed(&petrel, &all(), 10).await.len(), 2);
    // Its message is gone, as by an acknowledgement of an old delivery.
    let offered = petrel.storage().offered_in(&workflow("one"), &case("c")).await.unwrap();
    petrel.storage().withdraw(&offered).await.unwrap();
    assert_eq!(petrel.mend_open().await.unwrap(), 1);
    assert_eq!(petrel.mend_open().await.unwrap(), 0);
    assert_eq!(
        petrel.storage().offered_in(&workflow("one"), &case("c")).await.unwrap().len(),
        offered.len()
    );
    // All entries are gone, and one names what has never been.
    let items = OpenScope::Items { queue: None, workflow: None };
    let noted = petrel.storage().open(&items, Page::default()).await.unwrap();
    let noted: Vec<_> = noted.items.into_iter().map(|(_, open)| open).collect();
    petrel.storage().strike_open(&noted).await.unwrap();
    let never = Open::Item {
        queue: queue("fast"),
        workflow: workflow("one"),
        case: case("nobody"),
        item: 1,
    };
    petrel.storage().note_open(std::slice::from_ref(&never)).await.unwrap();
    assert_eq!(listed(&petrel, &all(), 1).await, []);
    petrel.rebuild(&|_, _| {}).await.unwrap();
    let found = listed(&petrel, &all(), 1).await;
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(listed(&petrel_at(server.url()).await, &all(), 10).await, found);
}

#[tokio::test]
async fn the_command_line_lists_open_work_and_incidents_of_all_cases() {
    let (server, petrel) = system().await;
    begun(&petrel, &queued("one", "fast"), "c").await;
    begun(&petrel, &queued("two", "slow"), "d").await;
    fail(&petrel, "two", "d", 1).await;
    petrel.close().await;
    let run = async |words: &[&str]| text(&server, words).await;
    let work = run(&["work", "list"]).await;
    assert!(work.contains("one") && work.contains("waits for a worker"), "{work}");
    assert!(work.contains("stopped by incident 1"), "{work}");
    let fast = run(&["work", "list", "--queue", "fast"]).await;
    assert!(fast.contains("one") && !fast.contains("two"), "{fast}");
    let incidents = run(&["incident", "list"]).await;
    assert!(incidents.contains("two") && incidents.contains("WORK_FAILED"), "{incidents}");
    let json = json_of(&server, &["incident", "list"]).await;
    assert_eq!(
        (&json["items"][0]["workflow"], &json["items"][0]["case"]),
        (&json!("two"), &json!("d"))
    );
    let more = run(&["work", "list", "--first", "1"]).await;
    assert!(more.contains("--after"), "{more}");
}

#[tokio::test]
async fn graphql_lists_open_work_incidents_and_queues_and_sets_them() {
    let (_server, petrel) = system().await;
    begun(&petrel, &queued("one", "fast"), "c").await;
    begun(&petrel, &queued("two", "slow"), "d").await;
    fail(&petrel, "two", "d", 1).await;
    let executor = Api::new(petrel.clone(), Limits::default()).executor(Caller::Anybody);
    let answer = async |query: &str| -> Value {
        serde_json::to_value(&executor.execute(Request::new(query)).await).unwrap()
    };
    let ask = async |query: &str| -> Value {
        let answer = answer(query).await;
        assert!(answer["errors"].is_null(), "{answer}");
        answer["data"].clone()
    };
    let shown = ask(r#"{ workItems(first: 1) { nodes { workflowId caseId queue kind casePaused
            workItem { item state } } pageInfo { hasNextPage endCursor } }
        slow: workItems(queueId: "slow") { nodes { caseId workItem { state } } }
        incidents { nodes { workflowId caseId incident { number code explanation } } } }"#)
    .await;
    assert_eq!(
        shown["workItems"]["nodes"],
        json!([{ "workflowId": "one", "caseId": "c", "queue": "fast", "kind": "go",
            "casePaused": false, "workItem": { "item": 1, "state": "WAITING" } }])
    );
    assert_eq!(
        shown["slow"]["nodes"],
        json!([{ "caseId": "d", "workItem": { "state": "STOPPED" } }])
    );
    let incident = &shown["incidents"]["nodes"][0];
    assert_eq!(incident["incident"]["code"], "WORK_FAILED");
    assert!(incident["incident"]["explanation"].as_str().unwrap().contains('X'), "{incident}");
    let cursor = &shown["workItems"]["pageInfo"]["endCursor"];
    let next = ask(&format!("{{ workItems(after: {cursor}) {{ nodes {{ workflowId }} }} }}")).await;
    assert_eq!(next["workItems"]["nodes"], json!([{ "workflowId": "two" }]));
    let set = |change: &str| {
        format!(
            "mutation {{ setQueue(input: {{ queueId: \"fast\", {change} }}) {{ paused ackWaitMs
            classes {{ class mostInFlight }} }} }}"
        )
    };
    let paused = ask(&set("paused: true, ackWaitMs: 45000, mostInFlight: 7")).await;
    assert_eq!(
        paused["setQueue"],
        json!({ "paused": true, "ackWaitMs": 45_000, "classes": [
            { "class": "HIGH", "mostInFlight": 7 }, { "class": "NORMAL", "mostInFlight": 7 },
            { "class": "LOW", "mostInFlight": 7 }] })
    );
    let queues = ask("{ queues { queueId paused waiting inFlight openPulls } }").await;
    assert_eq!(
        queues["queues"][0],
        json!({ "queueId": "fast", "paused": true, "waiting": 1, "inFlight": 0, "openPulls": 0 })
    );
    for (change, told) in [
        ("ackWaitMs: 10", "input.ackWaitMs"),
        ("mostInFlight: 0", "input.mostInFlight"),
        ("paused: null", "input"),
    ] {
        let refused = answer(&set(change)).await["errors"][0].clone();
        assert_eq!(refused["extensions"]["code"], "INVALID_ARGUMENT", "{refused}");
        assert_eq!(refused["extensions"]["argument"], told, "{refused}");
    }
}

#[tokio::test]
async fn an_incident_is_completed_once_by_a_person_with_a_result() {
    let (server, petrel) = system().await;
    begun(&petrel, &queued("one", "fast"), "c").await;
    begun(&petrel, &queued("one", "fast"), "d").await;
    let of = (workflow("one"), case("c"));
    let answer = |n: u64| stormpetrel::engine::Answered {
        outcome: None,
        result: json!({ "n": n }),
        hand_over: None,
    };
    let id = || Change {
        by: Some("ann".to_owned()),
        firing: Some(stormpetrel::models::FiringId::new("by-ann").unwrap()),
        ..Change::default()
    };
    let refused = petrel.complete_incident(&of.0, &of.1, 1, answer(1), id()).await;
    assert_eq!(code(refused), "INVALID_ARGUMENT", "there is none");
    for id in ["c", "d"] {
        fail(&petrel, "one", id, 1).await;
    }
    let other = petrel_at(server.url()).await;
    let done = petrel.complete_incident(&of.0, &of.1, 1, answer(1), id()).await.unwrap();
    assert_eq!((done.case.status, done.case.incidents.len()), (CaseStatus::Completed, 0));
    assert_eq!(done.record.value.produced[0].data, json!({ "n": 1 }));
    assert_eq!(done.record.value.by.as_deref(), Some("ann"));
    for petrel in [&petrel, &other] {
        let again = petrel.complete_incident(&of.0, &of.1, 1, answer(1), id()).await.unwrap();
        assert!(again.repeated && again.record.sequence == done.record.sequence);
        let another = petrel.complete_incident(&of.0, &of.1, 1, answer(2), id()).await;
        assert_eq!(code(another), "CONFLICT");
    }
    text(&server, &["incident", "complete", "one", "d", "1", "--result", "{\"n\": 3}"]).await;
    let now = petrel.case(&of.0, &case("d")).await.unwrap();
    assert_eq!(now.result(), Some(json!({ "n": 3 })));
    assert_eq!(petrel.incidents(None, Page::default()).await.unwrap().items.len(), 0);
    is_whole(&petrel).await;
}
