//! Records, tokens and definitions made by hand, and the questions that are asked of a store
//! again and again.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, SubsecRound, Utc};
use futures::{Stream, StreamExt};
use serde_json::{Map, Value, json};

pub(super) use super::view_fixture::{
    all_pages, assert_same, attempt, gone, ids, in_place, in_workflow, live, page, shift, these,
    write, written,
};
use crate::{
    models::{
        CaseId, CaseStatus, FORMAT_VERSION, FiringId, LogSequence, Marking, PlaceId, Record,
        RecordKind, Stored, StoredDefinition, Token, TokenId, Version, WorkflowDefinition,
        WorkflowId,
    },
    storage::{
        AppendOptions, CaseLog, PutOptions, ReadPath, Result, Storage, StorageError, TokenView,
    },
};

/// A log to be tested.
pub type Log = Arc<dyn CaseLog>;

/// A view to be tested.
pub type View = Arc<dyn TokenView>;

/// A store to be tested.
pub type Store = Arc<dyn Storage>;

pub(super) const PATHS: [ReadPath; 2] = [ReadPath::Direct, ReadPath::Consumer];

/// Longest time for anything promised to come.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// Time to wait for an item that must not come.
pub(super) const SILENCE: Duration = Duration::from_millis(50);

pub(super) fn workflow(id: &str) -> WorkflowId {
    WorkflowId::new(id).expect("the suite's own ids are valid")
}

pub(super) fn case(id: &str) -> CaseId {
    CaseId::new(id).expect("the suite's own ids are valid")
}

pub(super) fn place(id: &str) -> PlaceId {
    PlaceId::new(id).expect("the suite's own ids are valid")
}

pub(super) fn firing(id: &str) -> FiringId {
    FiringId::new(id).expect("the suite's own ids are valid")
}

/// The present time, in the precision that every store keeps.
pub(super) fn now() -> DateTime<Utc> {
    Utc::now().trunc_subsecs(6)
}

pub(super) fn token_id(workflow: &WorkflowId, case: &CaseId, number: u64) -> TokenId {
    TokenId::of_case(&workflow.tag(), case, number)
}

/// Names and data in any script, numbers at their edges, and nested or empty values.
pub(super) fn awkward() -> Value {
    json!({
        "": "an empty key",
        "scripts": "Grüße, 世界, שלום, مرحبا, ελληνικά, 👩‍👩‍👧‍👦, e\u{301}, \u{200b}\u{feff}",
        "controls": "\0\u{1}\t\r\n\u{7f}\u{2028}\\\"/",
        "subject.like > * $JS.API": ["NATS/1.0\r\nX: y\r\n\r\n", "PUB a 1\r\n"],
        "numbers": [0, -1, i64::MIN, i64::MAX, u64::MAX, 0.1, -0.0, 1e300, 5e-324, f64::MAX],
        "floats": [
            0.1 + 0.2, 1.0 / 3.0, 2.0_f64.sqrt(), 123_456_789.123_456_79, 4.35, 2.675,
            0.000_123_456_789_012_345_67, 1.797_693_134_862_315_7e308, 9.007_199_254_740_993e15,
            3.0e-20 / 7.0, 1e23, 8.41e21, 9.5e-7 / 3.0, 51.249_998_569_488_525
        ],
        "nested": {"a": {"b": {"c": [[], [[]], {}, {"d": null}]}}},
        "nothing": null,
        "truths": [true, false],
    })
}

/// Data of any kind.
pub(super) fn awkward_values() -> [Value; 6] {
    [awkward(), Value::Null, json!([]), json!("text"), json!(7), json!(false)]
}

/// About 200 kB of data.
pub(super) fn large() -> Value {
    json!({"text": "á🦜x\n".repeat(22_000), "list": (0..5_000).collect::<Vec<_>>()})
}

/// A definition with one place for each of `places`.
pub(super) fn definition(id: &WorkflowId, places: &[&str]) -> WorkflowDefinition {
    let places: Vec<_> = places.iter().map(|id| json!({ "id": id })).collect();
    let definition = json!({
        "id": id, "name": format!("Workflow {id}"), "initial_place": places[0]["id"],
        "places": places, "transitions": []
    });
    serde_json::from_value(definition).expect("the suite's own definitions are valid")
}

/// A sequence so many after another one.
pub(super) fn beyond(sequence: LogSequence, count: u64) -> LogSequence {
    at(sequence.get() + count)
}

/// The sequence of a number.
pub(super) fn at(number: u64) -> LogSequence {
    LogSequence::new(number).expect("no message is at 0")
}

/// Options of storing a version after the one at this sequence.
pub(super) fn version_after(version: u64, expected: impl Into<Option<LogSequence>>) -> PutOptions {
    let version = Version::new(version).expect("the suite's own versions are valid");
    PutOptions { version, expected: expected.into() }
}

/// The log's last sequence.
pub(super) async fn last_of(log: &(impl CaseLog + ?Sized)) -> Option<LogSequence> {
    log.last_sequence().await.expect("a log that answers")
}

