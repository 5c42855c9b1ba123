//! Messages that are not of format 1: newer ones, unknown fields, and records that are out of
//! place.

use async_nats::HeaderMap;
use futures::StreamExt;
use serde_json::{Value, json};
use stormpetrel::{
    models::LogSequence,
    petrel::Petrel,
    storage::{
        CaseLog, Consistency, DefinitionVersion, ListOptions, LogRange, LogScope, Page, ReadPath,
        StorageError, StorageExt, TokenScope, TokenView,
    },
};

use super::{System, headers, sample, token, value};
use crate::support::{case, place, workflow};

fn changed(name: &str, field: &str, to: Value) -> Vec<u8> {
    let mut sample = value(&sample(name));
    sample[field] = to;
    sample.to_string().into_bytes()
}

fn assert_newer<T: std::fmt::Debug>(read: Result<T, StorageError>, subject: &str, number: u64) {
    let error = read.unwrap_err();
    assert!(!error.retryable());
    let (named, sequence, reason) = match &error {
        StorageError::Corrupt { subject, sequence, reason, newer: true } => {
            (subject, sequence.get(), reason)
        }
        StorageError::CorruptView { subject, sequence, reason } => {
            (subject, sequence.get(), reason)
        }
        _ => panic!("{error}"),
    };
    assert_eq!((named.as_str(), sequence), (subject, number));
    assert!(reason.contains("it has format ") && reason.contains("newer petrel"), "{reason}");
    let text = error.to_string();
    assert!(text.contains(subject) && text.contains(&format!("sequence {number}")), "{text}");
}

/// A newer message is refused even if it could be read, since nobody knows its meaning.
#[tokio::test]
async fn a_message_of_a_newer_format_is_refused_with_its_subject_its_sequence_and_its_format() {
    let system = System::start().await;
    let (orders, id) = (workflow("orders"), case("order-1042"));
    let none = HeaderMap::new();
    let subject = "orders.events.lifecycle.order-1042";
    let record = changed("created", "format", json!(3));
    let at = system.publish(subject, none.clone(), record).await;
    let full = "cb.workflows.orders.events.lifecycle.order-1042";
    for consistency in [Consistency::Strong, Consistency::Eventual] {
        assert_newer(system.storage.head(&orders, &id, consistency).await, full, at);
    }
    assert_newer(
        system.storage.record(&orders, &id, LogSequence::new(at).unwrap()).await,
        full,
        at,
    );
    let unreadable = json!({"format": 3, "what": "nobody knows"}).to_string().into_bytes();
    let at = system.publish(subject, none.clone(), unreadable).await;
    assert_newer(system.storage.head(&orders, &id, Consistency::Strong).await, full, at);
    let scope = LogScope::Case(orders.clone(), id.clone());
    let items: Vec<_> = system.storage.history(scope, LogRange::ALL).await.unwrap().collect().await;
    assert_eq!(items.len(), 2, "each is an item of its own");
    let error = Petrel::new(system.storage.clone()).case(&orders, &id).await.unwrap_err();
    assert!(error.to_string().contains(full), "{error}");

    let definition = changed("definition", "format", json!(3));
    let at = system.publish("orders.definition", none.clone(), definition).await;
    let read = system.storage.definition(&orders, DefinitionVersion::Latest).await;
    assert_newer(read, "cb.workflows.orders.definition", at);

    let subject = format!("orders.places.packing.tokens.{}", token(3));
    let full = format!("cb.workflows.{subject}");
    let mut newer = headers("token-headers");
    newer.insert("Petrel-Format", "2");
    let at = system.publish(&subject, newer, sample("token")).await;
    for path in [ReadPath::Direct, ReadPath::Consumer] {
        assert_newer(system.storage.token(&orders, &token(3), path.into()).await, &full, at);
    }
}

