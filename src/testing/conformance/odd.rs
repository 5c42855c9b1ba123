//! Ids that are valid and awkward.

use futures::TryStreamExt;
use serde_json::json;

use super::{
    Behaviour, behaviour,
    fixture::{
        PATHS, Store, Writer, assert_lost, assert_same, definition, ids, in_place, in_workflow,
        live, put, record, token, write,
    },
};
use crate::{
    models::{CaseId, PlaceId, RecordKind, WorkflowId},
    storage::{Consistency, DefinitionVersion, LogScope},
};

/// The behaviours of this module.
pub(super) const BEHAVIOURS: &[Behaviour] = &[
    behaviour!(awkward_ids_are_kept_apart_in_the_log),
    behaviour!(awkward_ids_are_kept_apart_in_the_view),
    behaviour!(a_case_whose_id_looks_like_a_tokens_is_a_case_like_any_other),
];

/// Ids of one character, of 64, of only dashes, prefixes of one another, different cases, and
/// the words that subjects are made of.
fn awkward() -> Vec<String> {
    let long = "x".repeat(64);
    let words = [
        "a",
        "a-1",
        "a-",
        "-a",
        "A",
        "-",
        "_",
        "--",
        "-_-",
        "0",
        "00",
        "1",
        "places",
        "tokens",
        "events",
        "transitions",
        "lifecycle",
        "definition",
        "workflows",
        "cb",
        "memory",
        "JS",
    ];
    let mut ids: Vec<_> = words.map(str::to_owned).to_vec();
    ids.extend([long[..63].to_owned(), long.clone(), "-".repeat(64), "_".repeat(64)]);
    ids
}

fn id<T: TryFrom<String, Error: std::fmt::Debug>>(text: &str) -> T {
    T::try_from(text.to_owned()).expect("the suite's own ids are valid")
}

/// Each workflow has its definition and each case its log, with any names of the others.
pub async fn awkward_ids_are_kept_apart_in_the_log(storage: &Store) {
    let mut written = Vec::new();
    for name in awkward() {
        let workflow: WorkflowId = id(&name);
        let stored = put(storage, &definition(&workflow, &[&name, "p"]), 1, 0).await;
        let mut cases = Vec::new();
        for case in awkward() {
            let mut writer = Writer::new(&workflow, &id(&case));
            let (_, record) = writer.write(storage, RecordKind::Created).await;
            cases.push((writer, record));
        }
        written.push((workflow, stored, cases));
    }
    for (workflow, stored, cases) in &mut written {
        let latest = storage.definition(workflow, DefinitionVersion::Latest).await.unwrap();
        assert_eq!(latest.as_ref(), Some(&*stored));
        let history = storage.history(LogScope::Workflow(workflow.clone()), 1).await.unwrap();
        let history: Vec<_> = history.try_collect().await.unwrap();
        let seen: Vec<_> = history.into_iter().map(|r| (r.sequence, r.value)).collect();
        let expected = cases.iter().map(|(writer, record)| (writer.last, record.clone()));
        assert_eq!(seen, expected.collect::<Vec<_>>());
        for (writer, created) in cases {
            let case = writer.case.clone();
            let head = storage.head(workflow, &case, Consistency::Strong).await.unwrap();
            assert_eq!(head.map(|head| head.value), Some(created.clone()));
            assert_lost(
                storage.append(&record(workflow, &case, RecordKind::Fired, "f"), 0).await,
                0,
            );
            let (sequence, _) = writer.write(storage, RecordKind::Fired).await;
            let scope = LogScope::Case(workflow.clone(), case);
            let history = storage.history(scope, sequence).await.unwrap();
            let history: Vec<_> = history.try_collect().await.unwrap();
            assert_eq!(history.len(), 1);
        }
    }
    let listed = storage.workflow_ids().await.unwrap();
    assert!(listed.is_sorted());
    for (workflow, ..) in &written {
        assert_eq!(listed.iter().filter(|other| *other == workflow).count(), 1);
    }
}

/// Each token is in its workflow and its place, with any names of the others.
pub async fn awkward_ids_are_kept_apart_in_the_view(storage: &Store) {
    let case: CaseId = id(&"c".repeat(64));
    let places: Vec<PlaceId> = awkward().iter().map(|name| id(name)).collect();
    let workflows: Vec<WorkflowId> = awkward().iter().map(|name| id(name)).collect();
    let mut tokens = Vec::new();
    for workflow in &workflows {
        for (number, place) in (1..).zip(&places) {
            // The largest number makes the longest token id there can be.
            let number = if number == 1 { u64::MAX } else { number };
            let t = token(workflow, &case, number, place, json!({"of": workflow, "in": place}));
            write(storage, live(&t, 0)).await;
            tokens.push(t);
        }
    }
    for t in &tokens {
        let register = storage.register(&t.workflow, &t.place, &t.id).await.unwrap();
        assert_eq!((&register.workflow, &register.place), (&t.workflow, &t.place));
        assert_eq!(register.state.revision(), t.nats_sequence);
        let read = storage.token(&t.workflow, &t.id, PATHS[0]).await.unwrap().unwrap();
        assert_same(storage, &read, t);
        let listed = ids(storage, &in_place(&t.workflow, &t.place), 10, PATHS[0]).await;
        assert_eq!(listed, std::slice::from_ref(&t.id));
    }
    for path in PATHS {
        for workflow in &workflows {
            let listed = ids(storage, &in_workflow(workflow), 1_000, path).await;
            let mine = tokens.iter().filter(|t| t.workflow == *workflow);
            assert_eq!(listed, mine.map(|t| t.id.clone()).collect::<Vec<_>>());
        }
    }
}

/// The tokens of such a case and of the case that it seems to be a token of are kept apart.
pub async fn a_case_whose_id_looks_like_a_tokens_is_a_case_like_any_other(storage: &Store) {
    let workflow: WorkflowId = id("odd-token-like");
    let short: CaseId = id("a");
    let p: PlaceId = id("p");
    let first = token(&workflow, &short, 1, &p, json!({"of": "the short one"}));
    let long: CaseId = id(first.id.as_str());
    let second = token(&workflow, &long, 1, &p, json!({"of": "the long one"}));
    let mut writers = Vec::new();
    for t in [&first, &second] {
        let mut created = record(&workflow, &t.case, RecordKind::Created, "f-1");
        created.produced.push(t.clone());
        let mut writer = Writer::new(&workflow, &t.case);
        let written = writer.append(storage, created).await;
        write(storage, live(t, 0)).await;
        writers.push(written);
    }
    for (t, (sequence, written)) in [&first, &second].into_iter().zip(writers) {
        let head = storage.head(&workflow, &t.case, Consistency::Strong).await.unwrap().unwrap();
        assert_eq!((head.sequence, head.value), (sequence, written));
        for path in PATHS {
            let read = storage.token(&workflow, &t.id, path).await.unwrap().unwrap();
            assert_same(storage, &read, t);
        }
    }
}
