//! Storm Petrel: Petri-net workflows on NATS JetStream.

pub mod cases;
pub mod engine;
pub mod local_server;
pub mod models;
pub mod storage;
pub mod testing;
