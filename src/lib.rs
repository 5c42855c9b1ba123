//! Storm Petrel: Petri-net workflows on NATS JetStream.

pub mod cases;
pub mod engine;
pub mod models;
pub mod storage;
