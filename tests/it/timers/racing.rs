//! Timers against callers, against themselves, and on three servers of which one dies.

use std::{sync::Arc, time::Duration};

use futures::future::join_all;
use serde_json::json;
use stormpetrel::{
    models::{CaseStatus, FiringId, WorkflowDefinition},
    petrel::{Change, Error, Fire, Petrel},
    storage::nats::NatsStorage,
    testing::TestCluster,
};

use super::{Serving, begun, fire, history, invoice, is_whole, timed, until};
use crate::support::{case, definition, petrel_at, replicated, system, workflow};

/// What is paid before its time is paid, and else it is lost: one of the two takes the token.
fn ticket() -> WorkflowDefinition {
    definition(json!({
        "id": "ticket", "initial_place": "open",
        "places": [{"id": "open"}, {"id": "paid"}, {"id": "lost"}],
        "transitions": [
            {"id": "pay", "from_places": ["open"], "to_place": "paid"},
            {"id": "lose", "from_places": ["open"], "to_place": "lost", "after": "500ms"}
        ]
    }))
}

/// Callers of two processes, with and without ids, in the moment in which the timers come due.
#[tokio::test]
async fn a_caller_and_a_deadline_race_and_one_of_them_wins() {
    let (server, one) = system().await;
    let other = petrel_at(server.url()).await;
    let serving: Vec<_> = [&one, &other].into_iter().map(Serving::start).collect();
    one.create_workflow(ticket(), Default::default()).await.unwrap();
    let race = async |number: usize| {
        let name = format!("t-{number}");
        let (first, second) =
            if number.is_multiple_of(2) { (&one, &other) } else { (&other, &one) };
        let new = begun(first, ticket(), &name, json!({})).await;
        let left = new.case.timers[0].due - chrono::Utc::now();
        // Around the time, some before and some after it.
        let early = chrono::TimeDelta::microseconds(number as i64 % 20 * 500 - 3_000);
        tokio::time::sleep((left - early).to_std().unwrap_or_default()).await;
        let firing = number.is_multiple_of(3).then(|| FiringId::new("pay").unwrap());
        let change = Change { firing, ..Change::default() };
        let pay = Fire { change, ..fire("ticket", &name, "pay") };
        let (paid, again) = tokio::join!(second.fire(pay.clone()), first.fire(pay));
        (name, number.is_multiple_of(3), [paid, again])
    };
    let mut lost = 0;
    for (name, has_id, answers) in join_all((0..120).map(race)).await {
        let records = until(&one, "ticket", &name, CaseStatus::Completed).await;
        let (fired, paid) = (timed(&records), records[1].value.transition.is_some());
        assert_eq!(records.len(), 2, "{name}: one of them took the token");
        assert_eq!(fired.len(), usize::from(!paid), "{name}");
        lost += fired.len();
        let done = answers.iter().filter(|answer| answer.is_ok()).count();
        let right = match (paid, has_id) {
            (false, _) => 0,
            (true, true) => 2,
            (true, false) => 1,
        };
        assert_eq!(done, right, "{name}: {answers:?}");
        for refused in answers.into_iter().filter_map(Result::err) {
            assert!(
                matches!(refused, Error::NotEnabled(_) | Error::WrongStatus { .. }),
                "{refused}"
            );
        }
    }
    println!("{lost} of 120 were lost");
    for serving in serving {
        serving.stop().await;
    }
    is_whole(&one).await;
}

/// Somebody arms again what has fired, and what is over.
#[tokio::test]
async fn a_timer_that_is_armed_again_fires_nothing_again() {
    let (_server, petrel) = system().await;
    begun(&petrel, invoice("1h"), "over", json!({})).await;
    let armed = petrel.storage().armed_in(&workflow("invoice"), &[case("over")]).await.unwrap();
    petrel.fire(fire("invoice", "over", "pay")).await.unwrap();
    begun(&petrel, invoice("20ms"), "k", json!({})).await;
    let mut again = petrel.storage().armed_in(&workflow("invoice"), &[case("k")]).await.unwrap();
    let serving = Serving::start(&petrel);
    let records = until(&petrel, "invoice", "k", CaseStatus::Completed).await;
    again.extend(armed);
    for arming in &mut again {
        arming.due = chrono::Utc::now();
    }
    petrel.storage().arm(&again).await.unwrap();
    let begun = std::time::Instant::now();
    for name in ["k", "over"] {
        let name = case(name);
        while !petrel
            .storage()
            .armed_in(&workflow("invoice"), std::slice::from_ref(&name))
            .await
            .unwrap()
            .is_empty()
        {
            assert!(begun.elapsed() < super::LONG, "it is settled");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    assert_eq!(history(&petrel, "invoice", &case("k")).await.len(), records.len());
    assert_eq!(history(&petrel, "invoice", &case("over")).await.len(), 2);
    serving.stop().await;
}

/// A server is killed with timers armed, due, and being fired.
#[tokio::test]
async fn each_timer_fires_once_on_three_servers_of_which_one_dies() {
    let mut cluster = TestCluster::start(3).await;
    let mut petrels = Vec::new();
    for node in 0..3 {
        let stored = NatsStorage::connect(replicated(&cluster, node)).await.unwrap();
        petrels.push(Petrel::new(Arc::new(stored)));
    }
    let serving: Vec<_> = petrels.iter().map(Serving::start).collect();
    let names: Vec<_> = (0..60).map(|number| format!("i-{number}")).collect();
    join_all(names.iter().enumerate().map(|(number, name)| {
        let ms = [200, 1_000, 2_500][number % 3];
        begun(&petrels[number % 3], invoice(&format!("{ms}ms")), name, json!({}))
    }))
    .await;
    // Whoever leads: with two of three killed one after the other, each leader is among them.
    for node in [0, 1] {
        cluster.kill(node).await;
        let first = format!("i-{node}");
        until(&petrels[2], "invoice", &first, CaseStatus::Completed).await;
        cluster.restart(node).await;
    }
    for name in &names {
        let records = until(&petrels[2], "invoice", name, CaseStatus::Completed).await;
        assert_eq!(timed(&records), ["remind", "give_up"], "{name}");
    }
    crate::work::is_whole_in_the_end(&petrels[2]).await;
    for serving in serving {
        serving.stop().await;
    }
}
