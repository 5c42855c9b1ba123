//! Everything accepted can be read back, by every reader, after every restart; an unreadable
//! message blocks as little as can be.

mod aside;
mod definitions;
mod mutated;
mod names;
mod nesting;
mod newer;
mod programs;
mod quarantine;
mod reads_of_aside;
mod sizes;
mod stale_heads;
mod swelling;

use futures::TryStreamExt;
use serde_json::{Value, json};
use stormpetrel::{
    models::{CaseId, PlaceId, TokenId, WorkflowId},
    petrel::{Change, ExpectedVersion, Fire, Petrel},
    storage::{
        Consistency, ListOptions, LogRange, LogScope, Page, ReadPath, StorageExt, TokenScope,
    },
};

use crate::support::{definition, transition, workflow};

/// A way there, and a way back.
async fn loop_of(petrel: &Petrel) -> WorkflowId {
    let there_and_back = definition(json!({
        "id": "loop", "initial_place": "a", "places": [{"id": "a"}, {"id": "b"}],
        "transitions": [
            {"id": "go", "inputs": [{"place": "a"}], "outputs": [{"place": "b"}]},
            {"id": "back", "inputs": [{"place": "b"}], "outputs": [{"place": "a"}]},
            {"id": "wrap", "inputs": [{"place": "a"}], "outputs": [{"place": "a"}],
             "output": "{'deep': data}"}
        ]
    }));
    petrel.create_workflow(there_and_back, ExpectedVersion::Any).await.unwrap();
    workflow("loop")
}

fn fire(case: &CaseId, name: &str) -> Fire {
    Fire::case(workflow("loop"), case.clone(), transition(name))
}

fn noted(metadata: Value) -> Change {
    Change { metadata: serde_json::from_value(metadata).unwrap(), ..Change::default() }
}

/// Reads all parts of a case by each reader, and returns its only token, its place and its
/// data.
async fn read_all(petrel: &Petrel, case: &CaseId) -> (TokenId, PlaceId, Value) {
    let id = workflow("loop");
    let state = petrel.case(&id, case).await.unwrap();
    let token = state.live_tokens().next().expect("a token").clone();
    for consistency in [Consistency::Strong, Consistency::Eventual] {
        let read = petrel.token(None, &token.id, consistency).await.unwrap();
        assert_eq!((&read.data, &read.history), (&token.data, &token.history));
    }
    for (place, of_case) in [(None, Some(case)), (Some(&token.place), None), (None, None)] {
        let scope =
            TokenScope { workflow: id.clone(), place: place.cloned(), case: of_case.cloned() };
        for path in [ReadPath::Direct, ReadPath::Consumer] {
            let listed = petrel
                .storage()
                .tokens_in(&scope, ListOptions { page: Page::default(), path: Some(path) })
                .await
                .unwrap();
            let listed = listed.into_items();
            let listed = listed.iter().find(|listed| listed.id == token.id).expect("listed");
            assert_eq!((&listed.data, &listed.history), (&token.data, &token.history));
        }
    }
    let all = petrel.storage().history(LogScope::All, LogRange::ALL).await.unwrap();
    all.try_collect::<Vec<_>>().await.unwrap();
    let mut page = Page { first: 1_000, after: None };
    loop {
        let records = petrel.history(&id, case, page).await.unwrap();
        page.after = records.end();
        if !records.has_next {
            break;
        }
    }
    let gathered = petrel.gather_history(&id, &[], &|_, _| ()).await.unwrap();
    assert!(gathered.unreadable.is_empty());
    gathered.into_records().unwrap().for_each(|record| drop(record.unwrap()));
    petrel.explain(&id, case).await.unwrap();
    (token.id.clone(), token.place.clone(), token.data.clone())
}
