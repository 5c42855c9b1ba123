//! Timers that fire, and those that do not.

use std::sync::Arc;

use chrono::TimeDelta;
use futures::future::join_all;
use serde_json::json;
use stormpetrel::{
    models::{CaseStatus, IncidentCode, OnResume, RecordKind},
    petrel::{Change, Error, NewToken, Petrel},
    storage::{MemoryStorage, Storage, nats::NatsStorage},
    testing::{ManualClock, TestServer},
};

use super::{Serving, begun, fire, history, invoice, is_whole, timed, until};
use crate::support::{case, config, definition, petrel_at, place, system, workflow};

/// Each fires once, in cases that two processes have begun and three serve.
#[tokio::test]
async fn a_timer_fires_once_whoever_serves() {
    let (server, one) = system().await;
    let others = [petrel_at(server.url()).await, petrel_at(server.url()).await];
    let serving: Vec<_> = others.iter().chain([&one]).map(Serving::start).collect();
    let names: Vec<_> = (0..60).map(|number| format!("i-{number}")).collect();
    join_all(names.iter().enumerate().map(|(number, name)| {
        let petrel = [&one, &others[0]][number % 2];
        begun(petrel, invoice("300ms"), name, json!({ "number": number }))
    }))
    .await;
    for name in &names {
        let records = until(&one, "invoice", name, CaseStatus::Completed).await;
        assert_eq!(timed(&records), ["remind", "give_up"], "{name}");
        assert_eq!(records.len(), 3);
        let lost = records[2].value.produced.first().unwrap();
        assert_eq!(
            (lost.data["reminded"].as_bool(), lost.place == place("lost")),
            (Some(true), true)
        );
        for elapsed in &records[1..] {
            assert_eq!((elapsed.value.kind, &elapsed.value.by), (RecordKind::Elapsed, &None));
        }
    }
    for serving in serving {
        serving.stop().await;
    }
    is_whole(&petrel_at(server.url()).await).await;
}

/// What was done in time leaves nothing behind.
#[tokio::test]
async fn a_deadline_that_is_met_fires_nothing_and_is_not_armed_any_more() {
    let (_server, petrel) = system().await;
    let new = begun(&petrel, invoice("1h"), "k", json!({})).await;
    let armed = petrel.storage().armed_in(&workflow("invoice"), &[case("k")]).await.unwrap();
    assert_eq!(armed.len(), 1);
    assert_eq!((armed[0].timer, armed[0].armed), (1, new.case.sequence));
    assert_eq!(armed[0].due, new.case.timers[0].due);
    assert_eq!(new.case.timers[0].due - new.record.value.time, TimeDelta::hours(1));
    let paid = petrel.fire(fire("invoice", "k", "pay")).await.unwrap();
    assert_eq!((paid.case.status, paid.case.timers.len()), (CaseStatus::Completed, 0));
    assert_eq!(petrel.storage().armed_in(&workflow("invoice"), &[case("k")]).await.unwrap(), []);
    is_whole(&petrel).await;
}

#[tokio::test]
async fn callers_do_not_fire_a_timed_transition() {
    let (_server, petrel) = system().await;
    begun(&petrel, invoice("1h"), "k", json!({})).await;
    let error = petrel.fire(fire("invoice", "k", "remind")).await.unwrap_err().to_string();
    assert!(error.contains("remind fires by itself"), "{error}");
}

