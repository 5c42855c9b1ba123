//! Peers: other systems that are given the same firing, in turns with the engine.

use std::{error::Error, fmt};

use async_trait::async_trait;
use bytes::Bytes;
use serde::Serialize;

use crate::{
    models::{CaseId, PlaceId, TokenId, TransitionId},
    storage::nats::Moved,
};

/// Description of a peer, for a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PeerSetup {
    /// The system, such as `Postgres`.
    pub system: &'static str,
    /// The system's version.
    pub version: String,
    /// The setting that decides about durability, such as `synchronous_commit=on`.
    pub setting: String,
    /// True if a firing is on disk before it is acknowledged.
    pub on_disk: bool,
}

impl fmt::Display for PeerSetup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}, {}", self.system, self.version, self.setting)
    }
}

/// A token that a case begins with.
#[derive(Debug, Clone)]
pub struct FirstToken {
    /// The case.
    pub case: CaseId,
    /// The token.
    pub token: TokenId,
    /// The place that it is in.
    pub place: PlaceId,
}

/// A firing: one token is taken and one given, and an event is stored.
#[derive(Debug, Clone)]
pub struct PeerFiring {
    /// The case.
    pub case: CaseId,
    /// The transition that fires.
    pub transition: TransitionId,
    /// The token, its two places, and its data at the new one.
    pub moved: Moved,
    /// Data of the event.
    pub record: Bytes,
}

/// A system beside the engine.
#[async_trait]
pub trait Peer: fmt::Debug + Send + Sync {
    /// Its description.
    fn setup(&self) -> PeerSetup;

    /// A new client, which stores the tokens that its cases begin with.
    async fn client(&self, tokens: &[FirstToken]) -> Result<Box<dyn PeerClient>, PeerError>;
}

/// One of many clients of a peer, each with cases of its own.
#[async_trait]
pub trait PeerClient: fmt::Debug + Send {
    /// Stores a firing, whole or not at all, and waits for the acknowledgement. A firing that
    /// finds no token to take, or that stores another number of events than one, is an error.
    async fn fire(&mut self, firing: PeerFiring) -> Result<(), PeerError>;
}

/// Reason that a peer has not done what it was asked for. It does not go away by trying again.
#[derive(Debug, thiserror::Error)]
#[error("{system} could not {action}: {cause}")]
pub struct PeerError {
    /// The system.
    pub system: &'static str,
    /// The action that failed.
    pub action: String,
    /// The system's answer.
    pub cause: Box<dyn Error + Send + Sync>,
}