/// Listings go round it, and say rightly if there is more.
#[tokio::test]
async fn a_token_that_can_not_be_read_hides_none_of_its_neighbours() {
    let system = System::start().await;
    for number in 1..=6 {
        let subject = format!("orders.places.packing.tokens.{}", token(number));
        let mut headers = headers("token-headers");
        headers.insert("Petrel-Format", if number % 2 == 0 { "2" } else { "1" });
        let payload = changed("token", "id", json!(token(number)));
        system.publish(&subject, headers, payload).await;
    }
    let orders = workflow("orders");
    let scope = TokenScope { workflow: orders, place: Some(place("packing")), case: None };
    for path in [ReadPath::Direct, ReadPath::Consumer] {
        for first in [1, 2, 3, 10] {
            let (mut seen, mut after) = (Vec::new(), None);
            loop {
                let page = system
                    .storage
                    .tokens_in(
                        &scope,
                        ListOptions { page: Page { first, after }, path: Some(path) },
                    )
                    .await;
                let page = page.unwrap();
                after = page.end();
                let has_next = page.has_next;
                seen.extend(page.into_items().into_iter().map(|token| token.id));
                if !has_next {
                    break;
                }
            }
            assert_eq!(seen, [token(1), token(3), token(5)], "pages of {first} by {path:?}");
        }
    }
}

/// A newer version may say more than an older one knows, within one format.
#[tokio::test]
async fn records_and_tokens_with_unknown_fields_are_read_without_them() {
    let system = System::start().await;
    let none = HeaderMap::new();
    let mut record = value(&sample("fired-read"));
    record["mood"] = json!("fine");
    record["marking"][0]["weight"] = json!(3);
    record["produced"][0]["colour"] = json!({"of": "the token"});
    record["produced"][0]["history"][0]["took_ms"] = json!(12);
    record["consumed"][0]["why"] = json!("because");
    let bytes = record.to_string().into_bytes();
    let at = system.publish("orders.events.transitions.order-1042", none.clone(), bytes).await;
    let id = case("order-1042");
    let read = system
        .storage
        .record(&workflow("orders"), &id, LogSequence::new(at).unwrap())
        .await
        .unwrap()
        .unwrap();
    let again = serde_json::to_value(&read.value).unwrap();
    assert_eq!(again, value(&sample("fired-read")));
    let paths = ["mood", "marking.0.weight", "produced.0.colour", "produced.0.history.0.took_ms"];
    for path in paths.into_iter().chain(["consumed.0.why"]) {
        assert!(read.value.unknown.iter().any(|name| name == path), "{:?}", read.value.unknown);
    }
    let subject = format!("orders.places.packing.tokens.{}", token(3));
    let bytes = changed("token", "colour", json!("blue"));
    // An early message of format 1 names its format in no header.
    system.publish(&subject, none, bytes).await;
    let read = system.storage.token(&workflow("orders"), &token(3), ReadPath::Direct.into()).await;
    assert_eq!(read.unwrap().unwrap().nats_sequence, LogSequence::new(8));
}

/// A net that is fired without one of its parts is another net.
#[tokio::test]
async fn a_definition_with_an_unknown_field_is_refused_by_name() {
    let system = System::start().await;
    let mut definition = value(&sample("definition"));
    definition["definition"]["transitions"][0]["colour"] = json!(7);
    let bytes = definition.to_string().into_bytes();
    let at = system.publish("orders.definition", HeaderMap::new(), bytes).await;
    let read = system.storage.definition(&workflow("orders"), DefinitionVersion::Latest).await;
    let error = read.unwrap_err();
    assert!(
        matches!(&error, StorageError::Corrupt { sequence, .. } if sequence.get() == at),
        "{error}"
    );
    assert!(error.to_string().contains("colour"), "{error}");
}

#[tokio::test]
async fn a_record_at_the_subject_of_another_case_is_refused() {
    let system = System::start().await;
    for (subject, id) in [
        ("orders.events.lifecycle.order-1043", "order-1043"),
        ("events.events.lifecycle.order-1042", "order-1042"),
    ] {
        system.publish_sample(subject, "created").await;
        let workflow = workflow(subject.split('.').next().unwrap());
        let read = system.storage.head(&workflow, &case(id), Consistency::Strong).await;
        let error = read.unwrap_err();
        assert!(matches!(error, StorageError::Corrupt { .. }), "{error}");
        assert!(error.to_string().contains("another subject"), "{error}");
    }
}
