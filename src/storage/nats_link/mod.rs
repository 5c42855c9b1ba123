//! Connection to NATS: its addresses and logins, requests with a time each, interruptions, leaders,
//! and publishes that are decided by their answers.

pub(in crate::storage) mod address;
pub(in crate::storage) mod append;
pub(in crate::storage) mod branch;
pub(in crate::storage) mod breaker;
pub(in crate::storage) mod decoding;
pub(in crate::storage) mod direct;
pub(in crate::storage) mod group;
pub(in crate::storage) mod intake;
pub(in crate::storage) mod interruption;
pub(in crate::storage) mod leader;
pub(in crate::storage) mod link;
pub(in crate::storage) mod options;
mod pace;
pub(in crate::storage) mod publish;
pub(in crate::storage) mod refusal;

pub(in crate::storage) use link::Link;

use super::nats::NatsStorageConfig;