/// What comes due in a paused case waits for its resume, and then happens in the order of the times,
/// however the timers were armed.
#[tokio::test]
async fn what_comes_due_in_a_pause_happens_on_resume_in_order() {
    let (server, petrel) = system().await;
    let parcels = definition(json!({
        "id": "parcels", "initial_place": "shelf", "places": [{"id": "shelf"}, {"id": "gone"}],
        "transitions": [{"id": "expire", "from_places": ["shelf"], "to_place": "gone",
            "after": "duration(string(token.data.ms) + 'ms')"}]
    }));
    begun(&petrel, parcels, "k", json!({ "ms": 500 })).await;
    for ms in [400, 100, 300, 200] {
        let token = NewToken {
            workflow: workflow("parcels"),
            case: case("k"),
            place: None,
            data: json!({ "ms": ms }),
            metadata: Default::default(),
            change: Change::default(),
        };
        petrel.create_token(token).await.unwrap();
    }
    let of = (workflow("parcels"), case("k"));
    petrel.pause(&of.0, &of.1, Change::default()).await.unwrap();
    let other = petrel_at(server.url()).await;
    let serving = Serving::start(&other);
    // All have come due and are put away: nothing is armed in the end.
    let begun = std::time::Instant::now();
    while !petrel.storage().armed_in(&of.0, std::slice::from_ref(&of.1)).await.unwrap().is_empty() {
        assert!(begun.elapsed() < super::LONG);
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let paused = petrel.case(&of.0, &of.1).await.unwrap();
    assert_eq!((paused.status, paused.timers.len()), (CaseStatus::Paused, 5));
    petrel.resume(&of.0, &of.1, Change::default()).await.unwrap();
    let records = until(&other, "parcels", "k", CaseStatus::Completed).await;
    assert_eq!(timed(&records).len(), 5);
    let order: Vec<_> = records
        .iter()
        .flat_map(|record| record.value.cascade.iter().filter_map(|step| step.timer))
        .collect();
    // In the order of their times, and not in that in which they were armed: 1 is the 500 ms.
    assert_eq!(order.len(), 5);
    assert_eq!(order.last(), Some(&1));
    serving.stop().await;
    is_whole(&petrel).await;
}

#[tokio::test]
async fn a_cancelled_case_has_no_timers() {
    let (_server, petrel) = system().await;
    begun(&petrel, invoice("1h"), "k", json!({})).await;
    let of = (workflow("invoice"), case("k"));
    let cancelled = petrel.cancel(&of.0, &of.1, Change::default()).await.unwrap();
    assert!(cancelled.case.timers.is_empty());
    assert_eq!(petrel.storage().armed_in(&of.0, std::slice::from_ref(&of.1)).await.unwrap(), []);
}

/// A month passes at once, in memory and on a server.
#[tokio::test]
async fn a_month_passes_by_a_clock_that_is_moved() {
    let server = TestServer::start().await;
    let stored = NatsStorage::connect(config(server.url())).await.unwrap();
    let clock = ManualClock::default();
    let memory = MemoryStorage::with_clock(Arc::new(clock.clone()));
    let stores: [Arc<dyn Storage>; 2] = [Arc::new(stored), Arc::new(memory)];
    for storage in stores {
        let petrel = Petrel::with_clock(storage, Arc::new(clock.clone()));
        begun(&petrel, invoice("30d"), "k", json!({})).await;
        begun(&petrel, invoice("30d"), "paid", json!({})).await;
        clock.advance(TimeDelta::days(29));
        assert_eq!(petrel.elapse_due().await.unwrap(), 0);
        petrel.fire(fire("invoice", "paid", "pay")).await.unwrap();
        clock.advance(TimeDelta::days(1));
        assert_eq!(petrel.elapse_due().await.unwrap(), 1);
        let now = petrel.case(&workflow("invoice"), &case("k")).await.unwrap();
        assert_eq!(now.marking.counts().into_keys().next(), Some(place("reminded")));
        clock.advance(TimeDelta::days(30));
        assert_eq!(petrel.elapse_due().await.unwrap(), 1);
        assert_eq!(petrel.elapse_due().await.unwrap(), 0);
        let records = history(&petrel, "invoice", &case("k")).await;
        let times: Vec<_> = records.iter().map(|record| record.value.time).collect();
        assert_eq!(times[2] - times[0], TimeDelta::days(60));
        is_whole(&petrel).await;
    }
}

/// A failing output is an incident, and the timer fires when it is mended.
#[tokio::test]
async fn a_timer_whose_output_fails_is_an_incident_until_it_is_mended() {
    let (server, petrel) = system().await;
    let net = definition(json!({
        "id": "odd", "initial_place": "a", "places": [{"id": "a"}, {"id": "b"}],
        "transitions": [{"id": "go", "from_places": ["a"], "to_place": "b", "after": "50ms",
            "output": "{'half': token.data.n / 2}"}]
    }));
    let new = begun(&petrel, net, "k", json!({ "n": "many" })).await;
    let other = petrel_at(server.url()).await;
    let serving = Serving::start(&other);
    let begun = std::time::Instant::now();
    let stopped = loop {
        let now = petrel.case(&workflow("odd"), &case("k")).await.unwrap();
        if !now.incidents.is_empty() {
            break now;
        }
        assert!(begun.elapsed() < super::LONG);
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    };
    assert_eq!(stopped.incidents[0].code, IncidentCode::OutputFailed);
    assert!(stopped.timers[0].elapsed);
    let token = new.tokens[0].id.clone();
    let edit = petrel.update_token_data(None, &token, json!({ "n": 8 }), Change::default());
    let edited = edit.await.unwrap();
    assert_eq!(edited.case.status, CaseStatus::Completed);
    assert_eq!(edited.record.value.cascade[0].timer, Some(1));
    assert_eq!(edited.case.tokens[&token].data["half"], 4);
    serving.stop().await;
    is_whole(&petrel).await;
}

/// A case that was paused for a week, and whose timers are to have what they had left.
#[tokio::test]
async fn a_resume_may_leave_timers_what_they_had() {
    let server = TestServer::start().await;
    let clock = ManualClock::default();
    let stored = NatsStorage::connect(config(server.url())).await.unwrap();
    let petrel = Petrel::with_clock(Arc::new(stored), Arc::new(clock.clone()));
    let of = |id: &str| (workflow("invoice"), case(id));
    for id in ["catch-up", "keep"] {
        begun(&petrel, invoice("10d"), id, json!({})).await;
    }
    clock.advance(TimeDelta::days(4));
    for id in ["catch-up", "keep"] {
        petrel.pause(&of(id).0, &of(id).1, Change::default()).await.unwrap();
    }
    // Another one that is made in the pause has all of its time left.
    let token = NewToken {
        workflow: workflow("invoice"),
        case: case("keep"),
        place: None,
        data: json!({}),
        metadata: Default::default(),
        change: Change::default(),
    };
    clock.advance(TimeDelta::days(3));
    petrel.create_token(token).await.unwrap();
    clock.advance(TimeDelta::days(4));
    assert_eq!(petrel.elapse_due().await.unwrap(), 0, "both are paused");
    let (name, up) = of("catch-up");
    let resumed = petrel.resume(&name, &up, Change::default()).await.unwrap();
    assert_eq!(resumed.case.timers.len(), 1);
    let firing = Some(stormpetrel::models::FiringId::new("again").unwrap());
    let change = Change { firing, ..Change::default() };
    let keep = OnResume::KeepRemaining;
    let resume = async |way| petrel.resume_with(&name, &case("keep"), way, change.clone()).await;
    let kept = resume(keep).await.unwrap();
    let left: Vec<_> =
        kept.case.timers.iter().map(|timer| timer.due - kept.record.value.time).collect();
    assert_eq!(left, [TimeDelta::days(6), TimeDelta::days(10)]);
    assert_eq!(kept.record.value.on_resume, keep);
    // Repeated it is the same, and another way under its id is another request.
    assert!(resume(keep).await.unwrap().repeated);
    let other = resume(OnResume::CatchUp).await.unwrap_err();
    assert!(matches!(other, Error::IdTaken { .. }), "{other}");
    assert_eq!(petrel.elapse_due().await.unwrap(), 1);
    let now = petrel.case(&of("catch-up").0, &of("catch-up").1).await.unwrap();
    assert_eq!(now.marking.counts().into_keys().next(), Some(place("reminded")));
    clock.advance(TimeDelta::days(6));
    assert_eq!(petrel.elapse_due().await.unwrap(), 1);
    is_whole(&petrel).await;
}
