//! The streams exist already, with other settings.

use async_nats::jetstream;
use serde_json::{Value, json};
use stormpetrel::{
    petrel::Fire,
    storage::{StorageError, nats::NatsStorage, nats::NatsStorageConfig},
    testing::TestServer,
};

use super::{
    fixtures::{
        connect, edit_stream, log_of, operator, pendulum, stream_info, swing, view_is_the_log,
    },
    looking::{doctor, failures, run},
    neighbours::everything,
};
use crate::support::{begin, config, petrel_at, transition, workflow};

/// The streams that Storm Petrel makes if there are none.
async fn fresh() -> [Value; 5] {
    let server = TestServer::start().await;
    // With most other settings a server makes no stream that acknowledges before the disk.
    connect(NatsStorageConfig { view_on_disk: true, ..config(server.url()) }).await;
    settings(&operator(server.url()).await).await
}

async fn settings(operator: &jetstream::Context) -> [Value; 5] {
    let streams = ["CB_LOG", "CB_MARKING", "CB_TIMERS", "CB_WORK", "CB_BEATS"];
    let found = streams.map(async |stream| stream_info(operator, stream).await["config"].take());
    let found = futures::future::join_all(found).await;
    found.try_into().expect("as many as were asked for")
}

/// Streams that are ours by name, subjects and metadata, and wrong in these fields.
async fn make_streams(operator: &jetstream::Context, fresh: &[Value; 5], wrong: [Value; 5]) {
    for (fresh, wrong) in fresh.iter().zip(wrong) {
        let mut settings = fresh.clone();
        for (field, value) in wrong.as_object().unwrap() {
            settings[field] = value.clone();
        }
        let subject = format!("STREAM.CREATE.{}", settings["name"].as_str().unwrap());
        let answer: Value = operator.request(subject, &settings).await.unwrap();
        assert!(answer.get("error").is_none(), "{answer}");
    }
}

#[tokio::test]
async fn limits_that_would_lose_data_are_put_right_before_the_first_write() {
    let fresh = fresh().await;
    let server = TestServer::start().await;
    let operator = operator(server.url()).await;
    let log = json!({
        "max_msgs_per_subject": 1, "max_msgs": 10, "max_age": 60_000_000_000_u64,
        "discard": "old", "deny_delete": false, "deny_purge": false, "allow_direct": false,
        "max_msg_size": 100, "no_ack": true, "duplicate_window": 1_000_000_000
    });
    let marking = json!({
        "max_msgs_per_subject": 1, "max_bytes": 10_000, "max_age": 60_000_000_000_u64,
        "discard": "new", "allow_direct": false, "allow_rollup_hdrs": false,
        "allow_msg_ttl": false, "duplicate_window": 1_000_000_000
    });
    let timers = json!({
        "max_msgs_per_subject": 1, "max_msgs": 10, "max_bytes": 10_000,
        "max_age": 60_000_000_000_u64, "allow_direct": false, "allow_msg_schedules": false,
        "allow_msg_ttl": false, "allow_rollup_hdrs": false, "discard": "new",
        "duplicate_window": 1_000_000_000
    });
    let work = json!({
        "max_msgs_per_subject": 1, "max_age": 60_000_000_000_u64, "max_msgs": 10,
        "discard": "old", "allow_direct": false, "duplicate_window": 1_000_000_000
    });
    let beats = json!({
        "max_msgs_per_subject": 1, "max_age": 60_000_000_000_u64, "allow_direct": false,
        "allow_rollup_hdrs": false, "allow_msg_ttl": false, "duplicate_window": 1_000_000_000
    });
    make_streams(&operator, &fresh, [log, marking, timers, work, beats]).await;
    let petrel = petrel_at(server.url()).await;
    let mut now = settings(&operator).await;
    for (now, fresh) in now.iter_mut().zip(&fresh) {
        // Not ours to change.
        now["duplicate_window"] = fresh["duplicate_window"].clone();
        assert_eq!(now, fresh);
    }
    pendulum(&petrel).await;
    let (id, token) = swing(&petrel, "a").await;
    for turn in 0..30 {
        let name = if turn % 2 == 0 { "go" } else { "return" };
        petrel.fire(Fire::token(token.clone(), transition(name))).await.unwrap();
    }
    assert_eq!(log_of(&petrel, &workflow("pendulum"), &id).await.len(), 31);
    view_is_the_log(&petrel).await.unwrap();
}

