//! A saboteur with the plain client and bad intentions.

use async_nats::{HeaderMap, jetstream};
use rand::{rngs::StdRng, seq::IndexedRandom};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use stormpetrel::{
    audit::{Finding, FindingIn, FindingKind},
    models::{CaseId, IdHash, Link, LogSequence, Record, Token},
    testing::TestServer,
};

use super::PLACES;

/// Damage to one case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fault {
    ViewLost,
    ViewDoubled,
    ViewMisplaced,
    ViewChanged,
    ViewUnknown,
    ViewRubbish,
    LogLost,
    LogDoubled,
    LogMade,
    LogMisplaced,
    LogGivenElsewhere,
    LogOtherHash,
    LogMissing,
    LogRubbish,
    LogIdTwice,
    LogListWrong,
}

pub(super) const FAULTS: [Fault; 16] = [
    Fault::ViewLost,
    Fault::ViewDoubled,
    Fault::ViewMisplaced,
    Fault::ViewChanged,
    Fault::ViewUnknown,
    Fault::ViewRubbish,
    Fault::LogLost,
    Fault::LogDoubled,
    Fault::LogMade,
    Fault::LogMisplaced,
    Fault::LogGivenElsewhere,
    Fault::LogOtherHash,
    Fault::LogMissing,
    Fault::LogRubbish,
    Fault::LogIdTwice,
    Fault::LogListWrong,
];

impl Fault {
    pub(super) fn is_in(self) -> FindingIn {
        match self < Self::LogLost {
            true => FindingIn::View,
            false => FindingIn::Log,
        }
    }
}

/// Finding that a fault must lead to.
#[derive(Debug)]
pub(super) struct Expected {
    pub fault: Fault,
    kind: FindingKind,
    sequence: u64,
    place: Option<String>,
}

impl Expected {
    pub(super) fn is(&self, finding: &Finding) -> bool {
        finding.kind == self.kind
            && finding.place_of == self.fault.is_in()
            && finding.sequence == LogSequence::new(self.sequence)
            && (self.place.is_none()
                || finding.place.as_ref().map(|place| place.as_str()) == self.place.as_deref())
    }
}

/// The kind, record and place that must be found.
type Found = (FindingKind, u64, Option<String>);

/// Change of a record.
type Change<'a> = Box<dyn FnOnce(&mut Value) + Send + 'a>;

pub(super) struct Saboteur {
    pub jetstream: jetstream::Context,
}

impl Saboteur {
    pub(super) async fn at(server: &TestServer) -> Self {
        let client = async_nats::connect(server.url()).await.unwrap();
        Self { jetstream: jetstream::new(client) }
    }

    pub(super) async fn publish(
        &self,
        subject: String,
        headers: HeaderMap,
        payload: Vec<u8>,
    ) -> u64 {
        let sent = self.jetstream.publish_with_headers(subject, headers, payload.into()).await;
        sent.unwrap().await.unwrap().sequence
    }

    pub(super) async fn purge(&self, subject: &str) {
        let stream = self.jetstream.get_stream("CB_MARKING").await.unwrap();
        stream.purge().filter(subject).await.unwrap();
    }

    /// Appends a record after the head: the head's record, changed by `change`.
    async fn forge(&self, id: &CaseId, branch: &str, change: impl FnOnce(&mut Value)) -> u64 {
        let stream = self.jetstream.get_stream("CB_LOG").await.unwrap();
        let filter = format!("cb.workflows.press.events.*.{id}");
        let head = stream.get_last_raw_message_by_subject(&filter).await.unwrap();
        let mut record: Value = serde_json::from_slice(&head.payload).unwrap();
        let hash = hex(&Sha256::digest(&head.payload));
        let whole: Record = serde_json::from_slice(&head.payload).unwrap();
        // In the form of format 1, which names each token.
        record["marking"] = json!(whole.marking);
        for entry in record["marking"].as_array_mut().unwrap() {
            let known = entry["sequence"].as_u64();
            entry["sequence"] = json!(known.unwrap_or(head.sequence));
        }
        let own = Link {
            sequence: LogSequence::new(head.sequence).unwrap(),
            id: IdHash::of(&whole.firing),
        };
        change_links(&mut record, |links| links.push(own));
        record["firing"] = json!(format!("forged-{}", head.sequence));
        record["kind"] = json!("paused");
        record["status"] = json!("paused");
        record["previous"] = json!(head.sequence);
        record["previous_hash"] = json!(hash);
        for field in ["transition", "consumed", "read", "removed", "produced", "history_bases"] {
            record.as_object_mut().unwrap().remove(field);
        }
        change(&mut record);
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Expected-Last-Subject-Sequence", head.sequence.to_string());
        headers.insert("Nats-Expected-Last-Subject-Sequence-Subject", filter);
        let subject = format!("cb.workflows.press.events.{branch}.{id}");
        self.publish(subject, headers, record.to_string().into_bytes()).await
    }

