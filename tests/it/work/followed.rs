//! Work items and incidents, followed as they change.

use async_graphql::{Executor, Request};
use futures::StreamExt;
use stormpetrel::{
    graphql::{Api, Caller, Limits},
    models::{Failure, LogSequence},
    petrel::{Change, OpenChange, OpenEvent, OpenPart, StartWork},
};

use super::*;
use crate::support::{petrel_at, system};

fn step_in(id: &str, queue: &str) -> WorkflowDefinition {
    definition(json!({
        "id": id, "initial_place": "a", "places": [{"id": "a"}, {"id": "b"}],
        "transitions": [{"id": "go", "from_places": ["a"], "to_place": "b",
            "activity": {"queue": queue, "kind": "go", "retry": {"attempts": 2, "first": "1h"}}}]
    }))
}

/// Words for an event.
fn words(event: &OpenEvent) -> String {
    let change = match event.change {
        OpenChange::Opened => "opened",
        OpenChange::Changed => "changed",
        OpenChange::Ended => "ended",
    };
    match &event.part {
        OpenPart::Item(open) => {
            let at = match &open.item {
                item if item.running.is_some() => " running",
                item if item.wait.is_some() => " waiting",
                _ => "",
            };
            format!("{change} item {} {}{at}", open.case, open.item.number)
        }
        OpenPart::Incident(open) => {
            format!("{change} incident {} {}", open.case, open.incident.number)
        }
    }
}

async fn work(petrel: &Petrel) {
    for (of, queue) in [("one", "fast"), ("two", "slow")] {
        begun(petrel, &step_in(of, queue), "c").await;
    }
    let start = |start| StartWork {
        work: item("one", "c", 1),
        over: None,
        worker: "ann".to_owned(),
        lease: Duration::from_secs(30),
        start,
    };
    petrel.begin_work(start(1)).await.unwrap();
    let failure = |is_final| Failure { code: "X".to_owned(), is_final, ..Failure::default() };
    let fail = async |is_final, claim| {
        let failure = failure(is_final);
        petrel.fail_work(&item("one", "c", 1), claim, failure, Change::default()).await.unwrap();
    };
    fail(false, Some(1)).await;
    fail(true, None).await;
    let done = stormpetrel::engine::Answered { outcome: None, result: json!({}), hand_over: None };
    let (of, id) = (workflow("one"), case("c"));
    petrel.complete_incident(&of, &id, 1, done, Change::default()).await.unwrap();
    let (two, id) = (workflow("two"), case("c"));
    petrel.pause(&two, &id, Change::default()).await.unwrap();
    petrel.resume(&two, &id, Change::default()).await.unwrap();
    petrel.cancel(&two, &id, Change::default()).await.unwrap();
}

const ALL: [&str; 11] = [
    "opened item c 1",
    "opened item c 1",
    "changed item c 1 running",
    "changed item c 1 waiting",
    "changed item c 1",
    "opened incident c 1",
    "ended item c 1",
    "ended incident c 1",
    // Its case is paused, resumed and cancelled.
    "changed item c 1",
    "changed item c 1",
    "ended item c 1",
];

/// A follower from the start, one from the middle, which has to look up what was before, and another process.
#[tokio::test]
async fn changes_of_work_and_incidents_are_followed_from_anywhere_in_the_log() {
    let (server, petrel) = system().await;
    let live = petrel.watch_open(None, None).await.unwrap();
    work(&petrel).await;
    let other = petrel_at(server.url()).await;
    let first = Some(LogSequence::FIRST.into());
    let again = other.watch_open(None, first).await.unwrap();
    let mut sequences = Vec::new();
    for events in [live, again] {
        let events: Vec<_> = events.take(11).map(Result::unwrap).collect().await;
        let told: Vec<_> = events.iter().map(words).collect();
        assert_eq!(told, ALL);
        let paused: Vec<_> = events[8..10]
            .iter()
            .map(|event| match &event.part {
                OpenPart::Item(open) => open.is_paused,
                OpenPart::Incident(_) => panic!("{event:?}"),
            })
            .collect();
        assert_eq!(paused, [true, false]);
        let OpenPart::Item(last) = &events[10].part else { panic!("{events:?}") };
        assert_eq!((last.workflow.as_str(), last.queue.as_str()), ("two", "slow"));
        sequences.push(events.iter().map(|event| event.sequence).collect::<Vec<_>>());
    }
    assert_eq!(sequences[0], sequences[1]);
    // From each place on, one gets what the first one got from there.
    for (at, from) in sequences[0].iter().enumerate() {
        let events = other.watch_open(None, Some((*from).into())).await.unwrap();
        let first = sequences[0].iter().position(|sequence| sequence == from).unwrap();
        assert!(first <= at);
        let told: Vec<_> =
            events.take(11 - first).map(|event| words(&event.unwrap())).collect().await;
        assert_eq!(told, ALL[first..], "from {from}");
    }
    let of_two = other.watch_open(Some(workflow("two")), first).await.unwrap();
    let told: Vec<_> = of_two.take(4).map(|event| words(&event.unwrap())).collect().await;
    assert_eq!(told[0], "opened item c 1");
    assert_eq!(told[3], "ended item c 1");
}

