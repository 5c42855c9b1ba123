//! Storm Petrel: Petri-net workflows on NATS JetStream.

// Without the audit, some of what it reads by is in nobody's use.
#![cfg_attr(not(feature = "analysis"), allow(dead_code, unused_imports))]

#[cfg(feature = "analysis")]
pub mod analysis;
#[cfg(feature = "analysis")]
pub mod audit;
#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "cli")]
pub mod config;
pub mod engine;
#[cfg(feature = "formats")]
pub mod formats;
#[cfg(feature = "graphql")]
pub mod graphql;
#[cfg(feature = "bench")]
pub mod load;
pub mod local_server;
pub mod models;
pub mod petrel;
#[cfg(feature = "server")]
pub mod server;
pub mod storage;
#[cfg(feature = "cli")]
pub mod telemetry;
#[cfg(feature = "testing")]
pub mod testing;
