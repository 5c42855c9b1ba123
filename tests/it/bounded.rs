//! The bounds of one request's cost, while others are served.

use serde_json::{Value, json};
use stormpetrel::{
    engine::Blocker,
    models::{CaseId, WorkflowDefinition},
    petrel::{Error, ExpectedVersion, Fire, NewCase, NewToken, Petrel},
};

use crate::support::{case, place, system, transition, workflow};

async fn net(petrel: &Petrel, id: &str, conditions: Value, inputs: Value) {
    let definition: WorkflowDefinition = serde_json::from_value(json!({
        "id": id, "initial_place": "a",
        "places": [{ "id": "a" }, { "id": "b" }, { "id": "c" }],
        "transitions": [
            { "id": "go", "inputs": inputs, "outputs": [{ "place": "c" }], "conditions": conditions },
            { "id": "spread", "inputs": [{ "place": "c" }], "outputs": [{ "place": "a" }, { "place": "b" }] }
        ]
    }))
    .unwrap();
    petrel.create_workflow(definition, ExpectedVersion::Any).await.unwrap();
}

async fn begin(petrel: &Petrel, net: &str, id: &str, data: Value) -> CaseId {
    let new = NewCase { case: Some(case(id)), data, ..NewCase::of(workflow(net)) };
    petrel.create_case(new).await.unwrap().case.id.clone()
}

fn go(net: &str, id: &CaseId) -> Fire {
    Fire::case(workflow(net), id.clone(), transition("go"))
}

/// The first choices read tokens that they take, and each has 10,000 ways to go on.
#[tokio::test]
async fn a_transition_that_takes_and_reads_tokens_of_one_place_fires_among_many() {
    let (_server, petrel) = system().await;
    let inputs = json!([
        { "place": "a", "weight": 2 },
        { "place": "a", "weight": 3, "kind": "read" },
        { "place": "b", "weight": 3, "kind": "read" }
    ]);
    net(&petrel, "both", json!([]), inputs).await;
    let id = begin(&petrel, "both", "k", json!({})).await;
    for at in ["a", "b"] {
        for _ in 0..40 {
            let (workflow, place, case) = (workflow("both"), Some(place(at)), id.clone());
            let (metadata, change) = Default::default();
            let token = NewToken { workflow, case, place, data: json!({}), metadata, change };
            petrel.create_token(token).await.unwrap();
        }
    }
    let before = petrel.case(&workflow("both"), &id).await.unwrap();
    let in_place = |at: &str| -> Vec<_> {
        before.marking.in_place(&place(at)).map(|entry| entry.token.clone()).collect()
    };
    let (a, b) = (in_place("a"), in_place("b"));
    assert!(petrel.explain(&workflow("both"), &id).await.unwrap().transitions[0].enabled);
    let record = petrel.fire(go("both", &id)).await.unwrap().record.value.clone();
    let taken: Vec<_> = record.consumed.iter().map(|at| at.token.clone()).collect();
    let read: Vec<_> = record.read.iter().map(|at| at.token.clone()).collect();
    assert_eq!((&taken[..], read), (&a[..2], [&a[2..5], &b[..3]].concat()));
}

/// A guard that goes over 8,400 million values, and a case beside it, on one thread.
#[tokio::test]
async fn a_guard_without_end_stalls_nobody_and_is_no_no() {
    let (_server, petrel) = system().await;
    let guard = "token.data.l.all(a, token.data.l.all(b, !(-1 in token.data.m)))";
    net(&petrel, "costly", json!([guard]), json!([{ "place": "a" }])).await;
    net(&petrel, "quick", json!(["token.data.n > 0"]), json!([{ "place": "a" }])).await;
    let (few, many): (Vec<_>, Vec<_>) = ((0..290).collect(), (0..100_000).collect());
    let costly = begin(&petrel, "costly", "k", json!({ "l": few, "m": many })).await;
    let quick = begin(&petrel, "quick", "q", json!({ "n": 1 })).await;

    let slow = petrel.fire(go("costly", &costly));
    let fast = petrel.fire(go("quick", &quick));
    tokio::pin!(slow);
    tokio::select! {
        biased;
        answer = &mut slow => panic!("others waited for {:?}", answer.map(|_| ())),
        answer = fast => assert!(!answer.unwrap().repeated),
    }
    let error = slow.await.unwrap_err();
    match &error {
        Error::Undecided(why) => assert!(why.why().contains("1000000 steps"), "{error}"),
        // A slow machine's time ends before the steps do.
        Error::Overloaded { .. } => assert!(error.retryable()),
        other => panic!("{other}"),
    }
    assert!(!error.to_string().contains("is false"), "{error}");

    let said = petrel.explain(&workflow("costly"), &costly).await.unwrap();
    let [Blocker::SearchStopped { .. }] = &said.transitions[0].modes[0].blockers[..] else {
        panic!("{said:?}")
    };
    assert!(said.summary.contains("not known"), "{}", said.summary);
    let token = petrel.case(&workflow("costly"), &costly).await.unwrap();
    let token = token.live_tokens().next().unwrap().id.clone();
    let offered = petrel.available_transitions(None, &token).await.unwrap_err();
    assert!(["UNDECIDED", "OVERLOADED"].contains(&offered.code()), "{offered}");
}

