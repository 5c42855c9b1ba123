//! An operator deletes or damages the views by hand.

use std::collections::BTreeMap;

use async_nats::jetstream;
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::json;
use stormpetrel::{
    models::TokenId,
    petrel::{Change, Error, Fire, NewCase, NewToken, Petrel},
    storage::{Consistency, Page, TokenScope},
    testing::TestServer,
};

use super::fixtures::{in_log, last_sequence, operator, view_is_the_log};
use crate::support::{begin, case, petrel_at, place, transition, workflow};

/// Contents of each subject of the view, byte for byte, with our own headers; markers left
/// out.
type Bytes = BTreeMap<String, (String, Vec<String>)>;

async fn bytes(operator: &jetstream::Context) -> Bytes {
    let stream = operator.get_stream("CB_MARKING").await.unwrap();
    let mut bytes = Bytes::new();
    let subjects = stream.info_with_subjects("cb.>").await.unwrap();
    let subjects: Vec<_> = subjects.try_collect().await.unwrap();
    for (subject, _) in subjects {
        let message = stream.get_last_raw_message_by_subject(&subject).await.unwrap();
        if message.payload.is_empty() {
            continue;
        }
        let header = |name| message.headers.get(name).map(|value| value.to_string());
        let headers = ["Petrel-Case", "Petrel-Revision"].into_iter().filter_map(header).collect();
        let payload = String::from_utf8(message.payload.to_vec()).unwrap();
        bytes.insert(subject, (payload, headers));
    }
    bytes
}

/// Cases of every kind: moved, split, edited, with tokens that stay from long ago, ended.
async fn history(petrel: &Petrel) {
    begin(petrel, json!({"amount": 1})).await;
    for number in 0..12 {
        let new = NewCase {
            case: Some(case(&format!("order-{number}"))),
            data: json!({"amount": number, "text": "größer"}),
            ..NewCase::of(workflow("orders"))
        };
        let token = petrel.create_case(new).await.unwrap().tokens[0].id.clone();
        let steps: &[&str] = match number % 6 {
            0 => &[],
            1 => &["submit"],
            2 => &["submit", "reject", "submit", "reject"],
            3 => &["submit", "split"],
            4 => &["submit", "approve"],
            _ => &["submit"],
        };
        let id = case(&format!("order-{number}"));
        for name in steps {
            let fire = Fire::case(workflow("orders"), id.clone(), transition(name));
            petrel.fire(fire).await.unwrap();
        }
        match number % 6 {
            1 => {
                add(petrel, number).await;
                // Another process moves a token that is not of the case's last record.
                let other = Petrel::new(petrel.storage().clone());
                let mut fire = Fire::token(token, transition("reject"));
                fire.change.by = Some("other".to_owned());
                other.fire(fire).await.unwrap();
            }
            2 => {
                // Another process edits a token that it knows from an older record.
                add(petrel, number).await;
                let other = Petrel::new(petrel.storage().clone());
                let patch = json!({"text": null, "edited": true});
                let edit = other.update_token_data(None, &token, patch, Change::default());
                edit.await.unwrap();
                other.pause(&workflow("orders"), &id, Change::default()).await.unwrap();
            }
            5 => drop(petrel.cancel(&workflow("orders"), &id, Change::default()).await.unwrap()),
            _ => {}
        }
    }
}

async fn add(petrel: &Petrel, number: usize) -> TokenId {
    let token = NewToken {
        workflow: workflow("orders"),
        case: case(&format!("order-{number}")),
        place: Some(place("right")),
        data: json!({"added": [1.5, null]}),
        metadata: json!({"by": "a test"}).as_object().unwrap().clone(),
        change: Change { by: Some("somebody".to_owned()), ..Change::default() },
    };
    petrel.create_token(token).await.unwrap().tokens[0].id.clone()
}