    /// Plants a fault in a case, at one of its tokens.
    pub(super) async fn plant(
        &self,
        fault: Fault,
        id: &CaseId,
        token: &Token,
        random: &mut StdRng,
    ) -> Expected {
        let right = token.place.as_str();
        let others: Vec<_> = PLACES.into_iter().filter(|place| *place != right).collect();
        let other = others.choose(random).unwrap();
        let (kind, sequence, place) = match fault.is_in() {
            FindingIn::View => self.plant_in_view(fault, id, token, other).await,
            FindingIn::Log => self.plant_in_log(fault, id, token, other).await,
        };
        Expected { fault, kind, sequence, place }
    }

    async fn plant_in_view(&self, fault: Fault, id: &CaseId, token: &Token, other: &str) -> Found {
        let (right, name) = (token.place.as_str(), token.id.as_str());
        let (here, elsewhere) = (at(right, name), at(other, name));
        let (headers, payload) = self.register(&here).await;
        let mut sequence = token.nats_sequence.unwrap().get();
        let (kind, place) = match fault {
            Fault::ViewLost => {
                self.purge(&here).await;
                (FindingKind::TokenLost, right)
            }
            Fault::ViewDoubled => {
                self.publish(elsewhere, headers, payload).await;
                (FindingKind::TokenDoubled, other)
            }
            Fault::ViewMisplaced => {
                self.purge(&here).await;
                self.publish(elsewhere, headers, payload).await;
                (FindingKind::TokenMisplaced, other)
            }
            Fault::ViewChanged => {
                let mut changed: Value = serde_json::from_slice(&payload).unwrap();
                changed["data"]["sheets"] = json!(4);
                self.publish(here, headers, changed.to_string().into_bytes()).await;
                (FindingKind::TokenChanged, right)
            }
            Fault::ViewUnknown => {
                self.publish(at(right, &format!("{name}99")), headers, payload).await;
                sequence = self.head(id).await;
                (FindingKind::TokenUnknown, right)
            }
            Fault::ViewRubbish => {
                self.publish(here, HeaderMap::new(), b"rubbish".to_vec()).await;
                (FindingKind::TokenChanged, right)
            }
            _ => unreachable!("in the log"),
        };
        (kind, sequence, Some(place.to_owned()))
    }

    async fn plant_in_log(&self, fault: Fault, id: &CaseId, token: &Token, other: &str) -> Found {
        let (right, name) = (token.place.as_str(), token.id.as_str());
        let mut branch = "lifecycle";
        let (_, payload) = self.register(&at(right, name)).await;
        let (kind, place, change): (_, _, Change<'_>) = match fault {
            Fault::LogLost => {
                let lose = |record: &mut Value| drop(taken(record, name));
                (FindingKind::TokenLost, Some(right), Box::new(lose))
            }
            Fault::LogDoubled => {
                let double = |record: &mut Value| twin(record, name, "place", other);
                (FindingKind::TokenDoubled, Some(other), Box::new(double))
            }
            Fault::LogMade => {
                let new = format!("{name}99");
                let make = move |record: &mut Value| twin(record, name, "token", &new);
                (FindingKind::TokenDoubled, Some(right), Box::new(make))
            }
            Fault::LogMisplaced => {
                let misplace = |record: &mut Value| {
                    let entry = entry(record, name);
                    record["marking"][entry]["place"] = json!(other);
                };
                (FindingKind::TokenMisplaced, Some(other), Box::new(misplace))
            }
            Fault::LogGivenElsewhere => {
                branch = "transitions";
                let token: Value = serde_json::from_slice(&payload).unwrap();
                let fire = move |record: &mut Value| give(record, token, right, other);
                let (kind, place) = match right == "shelf" {
                    true if other == "sheet" => unreachable!("not chosen"),
                    true => (FindingKind::TokenMisplaced, other),
                    false => (FindingKind::FiringImpossible, right),
                };
                (kind, Some(place), Box::new(fire))
            }
            Fault::LogOtherHash => {
                let change = |record: &mut Value| record["previous_hash"] = json!("0".repeat(64));
                (FindingKind::RecordChanged, None, Box::new(change))
            }
            Fault::LogMissing => {
                let skip = |record: &mut Value| {
                    record["previous"] = json!(record["previous"].as_u64().unwrap() - 1);
                };
                (FindingKind::RecordMissing, None, Box::new(skip))
            }
            Fault::LogRubbish => {
                let subject = format!("cb.workflows.press.events.transitions.{id}");
                let sequence = self.publish(subject, HeaderMap::new(), b"rubbish".to_vec()).await;
                return (FindingKind::RecordUnreadable, sequence, None);
            }
            Fault::LogIdTwice => {
                let first = self.first_id(id).await;
                let again = move |record: &mut Value| record["firing"] = json!(first);
                (FindingKind::IdDoubled, None, Box::new(again))
            }
            Fault::LogListWrong => {
                let leave_out = |record: &mut Value| {
                    change_links(record, |links| {
                        links.remove(0);
                    });
                };
                (FindingKind::RecordInconsistent, None, Box::new(leave_out))
            }
            _ => unreachable!("in the view"),
        };
        (kind, self.forge(id, branch, change).await, place.map(str::to_owned))
    }