#[tokio::test]
async fn settings_that_differ_are_mended_in_place_and_the_data_stays() {
    let server = TestServer::start().await;
    let petrel = petrel_at(server.url()).await;
    let (begun, token) = begin(&petrel, json!({"amount": 1})).await;
    for name in ["submit", "reject", "submit"] {
        petrel.fire(Fire::token(token.clone(), transition(name))).await.unwrap();
    }
    let operator = operator(server.url()).await;
    let log = log_of(&petrel, &workflow("orders"), &begun.case.id).await;
    let before = settings(&operator).await;
    edit_stream(&operator, "CB_LOG", json!({"discard": "old", "max_msgs": 1_000})).await;
    let age = json!({"max_age": 3_600_000_000_000_u64, "max_bytes": 1_000_000});
    edit_stream(&operator, "CB_MARKING", age).await;
    // What the owner set and we don't care for stays.
    let kept = json!({"description": "our tokens", "duplicate_window": 7_000_000_000_u64});
    edit_stream(&operator, "CB_MARKING", kept.clone()).await;

    let restarted = petrel_at(server.url()).await;
    let after = settings(&operator).await;
    assert_eq!(after[0], before[0]);
    assert_eq!(after[1]["max_age"], before[1]["max_age"]);
    assert_eq!(after[1]["max_bytes"], before[1]["max_bytes"]);
    assert_eq!(after[1]["duplicate_window"], kept["duplicate_window"]);
    assert_eq!(log_of(&restarted, &workflow("orders"), &begun.case.id).await, log);
    view_is_the_log(&restarted).await.unwrap();
}

