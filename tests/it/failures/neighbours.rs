//! Several systems, and several versions, on one server.

use std::time::Duration;

use async_nats::jetstream;
use chrono::{SubsecRound, TimeDelta, Utc};
use serde_json::{Value, json};
use stormpetrel::{
    models::{KindId, LogSequence, QueueId, WorkClass},
    petrel::{Error, Fire, NewCase, Petrel},
    storage::{
        Arming, Beat, Consistency, Offer, Page, QueueSettings, StorageError, TokenScope,
        nats::NatsStorage, nats::NatsStorageConfig,
    },
    testing::TestServer,
};

use super::fixtures::{
    connect, in_view, log_of, operator, pendulum, stream_info, swing, view_is_the_log,
};
use crate::support::{begin, case, config, petrel_at, place, transition, workflow};

fn system(server: &TestServer, prefix: &str, log: &str, marking: &str) -> NatsStorageConfig {
    let (prefix, log_stream, marking_stream) = (prefix.into(), log.into(), marking.into());
    NatsStorageConfig { prefix, log_stream, marking_stream, ..config(server.url()) }
}

/// Everything that the server has, settings and contents, except the parts that time changes.
pub(super) async fn everything(operator: &jetstream::Context) -> Vec<Value> {
    let list: Value = operator.request("STREAM.LIST", &json!({})).await.unwrap();
    let mut streams = list["streams"].as_array().cloned().unwrap_or_default();
    for stream in &mut streams {
        stream["ts"].take();
        stream["state"]["consumer_count"].take();
    }
    streams
}

