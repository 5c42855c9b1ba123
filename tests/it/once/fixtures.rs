//! A workflow whose changes can all happen again and again, and those changes.

use std::sync::Arc;

use futures::TryStreamExt;
use serde_json::{Map, Value, json};
use stormpetrel::{
    models::{FiringId, LogSequence, PlaceId, Record, Stored, TokenId, WorkflowId},
    petrel::{Change, Changed, Error, ExpectedVersion, Fire, NewCase, NewToken, Petrel},
    storage::{LogRange, LogScope, Storage},
};

use crate::support::{case, definition, place, transition, workflow};

/// `go` and `back` between a and b, `tick` in a.
pub(super) async fn loops(petrel: &Petrel) -> WorkflowId {
    let loops = definition(json!({
        "id": "loops", "name": "Loops", "initial_place": "a",
        "places": [{"id": "a"}, {"id": "b"}],
        "transitions": [
            {"id": "go", "from_places": ["a"], "to_place": "b"},
            {"id": "back", "from_places": ["b"], "to_place": "a"},
            {"id": "tick", "from_places": ["a"], "to_place": "a"}
        ]
    }));
    petrel.create_workflow(loops, ExpectedVersion::Any).await.unwrap();
    workflow("loops")
}

pub(super) fn id(text: &str) -> FiringId {
    FiringId::new(text).unwrap()
}

pub(super) fn named(text: &str) -> Change {
    Change { firing: Some(id(text)), ..Change::default() }
}

pub(super) async fn create(petrel: &Petrel, name: &str, data: Value) -> Result<Changed, Error> {
    let new = NewCase { case: Some(case(name)), data, ..NewCase::of(workflow("loops")) };
    petrel.create_case(new).await
}

/// A change of a case.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum What {
    Fire(&'static str, u64),
    /// A firing with the case's first token named.
    FireToken(&'static str),
    Add(&'static str, u64),
    Edit(u64),
    Pause,
    Resume,
    Cancel,
}

impl What {
    pub(super) async fn ask(
        &self,
        petrel: &Petrel,
        name: &str,
        change: Change,
    ) -> Result<Changed, Error> {
        let (loops, id) = (workflow("loops"), case(name));
        match self {
            Self::Fire(by, data) => {
                let data = (*data > 0).then(|| json!({ "n": data }));
                let fire = Fire::case(loops, id, transition(by));
                petrel.fire(Fire { data, change, ..fire }).await
            }
            Self::FireToken(by) => {
                let fire = Fire::token(first_token(name), transition(by));
                petrel.fire(Fire { change, ..fire }).await
            }
            Self::Add(to, data) => {
                let (place, data) = (Some(place(to)), json!({ "n": data }));
                let metadata = Map::new();
                let new = NewToken { workflow: loops, case: id, place, data, metadata, change };
                petrel.create_token(new).await
            }
            Self::Edit(data) => {
                let patch = json!({ "edited": data });
                petrel.update_token_data(None, &first_token(name), patch, change).await
            }
            Self::Pause => petrel.pause(&loops, &id, change).await,
            Self::Resume => petrel.resume(&loops, &id, change).await,
            Self::Cancel => petrel.cancel(&loops, &id, change).await,
        }
    }
}

pub(super) fn first_token(name: &str) -> TokenId {
    TokenId::of_case(&workflow("loops").tag(), &case(name), 1)
}

/// The records of a case as its subjects have them, not as its records name them.
pub(super) async fn log(storage: &Arc<dyn Storage>, name: &str) -> Vec<Stored<Record>> {
    let scope = LogScope::Case(workflow("loops"), case(name));
    storage.history(scope, LogRange::ALL).await.unwrap().try_collect().await.unwrap()
}

pub(super) fn sequences(log: &[Stored<Record>]) -> Vec<LogSequence> {
    log.iter().map(|record| record.sequence).collect()
}

/// Checks that no id is in the log of a case twice, and that each record names just those
/// before it.
pub(super) fn is_sound(log: &[Stored<Record>]) {
    let mut ids: Vec<_> = log.iter().map(|record| &record.value.firing).collect();
    ids.sort();
    let all = ids.len();
    ids.dedup();
    assert_eq!(ids.len(), all, "an id is there twice");
    for (position, record) in log.iter().enumerate() {
        let record = &record.value;
        let before = &log[..position];
        assert_eq!(record.previous, before.last().map(|last| last.sequence));
        assert_eq!(record.previous_hash, before.last().map(|last| last.hash.clone()));
    }
}

/// The part of a first use that a refusal of an id names, and its sequence.
pub(super) fn first_use(refused: Result<Changed, Error>) -> (String, LogSequence) {
    match refused {
        Err(Error::IdTaken { what, first, .. }) => (what.to_owned(), first.sequence),
        other => panic!("not refused: {other:?}"),
    }
}

pub(super) fn only_place(changed: &Changed) -> PlaceId {
    changed.tokens[0].place.clone()
}
