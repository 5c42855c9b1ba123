//! Tokens.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{CaseId, PlaceId, TokenId, TransitionId, WorkflowId, marking::is_zero};

/// How many of a token's last transitions it carries; the rest is in the log.
pub const HISTORY_KEPT: usize = 64;

/// A token, whole: what is stored at its place's subject and what a read returns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Token {
    /// The token's id.
    pub id: TokenId,
    /// The workflow it runs in.
    pub workflow: WorkflowId,
    /// The case it belongs to.
    pub case: CaseId,
    /// The place that holds it.
    pub place: PlaceId,
    /// What it carries.
    #[serde(default)]
    pub data: Value,
    /// What its owner noted about it.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub metadata: Map<String, Value>,
    /// When it came to be, by the clock of the process that decided it.
    pub created_at: DateTime<Utc>,
    /// When it last changed, by the clock of the process that decided it.
    pub updated_at: DateTime<Utc>,
    /// Its last transitions, oldest first, at most [`HISTORY_KEPT`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<Arc<TransitionEvent>>,
    /// How many transitions it has passed in all.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub history_total: u64,
    /// The log sequence of the record that made this version: the token's revision.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub nats_sequence: u64,
    /// When the server stored the message at [`nats_subject`](Self::nats_subject) that holds
    /// this version: a message of the view, written right after the log's record. Set by
    /// whatever read that message and by nothing else; `None` where the view was not read, or
    /// does not hold this version yet or any more. Never stored: a message carries its own
    /// time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nats_timestamp: Option<DateTime<Utc>>,
    /// The subject that holds the token.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub nats_subject: String,
}

/// One transition that a token passed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TransitionEvent {
    /// Where it came from: of several consumed tokens, the place of the first arc.
    pub from: PlaceId,
    /// Where it went.
    pub to: PlaceId,
    /// What fired.
    pub transition: TransitionId,
    /// When, by the clock of the process that decided it.
    pub time: DateTime<Utc>,
    /// Who asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub triggered_by: Option<String>,
    /// The log sequence of the firing.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub sequence: u64,
    /// What the caller noted about it.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub metadata: Map<String, Value>,
}
