//! Storm Petrel: Petri-net workflows on NATS JetStream.

pub mod local_server;
pub mod models;
pub mod testing;
