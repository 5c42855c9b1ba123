//! Incidents that are tried again with corrected data.

use std::sync::atomic::{AtomicUsize, Ordering};

use async_graphql::{Executor, Request};
use stormpetrel::{
    graphql::{Api, Caller, Limits},
    models::{FiringId, TokenId},
    petrel::{Change, Correction},
};

use super::*;
use crate::{
    cli::text,
    support::{petrel_at, system},
};

/// A step whose worker refuses what has no card, and one whose input asks for it.
fn paying() -> WorkflowDefinition {
    definition(json!({
        "id": "paying", "initial_place": "a", "places": [{"id": "a"}, {"id": "b"}, {"id": "c"}],
        "transitions": [
            {"id": "pay", "from_places": ["a"], "to_place": "b",
             "activity": {"kind": "pay", "retry": {"attempts": 1}}},
            {"id": "book", "from_places": ["b"], "to_place": "c",
             "activity": {"kind": "book", "input": "{'sum': token.data.sum + 1}"}}
        ]
    }))
}

fn worker(petrel: &Petrel, charged: &Arc<AtomicUsize>) -> WorkerBuilder {
    let charged = Arc::clone(charged);
    Worker::builder(petrel.clone())
        .queue(QueueOptions::new(queue("default")))
        .handle(kind("pay"), move |_: Attempt, input: Value| {
            let charged = Arc::clone(&charged);
            async move {
                charged.fetch_add(1, Ordering::Relaxed);
                match input["card"].as_str() {
                    Some(card) => Ok(json!({ "paid_by": card })),
                    None => Err(WorkError::new("NO_CARD", "it has no card")),
                }
            }
        })
        .handle(kind("book"), |_: Attempt, input: Value| async move {
            Ok::<_, WorkError>(json!({ "booked": input["sum"] }))
        })
}

fn token(petrel: &stormpetrel::models::Case) -> TokenId {
    petrel.live_tokens().next().unwrap().id.clone()
}

/// A second incident of the case comes from an input that can't be evaluated: its data is corrected on the
/// command line, in another process.
#[tokio::test]
async fn an_incident_is_tried_again_with_corrected_data_in_one_record() {
    let (server, petrel) = system().await;
    let charged = Arc::<AtomicUsize>::default();
    let running = Running::start(&petrel, worker(&petrel, &charged));
    begun(&petrel, &paying(), "k").await;
    let (of, id) = (workflow("paying"), case("k"));
    let stopped = async |number: u64| {
        eventually("it is stopped", async || {
            let now = petrel.case(&of, &id).await.unwrap();
            (now.incidents.first()?.number == number).then_some(now)
        })
        .await
    };
    let now = stopped(1).await;
    let correct = |data: Value| vec![Correction { token: token(&now), patch: data }];
    let again = || Change { firing: Some(FiringId::new("again").unwrap()), ..Change::default() };
    let none = TokenId::of_case("nothing", &id, 9);
    let corrected = vec![Correction { token: none, patch: json!({}) }];
    let refused = petrel.retry_incident_with(&of, &id, 1, corrected, again()).await;
    assert_eq!(code(refused), "NOT_FOUND");
    let twice = [correct(json!({"card": 1})), correct(json!({"card": 2}))].concat();
    assert_eq!(
        code(petrel.retry_incident_with(&of, &id, 1, twice, again()).await),
        "INVALID_ARGUMENT"
    );
    assert_eq!(petrel.case(&of, &id).await.unwrap().sequence, now.sequence, "nothing is stored");

    let with = correct(json!({"card": "4711"}));
    let done = petrel.retry_incident_with(&of, &id, 1, with.clone(), again()).await.unwrap();
    assert_eq!(done.record.value.kind, RecordKind::Retried);
    assert_eq!(done.record.value.produced[0].data, json!({"card": "4711"}));
    assert_eq!(done.case.items[0].number, now.items[0].number, "the item is the same");
    for petrel in [&petrel, &petrel_at(server.url()).await] {
        let same = petrel.retry_incident_with(&of, &id, 1, with.clone(), again()).await.unwrap();
        assert!(same.repeated && same.record.sequence == done.record.sequence);
        let other = correct(json!({"card": "12"}));
        let refused = petrel.retry_incident_with(&of, &id, 1, other, again()).await;
        assert_eq!(code(refused), "CONFLICT");
        assert_eq!(code(petrel.retry_incident(&of, &id, 1, again()).await), "CONFLICT");
    }

    let now = stopped(2).await;
    assert_eq!(now.incidents[0].code.as_str(), "INPUT_FAILED");
    assert_eq!(charged.load(Ordering::Relaxed), 2, "it was tried once more, and no more");
    let data = format!("{}={}", token(&now), json!({"sum": 41}));
    text(&server, &["incident", "retry", "paying", "k", "2", "--data", &data]).await;
    until(&petrel, "paying", "k", CaseStatus::Completed).await;
    let result = petrel.case(&of, &id).await.unwrap().result().unwrap();
    assert_eq!(result["booked"], 42);
    running.stop().await;
    is_whole(&petrel).await;
}