/// A strong read, an eventual one by id and the case itself need no view.
async fn reads_are_right(petrel: &Petrel) {
    for ((_, place, id), token) in in_log(petrel).await.unwrap() {
        for consistency in [Consistency::Strong, Consistency::Eventual] {
            let read = petrel.token(None, &id, consistency).await.unwrap();
            assert_eq!((&read.place, read.nats_sequence), (&place, token.nats_sequence));
            assert_eq!((&read.data, &read.nats_subject), (&token.data, &token.nats_subject));
        }
    }
}

struct System {
    server: TestServer,
    petrel: Petrel,
    operator: jetstream::Context,
    before: Bytes,
}

impl System {
    async fn start() -> Self {
        let server = TestServer::start().await;
        let petrel = petrel_at(server.url()).await;
        history(&petrel).await;
        let operator = operator(server.url()).await;
        let before = bytes(&operator).await;
        assert_eq!(view_is_the_log(&petrel).await.unwrap().len(), before.len());
        assert!(before.len() > 12);
        Self { server, petrel, operator, before }
    }

    async fn rebuild_brings_back(&self, petrel: &Petrel, lost: usize) {
        reads_are_right(petrel).await;
        let rebuilt = petrel.rebuild(&|_, _| ()).await.unwrap();
        assert_eq!((rebuilt.mended, rebuilt.failed), (lost as u64, 0));
        let after = bytes(&self.operator).await;
        for (subject, before) in &self.before {
            assert_eq!(after.get(subject), Some(before), "{subject}");
        }
        assert_eq!(after.len(), self.before.len());
        view_is_the_log(petrel).await.unwrap();
        let again = petrel.rebuild(&|_, _| ()).await.unwrap();
        assert_eq!((again.mended, again.failed), (0, 0), "a second rebuild finds nothing");
    }
}

#[tokio::test]
async fn some_purged_subjects_are_rebuilt_equal_to_before() {
    let system = System::start().await;
    let stream = system.operator.get_stream("CB_MARKING").await.unwrap();
    let filter = "cb.workflows.orders.places.draft.tokens.*";
    stream.purge().filter(filter).await.unwrap();
    stream.purge().filter("cb.workflows.orders.places.left.tokens.*").await.unwrap();
    let lost = system.before.len() - bytes(&system.operator).await.len();
    assert!(lost > 2);
    system.rebuild_brings_back(&system.petrel, lost).await;
}

#[tokio::test]
async fn a_view_purged_as_a_whole_is_rebuilt_equal_to_before_and_changes_go_on_meanwhile() {
    let system = System::start().await;
    system.operator.get_stream("CB_MARKING").await.unwrap().purge().await.unwrap();
    assert!(bytes(&system.operator).await.is_empty());
    // The process that knew the registers, and one that did not.
    let other = petrel_at(system.server.url()).await;
    system.rebuild_brings_back(&other, system.before.len()).await;

    system.operator.get_stream("CB_MARKING").await.unwrap().purge().await.unwrap();
    let id = case("order-0");
    let fire = Fire::case(workflow("orders"), id, transition("submit"));
    let moved = system.petrel.fire(fire).await.unwrap();
    let scope =
        TokenScope { workflow: workflow("orders"), place: Some(place("review")), case: None };
    let listed = other.tokens(&scope, Page::default()).await.unwrap().into_items();
    assert_eq!(listed.len(), 1, "a change writes its own views whatever was there");
    assert_eq!(listed[0].id, moved.tokens[0].id);
    other.rebuild(&|_, _| ()).await.unwrap();
    view_is_the_log(&system.petrel).await.unwrap();
}

#[tokio::test]
async fn a_deleted_marking_stream_is_made_again_at_a_start_and_filled_by_a_rebuild() {
    let system = System::start().await;
    system.operator.delete_stream("CB_MARKING").await.unwrap();
    let restarted = petrel_at(system.server.url()).await;
    system.rebuild_brings_back(&restarted, system.before.len()).await;
}

