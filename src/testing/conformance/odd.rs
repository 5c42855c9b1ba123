//! Ids that are valid and awkward.

use futures::TryStreamExt;
use serde_json::json;

use super::{
    Behaviour, behaviour,
    fixture::{
        Log, PATHS, View, Writer, assert_lost, assert_same, definition, ids, in_place, in_workflow,
        live, put, record, token, write,
    },
};
use crate::{
    models::{CaseId, PlaceId, RecordKind, WorkflowId},
    storage::{AppendOptions, Consistency, DefinitionVersion, LogRange, LogScope},
};

/// The behaviours of a log in this module.
pub(super) const OF_LOGS: &[Behaviour<Log>] = &[behaviour!(awkward_ids_are_kept_apart_in_the_log)];

/// The behaviours of a view in this module.
pub(super) const OF_VIEWS: &[Behaviour<View>] =
    &[behaviour!(awkward_ids_are_kept_apart_in_the_view)];

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
pub async fn awkward_ids_are_kept_apart_in_the_log(log: &Log) {
    let mut written = Vec::new();
    for name in awkward() {
        let workflow: WorkflowId = id(&name);
        let stored = put(log, &definition(&workflow, &[&name, "p"]), 1, None).await;
        let mut cases = Vec::new();
        for case in awkward() {
            let mut writer = Writer::new(&workflow, &id(&case));
            let (_, record) = writer.write(log, RecordKind::Created).await;
            cases.push((writer, record));
        }
        written.push((workflow, stored, cases));
    }
    for (workflow, stored, cases) in &mut written {
        let latest = log.definition(workflow, DefinitionVersion::Latest).await.unwrap();
        assert_eq!(latest.as_ref(), Some(&*stored));
        let history =
            log.history(LogScope::Workflow(workflow.clone()), LogRange::ALL).await.unwrap();
        let history: Vec<_> = history.try_collect().await.unwrap();
        let seen: Vec<_> = history.into_iter().map(|r| (r.sequence, r.value)).collect();
        let expected = cases.iter().map(|(writer, record)| (writer.last.unwrap(), record.clone()));
        assert_eq!(seen, expected.collect::<Vec<_>>());
        for (writer, created) in cases {
            let case = writer.case.clone();
            let head = log.head(workflow, &case, Consistency::Strong).await.unwrap();
            assert_eq!(head.map(|head| head.value), Some(created.clone()));
            assert_lost(
                log.append(
                    &record(workflow, &case, RecordKind::Fired, "f"),
                    AppendOptions::after(None),
                )
                .await,
                None,
            );
            let (sequence, _) = writer.write(log, RecordKind::Fired).await;
            let scope = LogScope::Case(workflow.clone(), case);
            let history = log.history(scope, LogRange::from(sequence)).await.unwrap();
            let history: Vec<_> = history.try_collect().await.unwrap();
            assert_eq!(history.len(), 1);
        }
    }
    let listed = log.workflow_ids().await.unwrap();
    assert!(listed.is_sorted());
    for (workflow, ..) in &written {
        assert_eq!(listed.iter().filter(|other| *other == workflow).count(), 1);
    }
}

/// Each token is in its workflow and its place, with any names of the others.
pub async fn awkward_ids_are_kept_apart_in_the_view(view: &View) {
    let case: CaseId = id(&"c".repeat(64));
    let places: Vec<PlaceId> = awkward().iter().map(|name| id(name)).collect();
    let workflows: Vec<WorkflowId> = awkward().iter().map(|name| id(name)).collect();
    let mut tokens = Vec::new();
    for workflow in &workflows {
        for (number, place) in (1..).zip(&places) {
            // The largest number makes the longest token id there can be.
            let number = if number == 1 { u64::MAX } else { number };
            let t = token(workflow, &case, number, place, json!({"of": workflow, "in": place}));
            write(view, live(&t, 0)).await;
            tokens.push(t);
        }
    }
    for t in &tokens {
        let register = view.register(&t.workflow, &t.place, &t.id).await.unwrap();
        assert_eq!((&register.workflow, &register.place), (&t.workflow, &t.place));
        assert_eq!(register.state.revision(), t.nats_sequence);
        let read = view.token(&t.workflow, &t.id, PATHS[0].into()).await.unwrap().unwrap();
        assert_same(view, &read, t);
        let listed = ids(view, &in_place(&t.workflow, &t.place), 10, PATHS[0]).await;
        assert_eq!(listed, std::slice::from_ref(&t.id));
    }
    for path in PATHS {
        for workflow in &workflows {
            let listed = ids(view, &in_workflow(workflow), 1_000, path).await;
            let mine = tokens.iter().filter(|t| t.workflow == *workflow);
            assert_eq!(listed, mine.map(|t| t.id.clone()).collect::<Vec<_>>());
        }
    }
}