async fn refused(config: NatsStorageConfig) -> (String, String) {
    match NatsStorage::connect(config).await {
        Err(error @ StorageError::Stream { .. }) => {
            assert!(!error.retryable());
            let StorageError::Stream { stream, reason } = error else { unreachable!() };
            (stream, reason)
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_system_that_would_take_anothers_streams_or_subjects_changes_nothing() {
    let server = TestServer::start().await;
    let petrel = connect(system(&server, "cb", "LOG_A", "MARKING_A")).await;
    let (_, token) = begin(&petrel, json!({"amount": 1})).await;
    let operator = operator(server.url()).await;
    let before = everything(&operator).await;
    for (prefix, log, marking, named) in [
        // Another prefix on the same streams.
        ("xx", "LOG_A", "MARKING_A", "LOG_A"),
        ("xx", "LOG_B", "MARKING_A", "MARKING_A"),
        ("xx", "LOG_A", "MARKING_B", "LOG_A"),
        // The same prefix in other streams.
        ("cb", "LOG_B", "MARKING_B", "LOG_B"),
        ("cb", "LOG_A", "MARKING_B", "MARKING_B"),
        ("cb", "LOG_B", "MARKING_A", "LOG_B"),
        // One stream in the part of the other.
        ("cb", "MARKING_A", "LOG_A", "MARKING_A"),
        ("xx", "MARKING_A", "LOG_B", "MARKING_A"),
        // The others' timers, work and beats, by another prefix.
        ("xx", "LOG_B", "MARKING_B", "LOG_A_TIMERS"),
        ("xx", "LOG_B", "MARKING_B", "LOG_A_WORK"),
        ("xx", "LOG_B", "MARKING_B", "LOG_A_BEATS"),
    ] {
        let mut other = system(&server, prefix, log, marking);
        let stream = match named {
            "LOG_A_TIMERS" => &mut other.timer_stream,
            "LOG_A_WORK" => &mut other.work_stream,
            "LOG_A_BEATS" => &mut other.beat_stream,
            _ => &mut None,
        };
        *stream = Some(named.to_owned());
        let (stream, reason) = refused(other).await;
        assert_eq!(stream, named, "{prefix} {log} {marking}: {reason}");
        assert!(reason.starts_with("subjects: "), "{prefix} {log} {marking}: {reason}");
        assert_eq!(everything(&operator).await, before, "{prefix} {log} {marking}");
    }
    petrel.fire(Fire::token(token, transition("submit"))).await.unwrap();
    view_is_the_log(&petrel).await.unwrap();
}

#[tokio::test]
async fn a_stream_of_somebody_else_is_left_alone() {
    let server = TestServer::start().await;
    let operator = operator(server.url()).await;
    let theirs = |name: &str, subjects: &[&str]| jetstream::stream::Config {
        name: name.to_owned(),
        subjects: subjects.iter().map(|subject| (*subject).to_owned()).collect(),
        ..Default::default()
    };
    operator.create_stream(theirs("CB_LOG", &["theirs.>"])).await.unwrap();
    operator.publish("theirs.a", "data".into()).await.unwrap().await.unwrap();
    operator.create_stream(theirs("ALL", &["xx.>"])).await.unwrap();
    let before = everything(&operator).await;
    let (stream, reason) = refused(config(server.url())).await;
    assert_eq!(stream, "CB_LOG");
    assert!(reason.contains("not made by Storm Petrel"), "{reason}");
    let (stream, reason) = refused(system(&server, "xx", "LOG_B", "MARKING_B")).await;
    assert_eq!(stream, "LOG_B");
    assert!(reason.starts_with("subjects: ") && reason.contains("ALL"), "{reason}");
    assert_eq!(everything(&operator).await, before);
}

#[tokio::test]
async fn streams_of_a_newer_version_are_refused_by_an_older_one_and_kept() {
    let server = TestServer::start().await;
    let petrel = petrel_at(server.url()).await;
    let (_, token) = begin(&petrel, json!({})).await;
    let operator = operator(server.url()).await;
    for newer in ["CB_BEATS", "CB_WORK", "CB_TIMERS", "CB_MARKING", "CB_LOG"] {
        let mut settings = stream_info(&operator, newer).await["config"].take();
        settings["metadata"]["stormpetrel.format"] = json!("3");
        // It has also grown a setting that an older version would put back.
        settings["max_age"] = json!(3_600_000_000_000_u64);
        let subject = format!("STREAM.UPDATE.{newer}");
        let answer: Value = operator.request(subject, &settings).await.unwrap();
        assert!(answer.get("error").is_none(), "{answer}");
        let before = everything(&operator).await;
        let (stream, reason) = refused(config(server.url())).await;
        assert!(stream == newer && reason.contains("newer"), "{stream}: {reason}");
        assert!(reason.starts_with("stormpetrel.format"), "{reason}");
        assert_eq!(everything(&operator).await, before);
    }
    // Whoever was connected already goes on.
    petrel.fire(Fire::token(token, transition("submit"))).await.unwrap();
}

#[tokio::test]
async fn two_systems_side_by_side_do_not_see_each_other() {
    let server = TestServer::start().await;
    let one = connect(system(&server, "one", "LOG_1", "MARKING_1")).await;
    let two = connect(system(&server, "two", "LOG_2", "MARKING_2")).await;
    // The same ids in both; what is done differs.
    for (petrel, moves) in [(&one, 1), (&two, 2)] {
        pendulum(petrel).await;
        let (_, token) = swing(petrel, "a").await;
        for name in ["go", "return"].into_iter().take(moves) {
            petrel.fire(Fire::token(token.clone(), transition(name))).await.unwrap();
        }
    }
    let only = NewCase { case: Some(case("b")), ..NewCase::of(workflow("pendulum")) };
    two.create_case(only).await.unwrap();
    let missing = one.case(&workflow("pendulum"), &case("b")).await;
    assert!(matches!(missing, Err(Error::NotFound(_))), "{missing:?}");
    for (petrel, records, tokens, at) in [(&one, 2, 1, "there"), (&two, 3, 2, "here")] {
        let log = log_of(petrel, &workflow("pendulum"), &case("a")).await;
        assert_eq!(log.len(), records);
        let token = &log[0].value.produced[0].id;
        let read = petrel.token(None, token, Consistency::Eventual).await.unwrap();
        assert_eq!(read.place, place(at));
        let scope = TokenScope { workflow: workflow("pendulum"), place: None, case: None };
        let listed = petrel.tokens(&scope, Page::default()).await.unwrap();
        assert_eq!(listed.items.len(), tokens);
        assert_eq!(view_is_the_log(petrel).await.unwrap().len(), tokens);
    }
    neither_takes_the_others_timers(&one, &two).await;
    neither_takes_the_others_work(&one, &two).await;
    let untouched = in_view(&two).await.unwrap();
    let operator = operator(server.url()).await;
    operator.get_stream("MARKING_1").await.unwrap().purge().await.unwrap();
    let rebuilt = one.rebuild(&|_, _| ()).await.unwrap();
    assert_eq!((rebuilt.cases, rebuilt.mended), (1, 1));
    assert_eq!(in_view(&two).await.unwrap(), untouched);
    for others in ["LOG_1_TIMERS", "LOG_1_WORK", "LOG_1_BEATS"] {
        operator.delete_stream(others).await.unwrap();
    }
    operator.delete_stream("LOG_1").await.unwrap();
    view_is_the_log(&two).await.unwrap();
    let left = two.storage().armed(Page::default()).await.unwrap();
    assert_eq!(left.items.len(), 1, "{left:?}");
}

/// The same item in both, with settings of its queue that differ.
async fn neither_takes_the_others_work(one: &Petrel, two: &Petrel) {
    let queue = QueueId::new("q").unwrap();
    let offer = |item| Offer {
        queue: queue.clone(),
        class: WorkClass::Normal,
        workflow: workflow("pendulum"),
        case: case("a"),
        item,
        follows: LogSequence::FIRST,
        kind: KindId::new("k").unwrap(),
        transition: transition("go"),
    };
    let (one, two) = (one.storage(), two.storage());
    let paused = QueueSettings { paused: true, ..QueueSettings::default() };
    two.set_queue(&queue, paused, None).await.unwrap();
    one.offer(&[offer(1)]).await.unwrap();
    two.offer(&[offer(1), offer(2)]).await.unwrap();
    let long = Duration::from_secs(10);
    let taken = one.take(&queue, WorkClass::Normal, 10, long).await.unwrap();
    assert_eq!(taken.iter().map(|it| it.offer.item).collect::<Vec<_>>(), [1]);
    one.acknowledge(&taken[0]).await.unwrap();
    assert_eq!(one.queue(&queue).await.unwrap().settings, QueueSettings::default());
    let left = two.all_offered(Page::default()).await.unwrap().into_items();
    assert_eq!(left, [offer(1), offer(2)]);
    let beat = Beat {
        workflow: workflow("pendulum"),
        case: case("a"),
        item: 1,
        claim: 1,
        holder: "h".to_owned(),
        worker: "a".to_owned(),
    };
    one.beat(&beat, long, None).await.unwrap();
    assert_eq!(two.last_beat(&beat.workflow, &beat.case, 1).await.unwrap(), None);
}

/// The same timer in both: one is due, and one is not.
async fn neither_takes_the_others_timers(one: &Petrel, two: &Petrel) {
    let armed = |seconds| Arming {
        workflow: workflow("pendulum"),
        case: case("a"),
        timer: 1,
        armed: LogSequence::FIRST,
        due: Utc::now().trunc_subsecs(6) + TimeDelta::seconds(seconds),
    };
    let (due, later) = (armed(-1), armed(3_600));
    one.storage().arm(std::slice::from_ref(&due)).await.unwrap();
    two.storage().arm(std::slice::from_ref(&later)).await.unwrap();
    let taken = one.storage().take_due(10, Duration::from_secs(10)).await.unwrap();
    assert_eq!(taken.iter().map(|due| due.arming.clone()).collect::<Vec<_>>(), [due]);
    assert_eq!(two.storage().take_due(10, Duration::from_millis(300)).await.unwrap(), []);
    one.storage().settle(&taken[0]).await.unwrap();
    assert_eq!(one.storage().armed(Page::default()).await.unwrap().items.len(), 0);
    let left = two.storage().armed(Page::default()).await.unwrap().into_items();
    assert_eq!(left, [later]);
}