#[tokio::test]
async fn what_an_operator_put_into_the_view_is_taken_away_by_a_rebuild() {
    let system = System::start().await;
    let (subject, (payload, _)) = system.before.iter().next().unwrap();
    let token = subject.rsplit('.').next().unwrap();
    let place_of = subject.split('.').nth(4).unwrap();
    let elsewhere = if place_of == "done" { "draft" } else { "done" };
    let ghost = format!("cb.workflows.orders.places.{elsewhere}.tokens.{token}");
    let publish = system.operator.publish(ghost, payload.clone().into()).await.unwrap();
    publish.await.unwrap();
    // And a version that nobody wrote, where the token is.
    let mut other: serde_json::Value = serde_json::from_str(payload).unwrap();
    other["data"] = json!({"forged": true});
    let forged = other.to_string().into();
    system.operator.publish(subject.clone(), forged).await.unwrap().await.unwrap();
    assert!(view_is_the_log(&system.petrel).await.is_err());
    let id = TokenId::new(token).unwrap();
    let strong = system.petrel.token(None, &id, Consistency::Strong).await.unwrap();
    assert_eq!(strong.place, place(place_of));
    let missing = TokenId::new(token.replace("-1", "-9")).unwrap();
    let missing = system.petrel.token(None, &missing, Consistency::Eventual).await;
    assert!(matches!(missing, Err(Error::NotFound(_))), "{missing:?}");
    let rebuilt = system.petrel.rebuild(&|_, _| ()).await.unwrap();
    assert_eq!((rebuilt.mended, rebuilt.failed), (2, 0));
    assert_eq!(bytes(&system.operator).await, system.before);
}

/// There are more cases than are read together.
#[tokio::test]
async fn a_rebuild_of_many_cases_mends_what_is_wrong_and_writes_nothing_else() {
    let server = TestServer::start().await;
    let petrel = petrel_at(server.url()).await;
    begin(&petrel, json!({"amount": 1})).await;
    let created = stream::iter(1..700).map(|number| {
        let new = NewCase { data: json!({"amount": number}), ..NewCase::of(workflow("orders")) };
        petrel.create_case(new)
    });
    let created = created.buffer_unordered(64).map_ok(drop);
    created.try_collect::<()>().await.unwrap();
    let operator = operator(server.url()).await;
    let before = bytes(&operator).await;
    let view = operator.get_stream("CB_MARKING").await.unwrap();
    let mut wrong = 0;
    for (number, (subject, (payload, _))) in before.iter().enumerate() {
        let (subject, payload) = match number % 50 {
            0 => (subject.clone(), "rubbish".to_owned()),
            1 => (subject.clone(), payload.replace("amount", "forged")),
            2 => (subject.replace(".draft.", ".done."), payload.clone()),
            3 => {
                view.purge().filter(subject.clone()).await.unwrap();
                wrong += 1;
                continue;
            }
            _ => continue,
        };
        operator.publish(subject, payload.into()).await.unwrap().await.unwrap();
        wrong += 1;
    }
    let last = last_sequence(&operator, "CB_MARKING").await;
    let rebuilt = petrel.rebuild(&|_, _| ()).await.unwrap();
    assert_eq!((rebuilt.cases, rebuilt.mended, rebuilt.failed), (700, wrong, 0));
    assert_eq!(last_sequence(&operator, "CB_MARKING").await, last + wrong);
    assert_eq!(bytes(&operator).await, before);
    let again = petrel.rebuild(&|_, _| ()).await.unwrap();
    assert_eq!((again.cases, again.mended, again.failed), (700, 0, 0));
}

#[tokio::test]
async fn no_record_and_no_view_carries_what_only_a_read_can_know() {
    let system = System::start().await;
    let log = system.operator.get_stream("CB_LOG").await.unwrap();
    let last = log.cached_info().state.last_sequence;
    for sequence in 1..=last {
        let message = log.get_raw_message(sequence).await.unwrap();
        let text = String::from_utf8(message.payload.to_vec()).unwrap();
        assert!(!text.contains("\"nats_"), "{sequence}: {text}");
    }
    for (subject, (payload, _)) in &system.before {
        assert!(!payload.contains("nats_timestamp"), "{subject}: {payload}");
    }
}
