//! Storm Petrel: Petri-net workflows on NATS JetStream.

pub mod models;
