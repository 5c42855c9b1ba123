//! Samples of format 1, as a server holds them, and this version's reading of them.

mod unreadable;

use std::{path::PathBuf, sync::Arc};

use async_nats::{HeaderMap, jetstream};
use futures::TryStreamExt;
use serde_json::{Value, json};
use stormpetrel::{
    engine,
    models::{
        Case, CaseStatus, LogSequence, Record, RecordKind, Stored, Token, TokenId, ViewSequence,
    },
    petrel::{ExpectedVersion, Fire, Petrel},
    storage::{
        AppendOptions, CaseLog, DefinitionVersion, LogRange, LogScope, PutOptions, ReadPath,
        RegisterState, RegisterVersion, TokenView, ViewContent, ViewWrite, WriteLevel,
        WriteOptions,
        nats::{NatsStorage, NatsStorageConfig},
    },
    testing::TestServer,
};

use crate::support::{at, case, config, definition, place, transition, workflow};

/// The records of order-1042, in their order; sequences 2 to 9.
const COMPLETED: [(&str, &str); 8] = [
    ("created", "lifecycle"),
    ("fired", "transitions"),
    ("edited-added", "lifecycle"),
    ("edited-data", "lifecycle"),
    ("paused", "lifecycle"),
    ("resumed", "lifecycle"),
    ("fired-read", "transitions"),
    ("completed", "transitions"),
];

/// The records of order-1043; sequences 10 and 11.
const CANCELLED: [(&str, &str); 2] =
    [("created-without-data", "lifecycle"), ("cancelled", "lifecycle")];

