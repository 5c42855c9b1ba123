//! Definitions: versions under compare-and-swap.

use super::{
    Behaviour, behaviour,
    fixture::{
        Log, Writer, assert_lost, at, beyond, case, definition, last_of, put, version_after,
        workflow,
    },
};
use crate::storage::CaseLogExt;
use crate::{
    models::{RecordKind, Version},
    storage::DefinitionVersion,
};

/// The behaviours of this module.
pub(super) const BEHAVIOURS: &[Behaviour<Log>] = &[
    behaviour!(a_definition_is_stored_under_the_expected_sequence_only),
    behaviour!(every_version_of_a_definition_is_kept_and_found_by_its_sequence),
    behaviour!(a_sequence_that_is_not_a_version_of_the_workflow_is_none),
    behaviour!(workflow_ids_come_once_each_in_the_order_of_their_text),
    behaviour!(workflow_ids_come_once_each_while_others_are_stored),
    behaviour!(the_last_definition_is_the_newest_version_of_any_workflow),
];

/// No sequence expects no version, another expects that one; stale and future ones are lost
/// races.
pub async fn a_definition_is_stored_under_the_expected_sequence_only(log: &Log) {
    let id = workflow("def-cas");
    let one = definition(&id, &["a"]);
    assert_lost(log.put_definition(&one, version_after(1, at(7))).await, at(7));
    let first = put(log, &one, 1, None).await;
    assert_eq!((&first.definition, first.version), (&one, Version::FIRST));
    assert_lost(log.put_definition(&one, version_after(2, None)).await, None);
    let two = definition(&id, &["a", "b"]);
    let (early, late) = (first.sequence.minus(1), first.sequence.next());
    for wrong in early.into_iter().chain([late, beyond(late, 1_000_000)]) {
        assert_lost(log.put_definition(&two, version_after(2, wrong)).await, wrong);
    }
    let latest = log.definition(&id, DefinitionVersion::Latest).await.unwrap().unwrap();
    assert_eq!(latest, first, "a lost race stores nothing");
    let second = put(log, &two, 2, first.sequence).await;
    assert!(second.sequence > first.sequence);
    assert_lost(log.put_definition(&one, version_after(3, first.sequence)).await, first.sequence);
    let latest = log.definition(&id, DefinitionVersion::Latest).await.unwrap().unwrap();
    assert_eq!(latest, second);
}

/// Old versions stay readable after any later writes.
pub async fn every_version_of_a_definition_is_kept_and_found_by_its_sequence(log: &Log) {
    let id = workflow("def-versions");
    let names = ["a", "b", "c", "d", "e"];
    let mut versions = Vec::new();
    let mut expected = None;
    for version in 1..=5 {
        let definition = definition(&id, &names[..version]);
        let stored = put(log, &definition, version as u64, expected).await;
        expected = Some(stored.sequence);
        versions.push(stored);
    }
    for stored in &versions {
        let read = log.definition_at(&id, stored.sequence).await.unwrap().unwrap();
        assert_eq!(read, *stored);
    }
    let latest = log.definition(&id, DefinitionVersion::Latest).await.unwrap();
    assert_eq!(latest.as_ref(), versions.last());
    let all = log.versions(&id).await.unwrap();
    assert_eq!(all.into_iter().map(|version| version.unwrap()).collect::<Vec<_>>(), versions);
    assert!(log.versions(&workflow("def-none")).await.unwrap().is_empty());
    assert!(last_of(log.as_ref()).await >= expected);
}

/// Sequences that give none: a record's, another workflow's version, and the future.
pub async fn a_sequence_that_is_not_a_version_of_the_workflow_is_none(log: &Log) {
    let (id, other) = (workflow("def-mine"), workflow("def-other"));
    let mine = put(log, &definition(&id, &["a"]), 1, None).await;
    let others = put(log, &definition(&other, &["a"]), 1, None).await;
    let (record, _) = Writer::new(&id, &case("c")).write(log, RecordKind::Created).await;
    for sequence in [others.sequence, record, beyond(record, 1_000_000), at(u64::MAX)] {
        assert_eq!(log.definition_at(&id, sequence).await.unwrap(), None, "at {sequence}");
    }
    let unknown = workflow("def-unknown");
    assert_eq!(log.definition(&unknown, DefinitionVersion::Latest).await.unwrap(), None);
    assert_eq!(log.definition_at(&unknown, mine.sequence).await.unwrap(), None);
}

/// Each id comes once, with any number of versions.
pub async fn workflow_ids_come_once_each_in_the_order_of_their_text(log: &Log) {
    let mut ids: Vec<_> = ["b", "a", "a-1", "A", "_", "a_1", "Z9", "a1", "-"]
        .map(|end| workflow(&format!("def-ids{end}")))
        .to_vec();
    for id in &ids {
        let first = put(log, &definition(id, &["p"]), 1, None).await;
        put(log, &definition(id, &["p", "q"]), 2, first.sequence).await;
    }
    ids.sort_by(|one, other| one.as_str().cmp(other.as_str()));
    let listed = log.workflow_ids().await.unwrap();
    assert!(listed.is_sorted_by(|one, other| one.as_str() < other.as_str()), "{listed:?}");
    let ours: Vec<_> = listed.into_iter().filter(|id| id.as_str().starts_with("def-ids")).collect();
    assert_eq!(ours, ids);
}

/// Workflows are listed beside a task that stores more, which come before the first in the
/// order.
pub async fn workflow_ids_come_once_each_while_others_are_stored(log: &Log) {
    let last = workflow("def-while-z");
    put(log, &definition(&last, &["p"]), 1, None).await;
    let storing = async {
        for number in 0..200 {
            let id = workflow(&format!("def-while-{number:03}"));
            put(log, &definition(&id, &["p"]), 1, None).await;
        }
    };
    let listing = async {
        loop {
            let listed = log.workflow_ids().await.unwrap();
            assert!(listed.is_sorted_by(|one, other| one < other), "{listed:?}");
            assert!(listed.contains(&last), "{listed:?}");
            if listed.iter().any(|id| id.as_str() == "def-while-199") {
                return;
            }
        }
    };
    tokio::join!(storing, listing);
}

/// Records that come after it are none.
pub async fn the_last_definition_is_the_newest_version_of_any_workflow(log: &Log) {
    let (one, two) = (workflow("def-last-b"), workflow("def-last-a"));
    let mut stored = [None, None];
    for version in 1..4 {
        for (id, stored) in [&one, &two].into_iter().zip(&mut stored) {
            let put = put(log, &definition(id, &["p"]), version, *stored).await;
            *stored = Some(put.sequence);
            let mut writer = Writer::new(id, &case(&format!("c-{version}")));
            let (record, _) = writer.write(log, RecordKind::Created).await;
            let last = log.last_definition().await.unwrap();
            // Others may store some in the same store.
            assert!(last >= *stored && last != Some(record), "{last:?} after {stored:?}, {record}");
        }
    }
}
