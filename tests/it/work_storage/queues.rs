//! Settings of queues, which are in the log, and the consumers that follow them.

use std::time::Duration;

use serde_json::{Value, json};
use stormpetrel::{
    petrel::Fire,
    storage::{MostInFlight, QueueSettings, StorageError, Work},
    testing::TestServer,
};

use super::{NORMAL, connect, is_quiet, offers, queue, take};
use crate::{
    failures::{
        fixtures::{operator, stream_info, view_is_the_log},
        looking::doctor,
    },
    support::{begin, config, petrel_at, transition},
};

const CONSUMER: &str = "CB_WORK.petrel-q-normal";

fn limited(most: u32) -> QueueSettings {
    QueueSettings { most_in_flight: MostInFlight::each(most), ..QueueSettings::default() }
}

#[tokio::test]
async fn a_consumer_with_other_settings_than_its_queue_gets_these_from_who_finds_it() {
    let server = TestServer::start().await;
    let (work, operator) = (connect(config(server.url())).await, operator(server.url()).await);
    work.set_queue(&queue("q"), limited(3), None).await.unwrap();
    work.offer(&offers("q", 0..1)).await.unwrap();
    let client = async_nats::connect(server.url()).await.unwrap();
    let about = async || -> Value {
        let asked = format!("$JS.API.CONSUMER.INFO.{CONSUMER}");
        let answer = client.request(asked, "".into()).await.unwrap();
        serde_json::from_slice(&answer.payload).unwrap()
    };
    let right = about().await["config"].clone();
    assert_eq!((&right["max_ack_pending"], &right["max_deliver"]), (&json!(3), &json!(-1)));
    let by_taker = async |number: u64| {
        // One who knows nothing of it yet.
        let other = connect(config(server.url())).await;
        other.offer(&offers("q", number..number + 1)).await.unwrap();
        take(&other, "q", 1).await;
    };
    let by_who_looks = async |_| drop(work.queue(&queue("q")).await.unwrap());
    for turn in 1..=2 {
        for (field, value) in [
            ("max_ack_pending", json!(100)),
            ("ack_wait", json!(5_000_000_000_u64)),
            ("max_deliver", json!(2)),
        ] {
            let mut changed = right.clone();
            changed[field] = value;
            let filter = changed["filter_subject"].as_str().unwrap();
            let asked = format!("CONSUMER.CREATE.{CONSUMER}.{filter}");
            let body = json!({ "stream_name": "CB_WORK", "config": changed });
            let made: Value = operator.request(asked, &body).await.unwrap();
            assert!(made.get("error").is_none(), "{made}");
            if turn == 1 {
                by_taker(10).await
            } else {
                by_who_looks(0).await
            }
            assert_eq!(about().await["config"], right, "{turn} {field}");
            work.withdraw(&offers("q", 0..20)).await.unwrap();
        }
    }
    // A pause by hand is none of the queue's.
    let pause = json!({ "pause_until": "2200-01-01T00:00:00Z" });
    let _: Value = operator.request(format!("CONSUMER.PAUSE.{CONSUMER}"), &pause).await.unwrap();
    assert_eq!(about().await["paused"], true);
    by_who_looks(0).await;
    assert_ne!(about().await["paused"], true);
}

#[tokio::test]
async fn a_consumer_that_is_made_while_its_queue_is_paused_is_paused() {
    let server = TestServer::start().await;
    let (work, operator) = (connect(config(server.url())).await, operator(server.url()).await);
    let paused = QueueSettings { paused: true, ..QueueSettings::default() };
    let version = work.set_queue(&queue("q"), paused, None).await.unwrap();
    operator.delete_consumer_from_stream("petrel-q-normal", "CB_WORK").await.unwrap();
    work.offer(&offers("q", 0..1)).await.unwrap();
    is_quiet(&work, "q").await;
    work.set_queue(&queue("q"), QueueSettings::default(), Some(version)).await.unwrap();
    assert_eq!(take(&work, "q", 1).await[0].offer.item, 0);
}

#[tokio::test]
async fn settings_in_the_log_are_passed_over_by_all_who_read_cases() {
    let server = TestServer::start().await;
    let petrel = petrel_at(server.url()).await;
    let work = connect(config(server.url())).await;
    let mut version = None;
    let mut set = async |most| {
        version = Some(work.set_queue(&queue("q"), limited(most), version).await.unwrap());
        version
    };
    set(1).await;
    let (begun, token) = begin(&petrel, json!({})).await;
    set(2).await;
    petrel.fire(Fire::token(token, transition("submit"))).await.unwrap();
    let last = set(3).await;
    view_is_the_log(&petrel).await.unwrap();
    let storage = petrel.storage();
    assert_eq!(storage.last_sequence().await.unwrap(), last);
    let rebuilt = petrel.rebuild(&|_, _| ()).await.unwrap();
    assert_eq!((rebuilt.cases, rebuilt.mended), (1, 0));
    assert_eq!(storage.workflow_ids().await.unwrap(), std::slice::from_ref(&begun.case.workflow));
    let found = doctor(&server.url(), &[]).await;
    assert_eq!(found["healthy"], true, "{found}");
    // Another process that begins with such a message at the end.
    let another = petrel_at(server.url()).await;
    let (_, token) = begin(&another, json!({})).await;
    another.fire(Fire::token(token, transition("submit"))).await.unwrap();
    view_is_the_log(&petrel).await.unwrap();
}

#[tokio::test]
async fn a_log_of_an_earlier_version_gets_the_subject_of_queues() {
    let server = TestServer::start().await;
    let petrel = petrel_at(server.url()).await;
    let (_, token) = begin(&petrel, json!({})).await;
    let operator = operator(server.url()).await;
    let mut settings = stream_info(&operator, "CB_LOG").await["config"].take();
    let now = settings["subjects"].clone();
    settings["subjects"].as_array_mut().unwrap().retain(|subject| *subject != "cb.queues.*");
    let updated: Value = operator.request("STREAM.UPDATE.CB_LOG", &settings).await.unwrap();
    assert_ne!(updated["config"]["subjects"], now);
    for stream in ["CB_WORK", "CB_BEATS"] {
        operator.delete_stream(stream).await.unwrap();
    }
    let work = connect(config(server.url())).await;
    assert_eq!(stream_info(&operator, "CB_LOG").await["config"]["subjects"], now);
    work.set_queue(&queue("q"), limited(1), None).await.unwrap();
    petrel.fire(Fire::token(token, transition("submit"))).await.unwrap();
}

#[tokio::test]
async fn settings_that_cannot_be_read_are_told_with_their_place() {
    let server = TestServer::start().await;
    let (work, operator) = (connect(config(server.url())).await, operator(server.url()).await);
    let body = r#"{"format":2,"ack_wait_ms":1000,"room":7}"#;
    operator.publish("cb.queues.q", body.into()).await.unwrap().await.unwrap();
    for refused in [
        work.queue(&queue("q")).await.map(drop),
        work.take(&queue("q"), NORMAL, 1, Duration::ZERO).await.map(drop),
    ] {
        let error = refused.unwrap_err();
        let StorageError::Corrupt { subject, newer, .. } = &error else { panic!("{error}") };
        assert_eq!((subject.as_str(), newer), ("cb.queues.q", &true), "{error}");
    }
    assert_eq!(work.queues().await.unwrap(), [queue("q")]);
}
