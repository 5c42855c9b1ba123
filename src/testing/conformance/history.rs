//! Reading the log from a sequence to its end.

use futures::{StreamExt, TryStreamExt};

use super::{
    Behaviour, behaviour,
    fixture::{Log, Writer, at, beyond, case, definition, large, last_of, put, record, workflow},
};
use crate::{
    models::{CaseStatus, LogSequence, Record, RecordKind, Stored, WorkflowId},
    storage::{LogRange, LogScope},
};

/// The behaviours of this module.
pub(super) const BEHAVIOURS: &[Behaviour<Log>] = &[
    behaviour!(each_scope_has_its_own_records_in_order),
    behaviour!(a_history_begins_at_the_sequence_asked_for),
    behaviour!(many_lifecycles_come_whole_from_any_sequence),
    behaviour!(a_history_ends_at_what_was_last_when_it_was_asked_for),
    behaviour!(a_long_history_comes_whole),
    behaviour!(a_history_of_large_records_comes_whole),
    behaviour!(the_history_of_what_is_unknown_is_empty),
    behaviour!(statuses_are_those_of_the_records),
    behaviour!(the_heads_of_cases_are_the_last_records_of_each),
];

async fn read(log: &Log, scope: LogScope, range: LogRange) -> Vec<Stored<Record>> {
    let records = log.history(scope, range).await.expect("a history");
    let records: Vec<_> = records.try_collect().await.expect("records");
    assert!(records.is_sorted_by(|one, next| one.sequence < next.sequence), "in order, once each");
    records
}

async fn sequences(log: &Log, scope: LogScope, range: LogRange) -> Vec<LogSequence> {
    read(log, scope, range).await.into_iter().map(|record| record.sequence).collect()
}

fn of(workflow: &WorkflowId, records: Vec<Stored<Record>>) -> Vec<LogSequence> {
    let ours = records.into_iter().filter(|record| record.value.workflow == *workflow);
    ours.map(|record| record.sequence).collect()
}

/// Every scope has its own records whole, nothing more and nothing less: all, one workflow's,
/// lifecycles, one case's.
pub async fn each_scope_has_its_own_records_in_order(log: &Log) {
    let (id, other) = (workflow("hist-scope"), workflow("hist-scope-2"));
    put(log, &definition(&id, &["p"]), 1, None).await;
    let mut writers: Vec<_> = ["a", "a-1", "b"].map(|c| Writer::new(&id, &case(c))).to_vec();
    let mut others = Writer::new(&other, &case("a"));
    let kinds = [RecordKind::Created, RecordKind::Fired, RecordKind::Edited, RecordKind::Fired];
    let mut written = Vec::new();
    for kind in kinds {
        for writer in &mut writers {
            let (sequence, record) = writer.write(log, kind).await;
            written.push((sequence, record));
        }
        others.write(log, kind).await;
    }
    let everything: Vec<_> = written.iter().map(|(sequence, _)| *sequence).collect();
    let workflow = read(log, LogScope::Workflow(id.clone()), LogRange::ALL).await;
    let values: Vec<_> = workflow.iter().map(|r| (r.sequence, r.value.clone())).collect();
    assert_eq!(values, written);
    assert_eq!(of(&id, read(log, LogScope::All, LogRange::ALL).await), everything);
    for writer in &writers {
        let scope = LogScope::Case(id.clone(), writer.case.clone());
        let mine = written.iter().filter(|(_, record)| record.case == writer.case);
        let mine: Vec<_> = mine.map(|(sequence, _)| *sequence).collect();
        assert_eq!(sequences(log, scope, LogRange::ALL).await, mine);
        let last = log.last_of_lifecycle(&id, &writer.case).await.unwrap();
        let of_case = written
            .iter()
            .rfind(|(_, record)| record.case == writer.case && record.kind != RecordKind::Fired);
        assert_eq!(last.map(|last| last.sequence), of_case.map(|(sequence, _)| *sequence));
    }
    let lifecycle = written.iter().filter(|(_, record)| record.kind != RecordKind::Fired);
    let lifecycle: Vec<_> = lifecycle.map(|(sequence, _)| *sequence).collect();
    assert_eq!(
        sequences(log, LogScope::Lifecycles(Some(id.clone())), LogRange::ALL).await,
        lifecycle
    );
    assert_eq!(of(&id, read(log, LogScope::Lifecycles(None), LogRange::ALL).await), lifecycle);
    let told = log.lifecycles().await.unwrap();
    let told: Vec<_> = told.try_collect().await.unwrap();
    let told = told.into_iter().filter(|one| one.workflow == id);
    let told: Vec<_> = told.map(|one| (one.sequence, one.case)).collect();
    let cases = written.iter().filter(|(sequence, _)| lifecycle.contains(sequence));
    let cases: Vec<_> = cases.map(|(sequence, record)| (*sequence, record.case.clone())).collect();
    assert_eq!(told, cases, "without reading them");
}

