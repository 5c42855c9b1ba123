//! A case: one run of a workflow, as its log says it is now.

use std::{collections::HashMap, sync::Arc};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{
    Aside, CaseId, Chain, Digests, Incident, Item, LogSequence, Marking, Revision, Timer, Token,
    TokenId, WorkflowId,
};

/// State of a case's run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CaseStatus {
    /// Transitions may fire.
    Running,
    /// Transitions can't fire until it is resumed.
    Paused,
    /// The case has all its tokens in terminal places.
    Completed,
    /// The case was ended by hand; its tokens are gone.
    Cancelled,
}

impl CaseStatus {
    /// Returns true if nothing follows: the case is completed or cancelled.
    pub fn has_ended(self) -> bool {
        matches!(self, Self::Completed | Self::Cancelled)
    }

    /// Its stored name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Completed => "completed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// The state of a case after the record at `sequence`.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Case {
    /// The workflow it runs.
    pub workflow: WorkflowId,
    /// Its id.
    pub id: CaseId,
    /// The log sequence of the definition it runs.
    pub definition: LogSequence,
    /// State of its run.
    pub status: CaseStatus,
    /// Places of its live tokens: of each place, oldest arrival first.
    pub marking: Marking,
    /// The live tokens, whole.
    pub tokens: HashMap<TokenId, Arc<Token>>,
    /// The log sequence of the last record that has a live token's history whole.
    pub history_bases: HashMap<TokenId, LogSequence>,
    /// Number of tokens that the case has ever had; the next token gets this number plus one.
    pub tokens_made: u64,
    /// Its open incidents, oldest first.
    pub incidents: Vec<Incident>,
    /// Number of incidents that the case has ever had.
    pub incidents_made: u64,
    /// Its timers that run, oldest first.
    pub timers: Vec<Timer>,
    /// Number of timers that the case has ever had.
    pub timers_made: u64,
    /// Its open work items, oldest first.
    pub items: Vec<Item>,
    /// Number of work items that the case has ever had.
    pub items_made: u64,
    /// Time of the record that paused it, while it is paused and that is known.
    pub paused: Option<DateTime<Utc>>,
    /// The log sequence of the case's last record: the fence of the next.
    pub sequence: LogSequence,
    /// SHA-256 of the last record's stored bytes, in hexadecimal.
    pub head_hash: String,
    /// The digests of its live tokens, where there are many.
    pub digests: Digests,
    /// Links from here to its records.
    pub chain: Chain,
    /// The messages of its log that are put aside.
    pub aside: Vec<Aside>,
    /// Fields in its tokens that this version does not know.
    pub unknown: Vec<String>,
}

impl Case {
    /// Its revision.
    pub fn revision(&self) -> Revision {
        self.sequence.into()
    }

    /// The live tokens: of each place, oldest arrival first.
    pub fn live_tokens(&self) -> impl Iterator<Item = &Arc<Token>> {
        self.marking.0.iter().filter_map(|entry| self.tokens.get(&entry.token))
    }
}
