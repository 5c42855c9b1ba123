//! Appending to a case's log, and reading its head and single records.

use super::{
    Behaviour, behaviour,
    fixture::{
        Log, Writer, assert_lost, at, beyond, case, definition, last_of, put, record, workflow,
    },
};
use crate::{
    models::{CaseId, LogSequence, RecordKind, WorkflowId},
    storage::{AppendOptions, Consistency, LogRange, LogScope, StorageError},
};
use futures::TryStreamExt;

/// The behaviours of this module.
pub(super) const BEHAVIOURS: &[Behaviour<Log>] = &[
    behaviour!(an_append_happens_under_the_expected_sequence_only),
    behaviour!(a_lost_race_stores_nothing),
    behaviour!(both_branches_of_a_case_share_one_fence),
    behaviour!(a_record_of_the_most_bytes_is_stored_and_a_larger_one_is_not),
    behaviour!(the_head_is_what_was_appended_last),
    behaviour!(a_record_is_found_by_its_sequence_in_its_own_case_only),
    behaviour!(one_sequence_counts_records_and_definitions),
    behaviour!(unknown_cases_have_no_head_and_no_records),
    behaviour!(equal_bytes_have_equal_hashes),
];

const CONSISTENCIES: [Consistency; 2] = [Consistency::Strong, Consistency::Eventual];

async fn count(log: &Log, workflow: &WorkflowId, case: &CaseId) -> usize {
    let scope = LogScope::Case(workflow.clone(), case.clone());
    let records = log.history(scope, LogRange::ALL).await.expect("a history");
    records.try_collect::<Vec<_>>().await.expect("records").len()
}

/// No sequence expects that the case has no record; any other expects that very one.
pub async fn an_append_happens_under_the_expected_sequence_only(log: &Log) {
    let (id, case) = (workflow("append-cas"), case("c"));
    let created = record(&id, &case, RecordKind::Created, "f-1");
    for wrong in [1, 7, 1_000_000].map(at) {
        assert_lost(log.append(&created, AppendOptions::after(wrong)).await, wrong);
    }
    let first = log.append(&created, AppendOptions::after(None)).await.unwrap();
    let fired = record(&id, &case, RecordKind::Fired, "f-2");
    let first = first.sequence;
    let others = [first.minus(1), Some(first.next()), Some(beyond(first, 1_000_000))];
    for wrong in [None].into_iter().chain(others) {
        assert_lost(log.append(&fired, AppendOptions::after(wrong)).await, wrong);
    }
    let second = log.append(&fired, AppendOptions::after(first)).await.unwrap();
    assert!(second.sequence > first);
    assert_lost(log.append(&fired, AppendOptions::after(first)).await, first);
    assert_eq!(count(log, &id, &case).await, 2);
}

/// A lost record is neither in the log nor in its last sequence nor a head.
pub async fn a_lost_race_stores_nothing(log: &Log) {
    let (id, case) = (workflow("append-lost"), case("c"));
    let mut writer = Writer::new(&id, &case);
    let (last, kept) = writer.write(log, RecordKind::Created).await;
    for round in 0..20 {
        let lost = record(&id, &case, RecordKind::Fired, &format!("lost-{round}"));
        assert_lost(log.append(&lost, AppendOptions::after(None)).await, None);
    }
    let head = log.head(&id, &case, Consistency::Strong).await.unwrap().unwrap();
    assert_eq!((head.sequence, head.value), (last, kept));
    assert_eq!(count(log, &id, &case).await, 1);
    let (_, next) = writer.write(log, RecordKind::Fired).await;
    assert_eq!(next.previous, Some(last));
}

/// The limit is that of `max_message`, and some room may be left beside it.
pub async fn a_record_of_the_most_bytes_is_stored_and_a_larger_one_is_not(log: &Log) {
    let (id, case) = (workflow("append-size"), case("c"));
    let most = log.max_message();
    let of_size = |size: usize| {
        let mut record = record(&id, &case, RecordKind::Created, "f-1");
        record.metadata.insert("x".to_owned(), "".into());
        let bare = serde_json::to_vec(&record).map_or(0, |bytes| bytes.len());
        record.metadata.insert("x".to_owned(), "x".repeat(size - bare).into());
        record
    };
    let refused = log.append(&of_size(most + 4_096), AppendOptions::after(None)).await;
    assert!(matches!(refused, Err(StorageError::TooLarge { .. })), "{refused:?}");
    assert_eq!(count(log, &id, &case).await, 0);
    let largest = of_size(most);
    log.append(&largest, AppendOptions::after(None)).await.unwrap();
    let head = log.head(&id, &case, Consistency::Strong).await.unwrap().unwrap();
    assert_eq!(head.value, largest);
    assert_eq!(count(log, &id, &case).await, 1);
}

