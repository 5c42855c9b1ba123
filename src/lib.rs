//! Storm Petrel: Petri-net workflows on NATS JetStream.

pub mod analysis;
pub mod audit;
pub mod cli;
pub mod config;
pub mod engine;
pub mod formats;
pub mod graphql;
pub mod load;
pub mod local_server;
pub mod models;
pub mod petrel;
pub mod server;
pub mod storage;
pub mod telemetry;
pub mod testing;