#[tokio::test]
async fn graphql_corrects_data_and_names_the_token_that_is_none() {
    let (_server, petrel) = system().await;
    begun(&petrel, &paying(), "k").await;
    let failure =
        stormpetrel::models::Failure { code: "X".to_owned(), is_final: true, ..Default::default() };
    petrel.fail_work(&item("paying", "k", 1), None, failure, Change::default()).await.unwrap();
    let executor = Api::new(petrel.clone(), Limits::default()).executor(Caller::Anybody);
    let retry = async |token: &str| -> Value {
        let mutation = format!(
            "mutation {{ retryIncident(input: {{ workflowId: \"paying\", caseId: \"k\", incident: 1,
                corrections: [{{ tokenId: \"{token}\", patch: {{ card: \"1\" }} }}] }})
                {{ incidents {{ number }} tokens {{ data }} }} }}"
        );
        serde_json::to_value(&executor.execute(Request::new(mutation)).await).unwrap()
    };
    let refused = retry("a b").await["errors"][0].clone();
    assert_eq!(refused["extensions"]["argument"], "input.corrections[0].tokenId", "{refused}");
    let now = petrel.case(&workflow("paying"), &case("k")).await.unwrap();
    let done = retry(token(&now).as_str()).await;
    assert!(done["errors"].is_null(), "{done}");
    assert_eq!(done["data"]["retryIncident"]["incidents"], json!([]));
    let now = petrel.case(&workflow("paying"), &case("k")).await.unwrap();
    assert_eq!(now.live_tokens().next().unwrap().data, json!({"card": "1"}));
    is_whole(&petrel).await;
}

/// A net where the correction lets a cascade fire too, while the case has an incident of its work.
#[tokio::test]
async fn a_correction_that_lets_a_cascade_fire_is_one_record_that_is_fired_again_alike() {
    let (_server, petrel) = system().await;
    let definition = definition(json!({
        "id": "side", "initial_place": "a", "places": [{"id": "a"}, {"id": "b"}, {"id": "c"}],
        "transitions": [
            {"id": "work", "from_places": ["a"], "to_place": "b", "activity": {"kind": "x"}},
            {"id": "leave", "from_places": ["a"], "to_place": "c", "auto": true,
             "conditions": ["has(token.data.leave)"]}
        ]
    }));
    begun(&petrel, &definition, "k").await;
    let failure =
        stormpetrel::models::Failure { code: "X".to_owned(), is_final: true, ..Default::default() };
    petrel.fail_work(&item("side", "k", 1), None, failure, Change::default()).await.unwrap();
    let (of, id) = (workflow("side"), case("k"));
    let now = petrel.case(&of, &id).await.unwrap();
    let corrections = vec![Correction { token: token(&now), patch: json!({"leave": true}) }];
    let done = petrel.retry_incident_with(&of, &id, 1, corrections, Change::default()).await;
    let done = done.unwrap();
    assert_eq!(done.record.value.cascade.len(), 1);
    assert_eq!((done.case.items.len(), done.case.status), (0, CaseStatus::Completed));
    is_whole(&petrel).await;
}