async fn refused(config: NatsStorageConfig) -> String {
    match NatsStorage::connect(config).await {
        Err(StorageError::Stream { stream, reason }) => format!("{stream} {reason}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_cannot_be_changed_is_refused_with_its_field_and_left_as_it_is() {
    let fresh = fresh().await;
    let none = || json!({});
    let log = |wrong| [wrong, none(), none(), none(), none()];
    let marking = |wrong| [none(), wrong, none(), none(), none()];
    let timers = |wrong| [none(), none(), wrong, none(), none()];
    let work = |wrong| [none(), none(), none(), wrong, none()];
    let beats = |wrong| [none(), none(), none(), none(), wrong];
    for (wrong, told) in [
        (log(json!({"storage": "memory"})), "CB_LOG storage:"),
        (marking(json!({"storage": "memory"})), "CB_MARKING storage:"),
        (timers(json!({"storage": "memory"})), "CB_TIMERS storage:"),
        (log(json!({"retention": "interest"})), "CB_LOG retention:"),
        (marking(json!({"retention": "workqueue"})), "CB_MARKING retention:"),
        (timers(json!({"retention": "workqueue"})), "CB_TIMERS retention:"),
        (timers(json!({"deny_delete": true})), "CB_TIMERS deny_delete:"),
        (work(json!({"retention": "limits"})), "CB_WORK retention:"),
        (beats(json!({"retention": "workqueue"})), "CB_BEATS retention:"),
        (
            log(json!({"persist_mode": "async", "allow_atomic": false})),
            "CB_LOG allow_atomic, persist_mode:",
        ),
        // Can't be taken back, and the view lives by replacing its messages. The log must not
        // be touched for it either.
        (
            [
                json!({"discard": "old"}),
                json!({"deny_purge": true, "allow_rollup_hdrs": false}),
                none(),
                none(),
                none(),
            ],
            "CB_MARKING deny_purge:",
        ),
    ] {
        let server = TestServer::start().await;
        let operator = operator(server.url()).await;
        make_streams(&operator, &fresh, wrong).await;
        let record = operator.publish("cb.workflows.w.events.lifecycle.c", "x".into()).await;
        record.unwrap().await.unwrap();
        let token = operator.publish("cb.workflows.w.places.p.tokens.t", "x".into()).await;
        token.unwrap().await.unwrap();
        let before = everything(&operator).await;
        let error = refused(config(server.url())).await;
        assert!(error.starts_with(told), "{told} {error}");
        assert_eq!(everything(&operator).await, before, "{told}");
    }
}

#[tokio::test]
async fn more_copies_than_there_are_servers_are_refused_and_nothing_is_made() {
    let server = TestServer::start().await;
    let operator = operator(server.url()).await;
    let three = || NatsStorageConfig { replicas: Some(3), ..config(server.url()) };
    let error = refused(three()).await;
    assert!(error.contains("replicas"), "{error}");
    assert!(everything(&operator).await.is_empty());
    let petrel = connect(config(server.url())).await;
    let (_, token) = begin(&petrel, json!({})).await;
    let before = everything(&operator).await;
    let error = refused(three()).await;
    assert!(error.starts_with("CB_LOG num_replicas:"), "{error}");
    assert_eq!(everything(&operator).await, before);
    petrel.fire(Fire::token(token, transition("submit"))).await.unwrap();
}

#[tokio::test]
async fn clients_that_start_together_share_the_streams() {
    for _ in 0..8 {
        let server = TestServer::start().await;
        let started = (0..12).map(|_| petrel_at(server.url()));
        let started = futures::future::join_all(started).await;
        let (_, token) = begin(&started[0], json!({})).await;
        started[7].fire(Fire::token(token, transition("submit"))).await.unwrap();
        view_is_the_log(&started[3]).await.unwrap();
    }
}

/// Every second one wants the view on disk.
fn on_disk_or_not(url: String) -> impl Iterator<Item = NatsStorageConfig> {
    (0..12).map(move |number| NatsStorageConfig {
        view_on_disk: number % 2 == 0,
        log_max_bytes: Some(100_000_000 + number),
        ..config(url.clone())
    })
}

#[tokio::test]
async fn clients_that_start_together_with_other_settings_share_the_streams() {
    for _ in 0..8 {
        let server = TestServer::start().await;
        let started = on_disk_or_not(server.url()).map(connect);
        let started = futures::future::join_all(started).await;
        let (_, token) = begin(&started[0], json!({})).await;
        started[7].fire(Fire::token(token, transition("submit"))).await.unwrap();
        view_is_the_log(&started[3]).await.unwrap();
    }
}

#[tokio::test]
async fn a_view_that_many_make_again_with_other_settings_is_one_for_all() {
    let server = TestServer::start().await;
    let operator = operator(server.url()).await;
    let connect = |config| async { NatsStorage::connect(config).await.expect("connect") };
    let serving = futures::future::join_all(on_disk_or_not(server.url()).map(connect)).await;
    for _ in 0..8 {
        operator.delete_stream("CB_MARKING").await.unwrap();
        let starting = futures::future::join_all(on_disk_or_not(server.url()).map(connect));
        let looking = serving.iter().map(NatsStorage::view_to_be_filled);
        let (starting, found) = tokio::join!(starting, futures::future::try_join_all(looking));
        let found = found.unwrap();
        assert!(starting.iter().all(NatsStorage::is_view_to_be_filled));
        assert!(found[0].is_some() && found.iter().all(|view| *view == found[0]), "{found:?}");
    }
}

#[tokio::test]
async fn settings_that_somebody_changed_are_told_by_doctor_and_health_and_put_right_by_init() {
    let server = TestServer::start().await;
    let petrel = petrel_at(server.url()).await;
    begin(&petrel, json!({})).await;
    let operator = operator(server.url()).await;
    let transform = |src: &str, dest: &str| json!({ "src": src, "dest": dest });
    let firings = "cb.workflows.*.events.transitions.*";
    let of_firings = "cb.workflows.{{wildcard(1)}}.events.transitions.x{{wildcard(2)}}";
    let tokens = "cb.workflows.*.places.*.tokens.*";
    let of_tokens = "cb.workflows.{{wildcard(1)}}.places.{{wildcard(2)}}.tokens.x{{wildcard(3)}}";
    let harmful = [
        ("CB_LOG", "subject_transform", transform(firings, of_firings)),
        ("CB_MARKING", "subject_transform", transform(tokens, of_tokens)),
        ("CB_LOG", "max_age", json!(3_600_000_000_000_u64)),
        ("CB_LOG", "max_msgs_per_subject", json!(1)),
        ("CB_LOG", "max_msgs", json!(1_000)),
        ("CB_LOG", "discard", json!("old")),
        ("CB_LOG", "allow_direct", json!(false)),
        ("CB_LOG", "max_msg_size", json!(4_000)),
        ("CB_MARKING", "allow_direct", json!(false)),
        ("CB_MARKING", "allow_rollup_hdrs", json!(false)),
        ("CB_MARKING", "max_age", json!(3_600_000_000_000_u64)),
        ("CB_MARKING", "max_msgs", json!(1_000)),
        ("CB_MARKING", "max_bytes", json!(1_000_000)),
        ("CB_TIMERS", "allow_direct", json!(false)),
        ("CB_TIMERS", "max_age", json!(3_600_000_000_000_u64)),
        ("CB_TIMERS", "max_msgs_per_subject", json!(1)),
        ("CB_TIMERS", "max_msgs", json!(1_000)),
        ("CB_TIMERS", "max_bytes", json!(1_000_000)),
        ("CB_WORK", "discard", json!("old")),
        ("CB_WORK", "max_msgs", json!(1_000)),
        ("CB_BEATS", "subject_delete_marker_ttl", json!(60_000_000_000_u64)),
        ("CB_BEATS", "max_age", json!(3_600_000_000_000_u64)),
    ];
    for (stream, field, value) in harmful {
        edit_stream(&operator, stream, json!({ field: value })).await;
        let found = doctor(&server.url(), &[]).await;
        let told = failures(&found);
        assert!(told.contains(stream) && told.contains(field), "{stream} {field}: {found}");
        assert!(told.contains("petrel init"), "{told}");
        let problem = petrel.health().await.problem.unwrap_or_default();
        assert!(problem.contains(stream) && problem.contains(field), "{stream} {field}: {problem}");
        assert!(run(&server.url(), &["init"]).await.status.success());
        assert_eq!(doctor(&server.url(), &[]).await["healthy"], true);
        assert_eq!(petrel.health().await.problem, None);
    }

    // These are an operator's to choose.
    edit_stream(&operator, "CB_LOG", json!({ "max_bytes": 100_000_000 })).await;
    edit_stream(&operator, "CB_LOG", json!({ "description": "ours" })).await;
    // Without batches it is slower.
    edit_stream(&operator, "CB_LOG", json!({ "allow_atomic": false })).await;
    let found = doctor(&server.url(), &[]).await;
    assert_eq!((&found["healthy"], petrel.health().await.problem), (&json!(true), None), "{found}");
}