    /// The product's headers and the contents of a message of the view.
    async fn register(&self, subject: &str) -> (HeaderMap, Vec<u8>) {
        let stream = self.jetstream.get_stream("CB_MARKING").await.unwrap();
        let stored = stream.get_last_raw_message_by_subject(subject).await.unwrap();
        let mut headers = HeaderMap::new();
        for name in ["Petrel-Format", "Petrel-Case", "Petrel-Revision"] {
            headers.insert(name, stored.headers.get(name).unwrap().as_str());
        }
        (headers, stored.payload.to_vec())
    }

    /// The firing id of a case's first record.
    async fn first_id(&self, id: &CaseId) -> String {
        let stream = self.jetstream.get_stream("CB_LOG").await.unwrap();
        let subject = format!("cb.workflows.press.events.lifecycle.{id}");
        let first = stream.get_first_raw_message_by_subject(&subject, 1).await.unwrap();
        let record: Value = serde_json::from_slice(&first.payload).unwrap();
        record["firing"].as_str().unwrap().to_owned()
    }

    async fn head(&self, id: &CaseId) -> u64 {
        let stream = self.jetstream.get_stream("CB_LOG").await.unwrap();
        let filter = format!("cb.workflows.press.events.*.{id}");
        stream.get_last_raw_message_by_subject(&filter).await.unwrap().sequence
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Subject of a token in the view.
pub(super) fn at(place: &str, token: &str) -> String {
    format!("cb.workflows.press.places.{place}.tokens.{token}")
}

/// Index of the token's entry in a record's marking.
fn entry(record: &Value, token: &str) -> usize {
    let entries = record["marking"].as_array().unwrap();
    entries.iter().position(|entry| entry["token"] == token).unwrap()
}

/// Takes the token's entry out of a record's marking.
fn taken(record: &mut Value, token: &str) -> Value {
    let entry = entry(record, token);
    record["marking"].as_array_mut().unwrap().remove(entry)
}

/// Adds the token's entry to a record's marking once more, with another value in a field.
fn twin(record: &mut Value, token: &str, field: &str, value: &str) {
    let entry = entry(record, token);
    let mut twin = record["marking"][entry].clone();
    twin[field] = json!(value);
    record["marking"].as_array_mut().unwrap().push(twin);
}

/// Makes it a firing that gives its token elsewhere. The record agrees with itself: only
/// firing it again shows the fault.
fn give(record: &mut Value, mut token: Value, from: &str, to: &str) {
    let name = token["id"].as_str().unwrap().to_owned();
    record["kind"] = json!("fired");
    record["status"] = json!("running");
    record["transition"] = json!("unpress");
    record["consumed"] = json!([{"token": name, "place": from}]);
    token["place"] = json!(to);
    record["produced"] = json!([token]);
    let mut moved = taken(record, &name);
    moved["place"] = json!(to);
    moved.as_object_mut().unwrap().remove("sequence");
    record["marking"].as_array_mut().unwrap().push(moved);
}

/// Changes the list of earlier records of a record.
fn change_links(record: &mut Value, change: impl FnOnce(&mut Vec<Link>)) {
    let mut whole: Record = serde_json::from_value(record.clone()).unwrap();
    change(&mut whole.recent);
    let links = serde_json::to_value(&whole).unwrap()["links"].take();
    record["links"] = links;
}