pub(super) async fn put(
    log: &Log,
    definition: &WorkflowDefinition,
    version: u64,
    expected: impl Into<Option<LogSequence>>,
) -> StoredDefinition {
    let stored = log.put_definition(definition, version_after(version, expected)).await;
    stored.expect("a definition whose expected sequence is right is stored")
}

/// A record that says little.
pub(super) fn record(
    workflow: &WorkflowId,
    case: &CaseId,
    kind: RecordKind,
    firing_id: &str,
) -> Record {
    Record {
        format: FORMAT_VERSION,
        kind,
        workflow: workflow.clone(),
        case: case.clone(),
        definition: LogSequence::FIRST,
        time: now(),
        by: Some("conformance".to_owned()),
        firing: firing(firing_id),
        transition: None,
        consumed: Vec::new(),
        read: Vec::new(),
        removed: Vec::new(),
        given: Vec::new(),
        edited: Vec::new(),
        cascade: Vec::new(),
        produced: Vec::new(),
        history_bases: Default::default(),
        marking: Marking::default(),
        status: CaseStatus::Running,
        tokens_made: 0,
        incidents: Vec::new(),
        incidents_made: 0,
        raised: Vec::new(),
        timers: Vec::new(),
        timers_made: 0,
        items: Vec::new(),
        items_made: 0,
        work: None,
        paused: None,
        on_resume: Default::default(),
        elapsed: Vec::new(),
        incident: None,
        metadata: Map::new(),
        previous: None,
        previous_hash: None,
        request: None,
        seed: None,
        recent: Vec::new(),
        page: None,
        pages: Vec::new(),
        unlisted: None,
        tokens_hash: None,
        aside: Vec::new(),
        put_aside: Vec::new(),
        unknown: Vec::new(),
    }
}

/// Writer of one case, record after record.
#[derive(Debug, Clone)]
pub(super) struct Writer {
    pub workflow: WorkflowId,
    pub case: CaseId,
    pub last: Option<LogSequence>,
    last_hash: Option<String>,
    written: u64,
}

impl Writer {
    pub(super) fn new(workflow: &WorkflowId, case: &CaseId) -> Self {
        let (workflow, case) = (workflow.clone(), case.clone());
        Self { workflow, case, last: None, last_hash: None, written: 0 }
    }

    /// Appends one more record and returns it as the store must have it.
    pub(super) async fn write(&mut self, log: &Log, kind: RecordKind) -> (LogSequence, Record) {
        self.written += 1;
        let record = record(&self.workflow, &self.case, kind, &format!("f-{}", self.written));
        self.append(log, record).await
    }

    /// Appends this record after the last one.
    pub(super) async fn append(&mut self, log: &Log, mut record: Record) -> (LogSequence, Record) {
        record.previous = self.last;
        record.previous_hash = self.last_hash.take();
        let appended = log.append(&record, AppendOptions::after(self.last)).await;
        let appended = appended.expect("a record whose expected sequence is right is appended");
        let sequence = appended.sequence;
        assert!(Some(sequence) > self.last, "sequences grow: {appended:?} after {:?}", self.last);
        self.last = Some(sequence);
        self.last_hash = Some(appended.hash);
        (sequence, record)
    }
}

pub(super) fn token(
    workflow: &WorkflowId,
    case: &CaseId,
    number: u64,
    at: &PlaceId,
    data: Value,
) -> Token {
    Token {
        id: token_id(workflow, case, number),
        workflow: workflow.clone(),
        case: case.clone(),
        place: at.clone(),
        data,
        metadata: Map::new(),
        created_at: now(),
        updated_at: now(),
        history: Default::default(),
        history_total: 0,
        nats_sequence: LogSequence::new(number),
        nats_timestamp: None,
        nats_subject: None,
    }
}

pub(super) fn assert_lost<T: std::fmt::Debug>(
    outcome: Result<T>,
    expected: impl Into<Option<LogSequence>>,
) {
    let expected = expected.into();
    match outcome {
        Err(StorageError::LostRace { expected: said, .. }) => assert_eq!(said, expected),
        other => panic!("expected a lost race on sequence {expected:?}, got {other:?}"),
    }
}

/// The next item, which must come.
pub(super) async fn next<S>(records: &mut S) -> Stored<Record>
where
    S: Stream<Item = Result<Stored<Record>>> + Unpin,
{
    let next = tokio::time::timeout(PATIENCE, records.next()).await;
    let next = next.unwrap_or_else(|_| panic!("no record within {PATIENCE:?}"));
    next.expect("a watch ends only when it is dropped").expect("a record")
}

/// Returns true if nothing comes for a moment.
pub(super) async fn is_silent<S>(records: &mut S) -> bool
where
    S: Stream<Item = Result<Stored<Record>>> + Unpin,
{
    tokio::time::timeout(SILENCE, records.next()).await.is_err()
}