/// Lifecycles of more cases than are read one by one, with other records between them.
pub async fn many_lifecycles_come_whole_from_any_sequence(log: &Log) {
    let (id, other) = (workflow("hist-lives"), workflow("hist-lives-2"));
    let mut created = Vec::new();
    for number in 0..150 {
        let mut writer = Writer::new(&id, &case(&format!("c-{number}")));
        created.push(writer.write(log, RecordKind::Created).await.0);
        if number % 7 == 0 {
            writer.write(log, RecordKind::Fired).await;
            let mut other = Writer::new(&other, &writer.case);
            other.write(log, RecordKind::Created).await;
        }
    }
    let scope = LogScope::Lifecycles(Some(id));
    for begin in [0, 1, 63, 64, 65, 86, 149] {
        for from in [created[begin], created[begin].next()] {
            let expected = created.iter().copied().filter(|sequence| *sequence >= from);
            let expected: Vec<_> = expected.collect();
            assert_eq!(
                sequences(log, scope.clone(), LogRange::from(from)).await,
                expected,
                "from {from}"
            );
        }
    }
    assert_eq!(sequences(log, scope, LogRange::ALL).await, created);
}

/// The record at that sequence is included; none and 1 are the beginning; the future is empty.
pub async fn a_history_begins_at_the_sequence_asked_for(log: &Log) {
    let (id, c) = (workflow("hist-from"), case("c"));
    let mut writer = Writer::new(&id, &c);
    let mut all = Vec::new();
    for _ in 0..10 {
        all.push(writer.write(log, RecordKind::Fired).await.0);
        all.push(writer.write(log, RecordKind::Edited).await.0);
    }
    for scope in
        [LogScope::Case(id.clone(), c.clone()), LogScope::Workflow(id.clone()), LogScope::All]
    {
        let ours = async |range| of(&id, read(log, scope.clone(), range).await);
        for (number, sequence) in all.iter().enumerate() {
            assert_eq!(
                ours(LogRange::from(*sequence)).await,
                all[number..],
                "{scope:?} from {sequence}"
            );
        }
        for range in [LogRange::ALL, LogRange::from(LogSequence::FIRST)] {
            assert_eq!(ours(range).await, all, "{scope:?} in {range:?}");
        }
        for from in [beyond(all[0], 1_000_000), at(u64::MAX)] {
            assert!(
                sequences(log, scope.clone(), LogRange::from(from)).await.is_empty(),
                "from {from}"
            );
        }
    }
}

/// Later records are not in it, even before the first record is taken.
pub async fn a_history_ends_at_what_was_last_when_it_was_asked_for(log: &Log) {
    let (id, c) = (workflow("hist-end"), case("c"));
    let mut writer = Writer::new(&id, &c);
    for _ in 0..5 {
        writer.write(log, RecordKind::Fired).await;
    }
    let last = writer.last;
    let scopes = [LogScope::Case(id.clone(), c), LogScope::Workflow(id.clone()), LogScope::All];
    let mut histories = Vec::new();
    for scope in scopes {
        histories.push(log.history(scope, LogRange::ALL).await.unwrap());
    }
    for _ in 0..5 {
        writer.write(log, RecordKind::Fired).await;
    }
    for history in histories {
        let records: Vec<_> = history.try_collect().await.unwrap();
        let ours = of(&id, records);
        assert_eq!((ours.len(), ours.last().copied()), (5, last));
    }
}

/// More records than any batch has.
pub async fn a_long_history_comes_whole(log: &Log) {
    let (id, c) = (workflow("hist-long"), case("c"));
    let mut writer = Writer::new(&id, &c);
    let mut all = Vec::new();
    for _ in 0..1_100 {
        all.push(writer.write(log, RecordKind::Fired).await.0);
    }
    for scope in [LogScope::Case(id.clone(), c), LogScope::Workflow(id.clone())] {
        assert_eq!(sequences(log, scope.clone(), LogRange::ALL).await, all);
        // From everywhere near a round number, so that an end of a batch is among them.
        for from in [255, 256, 257, 511, 512, 513, 587, 588, 589] {
            assert_eq!(sequences(log, scope.clone(), LogRange::from(all[from])).await, all[from..]);
        }
    }
}

/// More bytes than a server likes to send at once.
pub async fn a_history_of_large_records_comes_whole(log: &Log) {
    let (id, c) = (workflow("hist-large"), case("c"));
    let mut writer = Writer::new(&id, &c);
    let mut all = Vec::new();
    for number in 0..120 {
        let mut large =
            super::fixture::record(&id, &c, RecordKind::Edited, &format!("large-{number}"));
        large.metadata.insert("padding".to_owned(), "x".repeat(700_000).into());
        all.push(writer.append(log, large).await.0);
    }
    for scope in [LogScope::Case(id.clone(), c), LogScope::Workflow(id.clone())] {
        let mut records = log.history(scope, LogRange::ALL).await.unwrap();
        let mut seen = Vec::new();
        while let Some(record) = records.try_next().await.unwrap() {
            assert_eq!(record.value.metadata["padding"].as_str().map(str::len), Some(700_000));
            seen.push(record.sequence);
        }
        assert_eq!(seen, all);
    }
}

