//! Parts that the tests of cases share: a system on a server, and small workflows.

use std::{fs, path::Path, sync::Arc};

use serde_json::{Value, json};
use stormpetrel::{
    models::{CaseId, LogSequence, PlaceId, TokenId, TransitionId, WorkflowDefinition, WorkflowId},
    petrel::{Changed, ExpectedVersion, NewCase, Petrel},
    storage::nats::{NatsStorage, NatsStorageConfig},
    testing::{TestCluster, TestServer},
};

pub(crate) fn config(url: impl Into<String>) -> NatsStorageConfig {
    NatsStorageConfig { urls: vec![url.into()], ..NatsStorageConfig::development() }
}

pub(crate) async fn petrel_at(url: impl Into<String>) -> Petrel {
    let storage = NatsStorage::connect(config(url)).await.expect("connect");
    Petrel::new(Arc::new(storage))
}

pub(crate) async fn system() -> (TestServer, Petrel) {
    let server = TestServer::start().await;
    let cases = petrel_at(server.url()).await;
    (server, cases)
}

/// Settings of a system with three replicas, for a process that begins with one of the servers.
/// The others it learns from that.
pub(crate) fn replicated(cluster: &TestCluster, node: usize) -> NatsStorageConfig {
    NatsStorageConfig { replicas: Some(3), ..config(cluster.url(node)) }
}

pub(crate) fn workflow(id: &str) -> WorkflowId {
    WorkflowId::new(id).unwrap()
}

pub(crate) fn case(id: &str) -> CaseId {
    CaseId::new(id).unwrap()
}

pub(crate) fn place(id: &str) -> PlaceId {
    PlaceId::new(id).unwrap()
}

pub(crate) fn transition(id: &str) -> TransitionId {
    TransitionId::new(id).unwrap()
}

pub(crate) fn definition(definition: Value) -> WorkflowDefinition {
    serde_json::from_value(definition).unwrap()
}

/// A net draft → review → done, with a way back from review and a split with a join.
pub(crate) fn orders() -> WorkflowDefinition {
    definition(json!({
        "id": "orders",
        "name": "Orders",
        "initial_place": "draft",
        "places": [
            {"id": "draft"}, {"id": "review"}, {"id": "left"}, {"id": "right"}, {"id": "done"}
        ],
        "transitions": [
            {"id": "submit", "from_places": ["draft"], "to_place": "review"},
            {"id": "reject", "from_places": ["review"], "to_place": "draft"},
            {"id": "split", "inputs": [{"place": "review"}],
             "outputs": [{"place": "left"}, {"place": "right"}]},
            {"id": "join", "inputs": [{"place": "left"}, {"place": "right"}],
             "outputs": [{"place": "done"}]},
            {"id": "approve", "inputs": [{"place": "review"}], "outputs": [{"place": "done"}],
             "conditions": ["token.data.amount < 1000"]}
        ]
    }))
}

pub(crate) async fn begin(petrel: &Petrel, data: Value) -> (Changed, TokenId) {
    petrel.create_workflow(orders(), ExpectedVersion::Any).await.unwrap();
    let begun =
        petrel.create_case(NewCase { data, ..NewCase::of(workflow("orders")) }).await.unwrap();
    let token = begun.tokens[0].id.clone();
    (begun, token)
}

/// Copies a folder with all its contents: of a server that is stopped, a backup.
pub(crate) fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy_folder(&entry.path(), &to),
            false => drop(fs::copy(entry.path(), to).unwrap()),
        }
    }
}

/// The sequence of a number.
pub(crate) fn at(number: u64) -> LogSequence {
    LogSequence::new(number).expect("no message is at 0")
}
