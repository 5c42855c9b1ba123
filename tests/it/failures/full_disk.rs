//! A server that answers, and stores nothing: what nats-server does when its disk has no room. It
//! says nothing then to who publishes, so here what is published is led where nobody answers.

use std::time::{Duration, Instant};

use serde_json::json;
use stormpetrel::{
    petrel::{Fire, Petrel},
    storage::nats::{NatsStorage, NatsStorageConfig},
};

use super::{
    doctor::Configured,
    looking::{doctor, failures},
};
use crate::support::{begin, config, transition};

const NOWHERE: &str = r#"
jetstream { store_dir: "STORE" }
mappings: {
  "cb.workflows.*.events.transitions.*": "nowhere.$1.$2"
  "cb.workflows.*.places.*.tokens.*": "nowhere.$1.$2.$3"
}
"#;

#[tokio::test]
async fn a_server_that_answers_and_stores_nothing_is_told_by_the_change_by_health_and_by_doctor() {
    let server = Configured::start(NOWHERE).await;
    let client = async_nats::connect(&server.url).await.unwrap();
    let _silent = client.subscribe("nowhere.>").await.unwrap();
    client.flush().await.unwrap();
    let patience = Duration::from_secs(3);
    let settings = NatsStorageConfig { consumer_timeout: patience, ..config(&server.url) };
    let storage = NatsStorage::connect(settings).await.unwrap();
    let petrel = Petrel::new(std::sync::Arc::new(storage));
    let (_, token) = begin(&petrel, json!({})).await;

    let begun = Instant::now();
    let error = petrel.fire(Fire::token(token, transition("submit"))).await.unwrap_err();
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert_eq!((error.code(), error.retryable()), ("UNAVAILABLE", true), "it may be there");
    assert!(error.to_string().contains("disk full"), "{error}");
    let health = petrel.health().await;
    assert!(health.problem.as_ref().is_some_and(|it| it.contains("disk full")), "{health:?}");

    let found = doctor(&server.url, &[]).await;
    let failed = failures(&found);
    assert!(failed.contains("space") && failed.contains("disk full"), "{found}");
}