/// Forty orders and forty payments, of which only the last of each fit.
#[tokio::test]
async fn a_join_of_many_tokens_is_found_and_said_so() {
    let (_server, petrel) = system().await;
    let join = "tokens[0].data.id == tokens[1].data.id";
    net(&petrel, "join", json!([join]), json!([{ "place": "a" }, { "place": "b" }])).await;
    let id = begin(&petrel, "join", "k", json!({ "id": "order-0" })).await;
    for n in 1..40 {
        let data = json!({ "id": format!("order-{n}") });
        petrel.create_token(token(&id, "a", data)).await.unwrap();
    }
    for n in 0..40 {
        let data =
            json!({ "id": if n == 39 { "order-39".into() } else { format!("payment-{n}") } });
        petrel.create_token(token(&id, "b", data)).await.unwrap();
    }
    let said = petrel.explain(&workflow("join"), &id).await.unwrap();
    assert!(said.transitions[0].enabled, "{said:?}");
    let fired = petrel.fire(go("join", &id)).await.unwrap();
    let taken: Vec<_> = fired.record.value.consumed.iter().map(|at| at.token.clone()).collect();
    assert_eq!(taken, said.transitions[0].modes[0].would_take);
    let error = petrel.fire(go("join", &id)).await.unwrap_err();
    assert_eq!(error.code(), "NOT_ENABLED");
    assert!(error.to_string().contains("is false (and none of 1521 choices"), "{error}");
}

fn token(id: &CaseId, at: &str, data: Value) -> NewToken {
    NewToken {
        workflow: workflow("join"),
        case: id.clone(),
        place: Some(place(at)),
        data,
        metadata: Default::default(),
        change: Default::default(),
    }
}

/// A condition that could not be evaluated is another reason than a false one.
#[tokio::test]
async fn a_guard_that_failed_has_a_reason_of_its_own() {
    let (_server, petrel) = system().await;
    net(&petrel, "w", json!(["token.data.amount > 100"]), json!([{ "place": "a" }])).await;
    for (id, data, failed) in [("k0", json!({ "amount": 7 }), false), ("k1", json!({}), true)] {
        let id = begin(&petrel, "w", id, data).await;
        let said = petrel.explain(&workflow("w"), &id).await.unwrap();
        let is_failed = match &said.transitions[0].modes[0].blockers[..] {
            [Blocker::Guard { .. }] => false,
            [Blocker::GuardFailed { .. }] => true,
            other => panic!("{other:?}"),
        };
        assert_eq!(is_failed, failed);
    }
}

/// Two thousand changes of one case: those in line are done, the rest may try again.
#[tokio::test]
async fn too_many_changes_of_one_case_are_told_to_try_again() {
    let (_server, petrel) = system().await;
    net(&petrel, "w", json!([]), json!([{ "place": "a" }])).await;
    let id = begin(&petrel, "w", "k", json!({})).await;
    let asked = (0..2_000).map(|_| petrel.fire(go("w", &id)));
    let (mut fired, mut refused) = (0, 0);
    for answer in futures::future::join_all(asked).await {
        match answer {
            Ok(_) => fired += 1,
            Err(Error::NotEnabled(_)) => {}
            Err(error) => {
                assert_eq!((error.code(), error.retryable()), ("OVERLOADED", true), "{error}");
                refused += 1;
            }
        }
    }
    assert_eq!(fired, 1);
    assert!((900..1_100).contains(&refused), "{refused}");
}