/// A firing fails on a lifecycle record that it has not seen, and the other way round.
pub async fn both_branches_of_a_case_share_one_fence(log: &Log) {
    let (id, case) = (workflow("append-fence"), case("c"));
    let mut writer = Writer::new(&id, &case);
    let (created, _) = writer.write(log, RecordKind::Created).await;
    let (fired, _) = writer.write(log, RecordKind::Fired).await;
    let paused = record(&id, &case, RecordKind::Paused, "late");
    assert_lost(log.append(&paused, AppendOptions::after(created)).await, created);
    let (paused, _) = writer.write(log, RecordKind::Paused).await;
    let late = record(&id, &case, RecordKind::Fired, "late");
    assert_lost(log.append(&late, AppendOptions::after(fired)).await, fired);
    let other = super::fixture::case("other");
    let (free, _) = Writer::new(&id, &other).write(log, RecordKind::Created).await;
    assert!(free > paused, "another case has a fence of its own");
}

/// Reads of either consistency, where nothing lags, give it at once and whole.
pub async fn the_head_is_what_was_appended_last(log: &Log) {
    let (id, case) = (workflow("append-head"), case("c"));
    let mut writer = Writer::new(&id, &case);
    let kinds = [
        RecordKind::Created,
        RecordKind::Fired,
        RecordKind::Edited,
        RecordKind::Paused,
        RecordKind::Resumed,
        RecordKind::Fired,
        RecordKind::Cancelled,
    ];
    let begun = chrono::Utc::now() - chrono::TimeDelta::hours(1);
    for kind in kinds {
        let (sequence, written) = writer.write(log, kind).await;
        let head = log.head(&id, &case, Consistency::Strong).await.unwrap().unwrap();
        assert_eq!((head.sequence, &head.value), (sequence, &written));
        assert!(head.timestamp > begun && !head.subject.is_empty(), "{head:?}");
        let head = log.head(&id, &case, Consistency::Eventual).await.unwrap().unwrap();
        assert!(head.sequence <= sequence, "no read sees what is not there");
    }
}

/// The sequence of another case's record, or of no record, gives none.
pub async fn a_record_is_found_by_its_sequence_in_its_own_case_only(log: &Log) {
    let (id, mine, other) = (workflow("append-record"), case("c"), case("d"));
    let elsewhere = workflow("append-record2");
    let defined = put(log, &definition(&id, &["p"]), 1, None).await.sequence;
    let mut writer = Writer::new(&id, &mine);
    let (first, created) = writer.write(log, RecordKind::Created).await;
    let (others, _) = Writer::new(&id, &other).write(log, RecordKind::Created).await;
    let (namesake, _) = Writer::new(&elsewhere, &mine).write(log, RecordKind::Created).await;
    let (second, fired) = writer.write(log, RecordKind::Fired).await;
    for (sequence, expected) in [(first, created), (second, fired)] {
        let read = log.record(&id, &mine, sequence).await.unwrap().unwrap();
        assert_eq!((read.sequence, read.value), (sequence, expected));
    }
    for sequence in [defined, others, namesake, beyond(second, 1_000_000), at(u64::MAX)] {
        let read = log.record(&id, &mine, sequence).await.unwrap();
        assert_eq!(read, None, "at {sequence}");
    }
}

/// Definitions and records share the log's sequence, and the last one is told.
pub async fn one_sequence_counts_records_and_definitions(log: &Log) {
    let (id, case) = (workflow("append-one"), case("c"));
    let before = last_of(log.as_ref()).await;
    let defined = put(log, &definition(&id, &["p"]), 1, None).await.sequence;
    assert!(Some(defined) > before);
    let mut writer = Writer::new(&id, &case);
    let mut last = defined;
    for kind in [RecordKind::Created, RecordKind::Fired, RecordKind::Paused] {
        let (sequence, _) = writer.write(log, kind).await;
        assert!(sequence > last, "{sequence} after {last}");
        assert!(last_of(log.as_ref()).await >= Some(sequence));
        last = sequence;
    }
    let again = put(log, &definition(&id, &["p", "q"]), 2, defined).await.sequence;
    assert!(again > last, "{again} after {last}");
}

/// Absence is an answer and no error.
pub async fn unknown_cases_have_no_head_and_no_records(log: &Log) {
    let (id, none) = (workflow("append-unknown"), case("none"));
    for consistency in CONSISTENCIES {
        assert_eq!(log.head(&id, &none, consistency).await.unwrap(), None);
    }
    assert_eq!(log.record(&id, &none, LogSequence::FIRST).await.unwrap(), None);
    assert_eq!(count(log, &id, &none).await, 0);
}

/// The hash that an append answers is the one that reads answer, and tells records apart.
pub async fn equal_bytes_have_equal_hashes(log: &Log) {
    let (id, case) = (workflow("append-hash"), case("c"));
    let first = record(&id, &case, RecordKind::Created, "f-1");
    let one = log.append(&first, AppendOptions::after(None)).await.unwrap();
    let second = record(&id, &case, RecordKind::Fired, "f-2");
    let two = log.append(&second, AppendOptions { expected: Some(one.sequence) }).await.unwrap();
    for appended in [&one, &two] {
        let read = log.record(&id, &case, appended.sequence).await.unwrap().unwrap();
        assert_eq!((&read.hash, &read.subject), (&appended.hash, &appended.subject));
        let hexadecimal = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
        assert!(read.hash.len() == 64 && read.hash.chars().all(hexadecimal), "{}", read.hash);
    }
    assert_ne!(one.hash, two.hash);
    let head = log.head(&id, &case, Consistency::Strong).await.unwrap().unwrap();
    assert_eq!(head.hash, two.hash);
}