/// Absence is an answer and no error.
pub async fn the_history_of_what_is_unknown_is_empty(log: &Log) {
    let id = workflow("hist-unknown");
    let scopes = [
        LogScope::Case(id.clone(), case("c")),
        LogScope::Lifecycles(Some(id.clone())),
        LogScope::Workflow(id.clone()),
    ];
    for scope in scopes.clone() {
        assert!(read(log, scope, LogRange::ALL).await.is_empty());
    }
    // A definition is in the same log, and is no record.
    put(log, &definition(&id, &["p"]), 1, None).await;
    for scope in scopes {
        assert!(read(log, scope, LogRange::ALL).await.is_empty());
    }
    assert_eq!(log.last_of_lifecycle(&id, &case("c")).await.unwrap(), None);
}

/// Statuses of all workflows, in order, from a sequence and up to one, few and many.
pub async fn statuses_are_those_of_the_records(log: &Log) {
    let before = last_of(log.as_ref()).await;
    let ids = [workflow("hist-status"), workflow("hist-status-2")];
    let mut writers: Vec<_> =
        ids.iter().flat_map(|id| ["a", "b"].map(|name| Writer::new(id, &case(name)))).collect();
    put(log, &definition(&ids[0], &["p"]), 1, None).await;
    let mut expected = Vec::new();
    for round in 0..100 {
        for writer in &mut writers {
            let kind = [RecordKind::Fired, RecordKind::Paused, RecordKind::Cancelled][round % 3];
            let status =
                [CaseStatus::Running, CaseStatus::Paused, CaseStatus::Cancelled][round % 3];
            let record = record(&writer.workflow, &writer.case, kind, &format!("f-{round}"));
            let (sequence, _) = writer.append(log, Record { status, ..record }).await;
            expected.push((writer.workflow.clone(), writer.case.clone(), sequence, status));
        }
    }
    let last = last_of(log.as_ref()).await.unwrap();
    let back = |count| last.minus(count);
    let parts = [(before, last), (back(50), last), (back(300), back(7).unwrap()), (back(0), last)];
    for (after, until) in parts {
        let range = LogRange::after(after, until);
        let statuses = log.statuses(range).await.unwrap();
        let statuses = statuses.map_ok(|at| (at.workflow, at.case, at.sequence, at.status));
        let statuses: Vec<_> = statuses.try_collect().await.unwrap();
        let wanted = |sequence: LogSequence| Some(sequence) > after && sequence <= until;
        let mut ours = statuses;
        ours.retain(|(workflow, ..)| ids.contains(workflow));
        let expected: Vec<_> =
            expected.iter().filter(|(_, _, sequence, _)| wanted(*sequence)).cloned().collect();
        assert_eq!(ours, expected, "after {after:?} up to {until}");
        let records = log.history(LogScope::All, range).await.unwrap();
        let records: Vec<_> = records.try_collect().await.unwrap();
        let ours = records.iter().filter(|record| ids.contains(&record.value.workflow));
        let ours: Vec<_> = ours.map(|record| record.sequence).collect();
        let expected: Vec<_> = expected.iter().map(|(_, _, sequence, _)| *sequence).collect();
        assert_eq!(ours, expected, "a history after {after:?} up to {until}");
    }
}

/// The heads of more cases than one request names, of unknown ones among them, and of so large ones
/// that they do not come together.
pub async fn the_heads_of_cases_are_the_last_records_of_each(log: &Log) {
    let id = workflow("hist-heads");
    let mut expected = Vec::new();
    for number in 0..300 {
        let id_of = case(&format!("c-{number}"));
        let mut writer = Writer::new(&id, &id_of);
        let mut last = writer.write(log, RecordKind::Created).await;
        for kind in [RecordKind::Fired, RecordKind::Paused].into_iter().take(number % 3) {
            last = writer.write(log, kind).await;
        }
        expected.push((id_of, Some(last)));
        if number % 50 == 0 {
            expected.push((case(&format!("c-{number}-1")), None));
        }
    }
    for number in 0..25 {
        let id_of = case(&format!("large-{number}"));
        let mut writer = Writer::new(&id, &id_of);
        let mut large_one = record(&id, &id_of, RecordKind::Created, "f-1");
        large_one.metadata.insert("large".to_owned(), large());
        expected.push((id_of, Some(writer.append(log, large_one).await)));
    }
    let cases: Vec<_> = expected.iter().map(|(case, _)| case.clone()).collect();
    let heads: Vec<_> = log.heads(&id, &cases).collect().await;
    assert_eq!(heads.len(), expected.len());
    for ((case, head), (expected, last)) in heads.into_iter().zip(expected) {
        assert_eq!(case, expected, "in the order of the cases");
        let head = head.expect("a head").map(|head| (head.sequence, head.value));
        assert_eq!(head, last);
    }
}