fn sample(name: &str) -> Vec<u8> {
    let mut path = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    path.extend(["tests", "fixtures", "format-1", &format!("{name}.json")]);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn value(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

/// A server, and both ways to it: messages published by hand, and reads of the storage.
struct System {
    _server: TestServer,
    raw: jetstream::Context,
    storage: Arc<NatsStorage>,
    url: String,
}

impl System {
    async fn start() -> Self {
        let server = TestServer::start().await;
        let url = server.url();
        let storage = Arc::new(NatsStorage::connect(config(&url)).await.unwrap());
        let raw = jetstream::new(async_nats::connect(&url).await.unwrap());
        Self { _server: server, raw, storage, url }
    }

    async fn publish(&self, subject: &str, headers: HeaderMap, payload: Vec<u8>) -> u64 {
        let subject = format!("cb.workflows.{subject}");
        let sent = self.raw.publish_with_headers(subject, headers, payload.into()).await.unwrap();
        sent.await.unwrap().sequence
    }

    async fn publish_sample(&self, subject: &str, name: &str) -> u64 {
        self.publish(subject, HeaderMap::new(), sample(name)).await
    }

    /// The streams that a petrel of format 1 has left on this server.
    async fn of_format_1() -> Self {
        let system = Self::start().await;
        let mut stream = system.raw.get_stream("CB_LOG").await.unwrap();
        let mut settings = stream.info().await.unwrap().config.clone();
        settings.metadata = [("stormpetrel.format".to_owned(), "1".to_owned())].into();
        system.raw.update_stream(settings).await.unwrap();
        let storage = Arc::new(NatsStorage::connect(config(&system.url)).await.unwrap());
        Self { storage, ..system }
    }

    /// The log of the samples, which a petrel of format 1 has left on this server.
    async fn with_samples() -> Self {
        let system = Self::of_format_1().await;
        assert_eq!(system.publish_sample("orders.definition", "definition").await, 1);
        for (id, records) in [("order-1042", &COMPLETED[..]), ("order-1043", &CANCELLED[..])] {
            for (name, branch) in records {
                system.publish_sample(&format!("orders.events.{branch}.{id}"), name).await;
            }
        }
        system
    }

    async fn history(&self, id: &str) -> Vec<Stored<Record>> {
        let scope = LogScope::Case(workflow("orders"), case(id));
        self.storage.history(scope, LogRange::ALL).await.unwrap().try_collect().await.unwrap()
    }

    /// A message of a stream, as it is stored.
    async fn stored(&self, stream: &str, sequence: u64) -> Vec<u8> {
        let stream = self.raw.get_stream(stream).await.unwrap();
        stream.get_raw_message(sequence).await.unwrap().payload.to_vec()
    }
}

fn token(number: u64) -> TokenId {
    TokenId::of_case(&workflow("orders").tag(), &case("order-1042"), number)
}

#[tokio::test]
async fn the_samples_of_format_1_are_read_as_what_they_say() {
    let system = System::with_samples().await;
    let log = system.history("order-1042").await;
    let kinds: Vec<_> = log.iter().map(|record| record.value.kind).collect();
    use RecordKind::{Cancelled, Created, Edited, Fired, Paused, Resumed};
    assert_eq!(kinds, [Created, Fired, Edited, Edited, Paused, Resumed, Fired, Fired]);
    let packed = &log[6].value;
    assert_eq!((packed.format, packed.definition.get(), packed.tokens_made), (1, 1, 4));
    assert_eq!(packed.transition, Some(transition("pack")));
    assert_eq!(packed.by, None);
    assert_eq!(packed.time.to_rfc3339(), "2026-03-14T09:50:00.250+00:00");
    assert_eq!(
        (&packed.consumed[0].token, &packed.consumed[0].place),
        (&token(3), &place("packing"))
    );
    assert_eq!((&packed.read[0].token, &packed.read[0].place), (&token(2), &place("payment")));
    let marking: Vec<_> =
        packed.marking.0.iter().map(|e| (e.token.clone(), e.place.clone(), e.sequence)).collect();
    let expected = [
        (token(2), place("payment"), Some(at(3))),
        (token(4), place("notes"), Some(at(4))),
        (token(3), place("packing"), None),
    ];
    assert_eq!(marking, expected);
    let moved = &packed.produced[0];
    assert_eq!(moved.data["customer"], "Žofie Nováková");
    assert_eq!((&moved.data["total"], &moved.data["coupon"]), (&json!(129.9), &Value::Null));
    assert_eq!((moved.history_total, moved.nats_sequence), (2, None));
    let event = &moved.history[0];
    assert_eq!((&event.from, &event.to), (&place("received"), &place("packing")));
    assert_eq!(
        (event.triggered_by.as_deref(), event.sequence),
        (Some("clerk@example.com"), Some(at(3)))
    );
    assert_eq!(event.metadata["desk"], 7);
    assert_eq!(
        (log[4].value.status, &log[4].value.metadata["reason"]),
        (CaseStatus::Paused, &json!("lunch"))
    );
    let shipped = &log[7].value;
    assert_eq!(shipped.status, CaseStatus::Completed);
    assert_eq!(
        (&shipped.removed[0].token, &shipped.removed[0].place),
        (&token(4), &place("notes"))
    );
    let cancelled = system.history("order-1043").await;
    assert_eq!(cancelled[1].value.kind, Cancelled);
    assert_eq!(cancelled[1].value.status, CaseStatus::Cancelled);
    assert!(cancelled[1].value.marking.0.is_empty());

    let stored = system.storage.definition(&workflow("orders"), DefinitionVersion::Latest).await;
    let stored = stored.unwrap().unwrap();
    assert_eq!((stored.version.get(), stored.sequence.get()), (1, 1));
    assert_eq!(
        serde_json::to_value(&stored.definition).unwrap(),
        value(&sample("definition"))["definition"]
    );
}

/// Checks that each record follows the one before it, hashes included, and that today's engine
/// accepts it.
#[tokio::test]
async fn a_case_of_format_1_is_replayed_and_goes_on() {
    let system = System::with_samples().await;
    let petrel = Petrel::new(system.storage.clone());
    for id in ["order-1042", "order-1043"] {
        let mut replayed: Option<Case> = None;
        for record in system.history(id).await {
            replayed = Some(engine::apply(replayed.as_ref(), &record).unwrap());
        }
        let replayed = replayed.unwrap();
        let loaded = petrel.case(&workflow("orders"), &case(id)).await.unwrap();
        assert_eq!(loaded.marking, replayed.marking);
        assert_eq!((loaded.status, loaded.sequence), (replayed.status, replayed.sequence));
        assert_eq!(loaded.head_hash, replayed.head_hash);
    }
    // A third case, cut off before it was shipped, is shipped by this version.
    let system = System::of_format_1().await;
    system.publish_sample("orders.definition", "definition").await;
    for (name, branch) in &COMPLETED[..7] {
        system.publish_sample(&format!("orders.events.{branch}.order-1042"), name).await;
    }
    let petrel = Petrel::new(system.storage.clone());
    let repaired = petrel.rebuild(&|_, _| {}).await.unwrap();
    assert_eq!((repaired.mended, repaired.failed), (3, 0));
    let ship = Fire::case(workflow("orders"), case("order-1042"), transition("ship"));
    let shipped = petrel.fire(ship).await.unwrap();
    let expected = value(&sample("completed"));
    let record = serde_json::to_value(&shipped.record.value).unwrap();
    for field in
        ["marking", "consumed", "removed", "status", "tokens_made", "previous", "previous_hash"]
    {
        assert_eq!(record[field], expected[field], "{field}");
    }
    assert_eq!(record["produced"][0]["data"], expected["produced"][0]["data"]);
}

/// Programs that only know format 1 write into the log as well, until an operator says that there are none.
#[tokio::test]
async fn a_case_goes_on_in_format_2_once_the_log_allows_it() {
    let system = System::of_format_1().await;
    system.publish_sample("orders.definition", "definition").await;
    for (name, branch) in &COMPLETED[..6] {
        system.publish_sample(&format!("orders.events.{branch}.order-1042"), name).await;
    }
    let petrel = Petrel::new(system.storage.clone());
    petrel.rebuild(&|_, _| {}).await.unwrap();
    let fire = |name| Fire::case(workflow("orders"), case("order-1042"), transition(name));
    let by_itself = definition(json!({
        "id": "by-itself", "initial_place": "a", "places": [{"id": "a"}, {"id": "b"}],
        "transitions": [{"id": "go", "from_places": ["a"], "to_place": "b", "auto": true}]
    }));
    let refused = petrel.create_workflow(by_itself.clone(), ExpectedVersion::Any).await;
    let refused = refused.unwrap_err().to_string();
    assert!(
        refused.contains("transitions[0].auto") && refused.contains("petrel level 2"),
        "{refused}"
    );
    let packed = petrel.fire(fire("pack")).await.unwrap();
    let stored = value(&system.stored("CB_LOG", packed.record.sequence.get()).await);
    assert_eq!((&stored["format"], stored["marking"].is_array()), (&json!(1), true));
    assert_eq!(stored["consumed"][0]["token"], token(3).as_str());

    let raised = system.storage.raise_write_level(WriteLevel::SECOND).await.unwrap();
    assert_eq!(raised, Some(WriteLevel::FIRST));
    let second = Petrel::new(Arc::new(NatsStorage::connect(config(&system.url)).await.unwrap()));
    let shipped = second.fire(fire("ship")).await.unwrap();
    let stored = value(&system.stored("CB_LOG", shipped.record.sequence.get()).await);
    assert_eq!(stored["format"], 2);
    let number = token(3).number().unwrap();
    assert_eq!(stored["consumed"][0], json!([number, "packing"]));
    assert!(stored["marking"].is_object(), "{stored}");
    // Each reader has the same of both, from the start.
    let mut replayed: Option<Case> = None;
    let log = system.history("order-1042").await;
    assert_eq!(log.iter().map(|of| of.value.format).collect::<Vec<_>>(), [1, 1, 1, 1, 1, 1, 1, 2]);
    for record in &log {
        replayed = Some(engine::apply(replayed.as_ref(), record).unwrap());
    }
    let replayed = replayed.unwrap();
    for petrel in [&petrel, &second, &Petrel::new(system.storage.clone())] {
        let loaded = petrel.case(&workflow("orders"), &case("order-1042")).await.unwrap();
        assert_eq!((&loaded.marking, loaded.status), (&replayed.marking, CaseStatus::Completed));
        let repaired = petrel.rebuild(&|_, _| {}).await.unwrap();
        assert_eq!((repaired.mended, repaired.failed), (0, 0));
    }
    second.create_workflow(by_itself, ExpectedVersion::Any).await.unwrap();
}

#[tokio::test]
async fn what_was_read_of_format_1_is_stored_again_as_it_was() {
    let system = System::with_samples().await;
    let again = NatsStorage::connect(NatsStorageConfig {
        prefix: "again".to_owned(),
        log_stream: "AGAIN_LOG".to_owned(),
        marking_stream: "AGAIN_MARKING".to_owned(),
        ..config(&system.url)
    });
    let again = again.await.unwrap();
    let stored = system.storage.definition(&workflow("orders"), DefinitionVersion::Latest).await;
    let stored = stored.unwrap().unwrap();
    let first = PutOptions::default();
    let sequence = again.put_definition(&stored.definition, first).await.unwrap().sequence;
    assert_eq!(
        value(&system.stored("AGAIN_LOG", sequence.get()).await),
        value(&sample("definition"))
    );
    for (id, names) in [("order-1042", &COMPLETED[..]), ("order-1043", &CANCELLED[..])] {
        let mut last = AppendOptions::default();
        for (record, (name, _)) in system.history(id).await.iter().zip(names) {
            let appended = again.append(&record.value, last).await.unwrap().sequence;
            last.expected = Some(appended);
            let bytes = system.stored("AGAIN_LOG", appended.get()).await;
            assert_eq!(value(&bytes), value(&sample(name)), "{name}");
        }
    }
}

fn headers(name: &str) -> HeaderMap {
    let sample: serde_json::Map<String, Value> = serde_json::from_slice(&sample(name)).unwrap();
    let mut headers = HeaderMap::new();
    for (name, value) in &sample {
        headers.insert(name.as_str(), value.as_str().unwrap());
    }
    headers
}

#[tokio::test]
async fn a_token_of_the_view_is_read_and_written_as_format_1_has_it() {
    let system = System::start().await;
    let subject = format!("orders.places.packing.tokens.{}", token(3));
    let sequence = system.publish(&subject, headers("token-headers"), sample("token")).await;
    for path in [ReadPath::Direct, ReadPath::Consumer] {
        let read = system.storage.token(&workflow("orders"), &token(3), path.into()).await;
        let read: Token = read.unwrap().unwrap();
        assert!(read.nats_timestamp.is_some());
        let plain = Token { nats_timestamp: None, ..read };
        assert_eq!(serde_json::to_value(&plain).unwrap(), value(&sample("token")));
    }
    let read = system.storage.token(&workflow("orders"), &token(3), ReadPath::Direct.into()).await;
    let write = |expected, content| ViewWrite {
        workflow: workflow("orders"),
        case: case("order-1042"),
        place: place("packing"),
        token: token(3),
        expected: RegisterVersion::token(ViewSequence::new(expected).unwrap()),
        content,
    };
    let live = ViewContent::Live(Arc::new(read.unwrap().unwrap()));
    let now = WriteOptions::default();
    let outcomes = system.storage.write_views(vec![write(sequence, live)], now).await;
    assert!(outcomes[0].is_ok(), "{outcomes:?}");
    let stream = system.raw.get_stream("CB_MARKING").await.unwrap();
    let stored = stream.get_raw_message(sequence + 1).await.unwrap();
    assert_eq!(value(&stored.payload), value(&sample("token")));
    for (name, expected) in headers("token-headers").iter() {
        assert_eq!(stored.headers.get(name.clone()), expected.first(), "{name}");
    }
    let gone = ViewContent::Gone { revision: LogSequence::new(9), moved_to: None };
    system.storage.write_views(vec![write(sequence + 1, gone)], now).await;
    let stored = stream.get_raw_message(sequence + 2).await.unwrap();
    assert!(stored.payload.is_empty());
    for (name, expected) in headers("marker-headers").iter() {
        assert_eq!(stored.headers.get(name.clone()), expected.first(), "{name}");
    }
}

#[tokio::test]
async fn a_marker_of_format_1_says_that_the_token_is_gone() {
    let system = System::start().await;
    let subject = format!("orders.places.packing.tokens.{}", token(3));
    system.publish(&subject, headers("marker-headers"), Vec::new()).await;
    let register = system.storage.register(&workflow("orders"), &place("packing"), &token(3)).await;
    assert_eq!(register.unwrap().state, RegisterState::Gone { revision: LogSequence::new(9) });
    let read = system.storage.token(&workflow("orders"), &token(3), ReadPath::Direct.into()).await;
    assert_eq!(read.unwrap(), None);
}