/// The record of a deadline changes nothing in the item itself, and it is shown otherwise.
#[tokio::test]
async fn a_deadline_that_stops_an_item_is_a_change_of_it() {
    let (_server, petrel) = system().await;
    let running = Running::serving(&petrel);
    let events = petrel.watch_open(None, None).await.unwrap();
    begun(&petrel, &steps(1, json!({"deadline": "200ms"})), "c").await;
    eventually("it is late", async || {
        let now = petrel.case(&workflow("steps"), &case("c")).await.unwrap();
        (!now.incidents.is_empty()).then_some(())
    })
    .await;
    petrel.retry_incident(&workflow("steps"), &case("c"), 1, Change::default()).await.unwrap();
    let told: Vec<_> = events.take(5).map(|event| words(&event.unwrap())).collect().await;
    assert_eq!(
        told,
        [
            "opened item c 1",
            "changed item c 1",
            "opened incident c 1",
            "changed item c 1",
            "ended incident c 1"
        ]
    );
    running.stop().await;
}

#[tokio::test]
async fn graphql_tells_of_changes_of_work_and_incidents() {
    let (_server, petrel) = system().await;
    let executor = Api::new(petrel.clone(), Limits::default()).executor(Caller::Anybody);
    work(&petrel).await;
    let told = async |query: &str, count: usize| -> Vec<Value> {
        let events = executor.execute_stream(Request::new(query), None);
        let read = |response: async_graphql::Response| {
            let response = serde_json::to_value(&response).unwrap();
            assert!(response["errors"].is_null(), "{response}");
            response["data"].as_object().unwrap().values().next().unwrap().clone()
        };
        events.take(count).map(read).collect().await
    };
    let items = told(
        "subscription { workItemEvents(queueId: \"fast\", fromSequence: 0) { change sequence time
            work { workflowId caseId queue kind workItem { item state worker } } } }",
        5,
    )
    .await;
    let states: Vec<_> = items
        .iter()
        .map(|event| {
            assert_eq!(
                (&event["work"]["workflowId"], &event["work"]["kind"]),
                (&json!("one"), &json!("go"))
            );
            let state = event["work"]["workItem"]["state"].as_str().unwrap();
            format!("{} {state}", event["change"].as_str().unwrap())
        })
        .collect();
    assert_eq!(
        states,
        [
            "OPENED WAITING",
            "CHANGED RUNNING",
            "CHANGED DELAYED",
            "CHANGED STOPPED",
            "ENDED STOPPED"
        ]
    );
    let incidents = told(
        "subscription { incidentEvents(workflowId: \"one\", fromSequence: 0) { change
            open { caseId incident { number code explanation } } } }",
        2,
    )
    .await;
    assert_eq!(incidents[0]["change"], "OPENED");
    assert_eq!(incidents[1]["change"], "ENDED");
    for event in &incidents {
        assert_eq!(event["open"]["incident"]["code"], "WORK_FAILED");
        assert!(event["open"]["incident"]["explanation"].as_str().unwrap().contains('X'));
    }
    let refused = executor
        .execute_stream(
            Request::new("subscription { workItemEvents(workflowId: \"none\") { change } }"),
            None,
        )
        .next()
        .await
        .unwrap();
    let refused = serde_json::to_value(&refused).unwrap();
    assert_eq!(refused["errors"][0]["extensions"]["code"], "NOT_FOUND", "{refused}");
}
