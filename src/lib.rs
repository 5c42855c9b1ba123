//! Storm Petrel: Petri-net workflows on NATS JetStream.
//!
//! A workflow is a net of places and transitions. A case is one run of it: tokens that stand in
//! places. A transition that fires takes tokens and gives tokens, all at once. [`Petrel`] is the
//! handle of all this, over a store in memory or on a NATS server ([`NatsStorage`]).
//!
//! ```
//! use std::sync::Arc;
//! use stormpetrel::{ExpectedVersion, Fire, MemoryStorage, NewCase, Petrel};
//!
//! # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let petrel = Petrel::new(Arc::new(MemoryStorage::new()));
//! let leave = serde_json::from_str(
//!     r#"{"id": "leave", "name": "Leave", "initial_place": "asked",
//!         "places": [{"id": "asked"}, {"id": "granted", "kind": "terminal"}],
//!         "transitions": [{"id": "grant", "from_places": ["asked"], "to_place": "granted"}]}"#,
//! )?;
//! let leave = petrel.create_workflow(leave, ExpectedVersion::Any).await?.definition.id.clone();
//! let begun = petrel.create_case(NewCase::of(leave.clone())).await?;
//! let granted = petrel.fire(Fire::case(leave, begun.case.id.clone(), "grant".parse()?)).await?;
//! assert_eq!(granted.case.status.as_str(), "completed");
//! # Ok(()) }
//! ```
//!
//! Features: `cli` (the default) has the program `petrel` and all others but `testing`;
//! `analysis`, `formats`, `graphql` and `server` are each a part of it. Without any, this is the
//! embedded engine with its storages.

// It panics where stderr can't be written, as on a full disk.
#![deny(clippy::print_stderr)]

#[cfg(feature = "analysis")]
pub mod analysis;
#[cfg(feature = "analysis")]
pub mod audit;
#[cfg(feature = "bench")]
pub mod bench;
#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "cli")]
pub mod config;
pub mod durable;
pub mod engine;
#[cfg(feature = "formats")]
pub mod formats;
#[cfg(feature = "graphql")]
pub mod graphql;
pub mod local_server;
pub mod models;
pub mod petrel;
#[cfg(feature = "server")]
pub mod process;
#[cfg(feature = "server")]
pub mod server;
pub mod storage;
#[cfg(feature = "cli")]
pub mod telemetry;
#[cfg(feature = "testing")]
pub mod testing;
pub mod worker;

pub use local_server::{LocalServer, LocalServerOptions};
pub use models::{
    CaseId, FiringId, PlaceId, TokenId, TransitionId, WorkflowDefinition, WorkflowId,
};
pub use petrel::{Change, Changed, Error, ExpectedVersion, Fire, NewCase, NewToken, Petrel};
pub use storage::{
    Consistency, MemoryStorage, Page,
    nats::{NatsStorage, NatsStorageConfig},
};
