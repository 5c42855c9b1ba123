//! Storm Petrel: Petri-net workflows on NATS JetStream.

pub mod engine;
pub mod models;
