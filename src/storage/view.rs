//! Registers of the marking view: one for each place and token, at the token's subject.

use std::sync::Arc;

use crate::models::{CaseId, PlaceId, Token, TokenId, WorkflowId};

/// What one register of the view holds.
///
/// A register is written by whoever appended a record that touches this token in this place,
/// conditionally on [`sequence`](Self::sequence), so that of two writers the one who is late
/// finds out.
#[derive(Debug, Clone, PartialEq)]
pub struct Register {
    /// The workflow.
    pub workflow: WorkflowId,
    /// The place.
    pub place: PlaceId,
    /// The token.
    pub token: TokenId,
    /// The register's own sequence in the view; 0 when nothing is there.
    pub sequence: u64,
    /// What is there.
    pub state: RegisterState,
}

/// What a register says.
#[derive(Debug, Clone, PartialEq)]
pub enum RegisterState {
    /// Nothing was ever written, or a marker has expired.
    Empty,
    /// The token left, or never was here to stay: the record at this log sequence says so.
    Gone {
        /// The log sequence of the record that took the token away.
        revision: u64,
    },
    /// The token is here.
    Live(Box<Token>),
    /// Something is here that is no token and no marker; it is overwritten by what the log
    /// says.
    Unreadable {
        /// Why it can't be read, naming its subject and sequence.
        reason: String,
    },
}

impl RegisterState {
    /// The log sequence of the record that this state comes from; 0 when empty or unreadable.
    pub fn revision(&self) -> u64 {
        match self {
            Self::Empty | Self::Unreadable { .. } => 0,
            Self::Gone { revision } => *revision,
            Self::Live(token) => token.nats_sequence,
        }
    }
}

/// A register without what its token carries: enough to tell where the log does not agree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outline {
    /// The workflow.
    pub workflow: WorkflowId,
    /// The place.
    pub place: PlaceId,
    /// The token.
    pub token: TokenId,
    /// The log sequence of the record that it comes from; 0 where it does not say.
    pub revision: u64,
    /// Whether it is a marker: the token is not there any more.
    pub is_gone: bool,
}

/// A write to one register.
#[derive(Debug, Clone, PartialEq)]
pub struct ViewWrite {
    /// The workflow.
    pub workflow: WorkflowId,
    /// The case, noted with the register so that a reader can go to the log.
    pub case: CaseId,
    /// The place.
    pub place: PlaceId,
    /// The token.
    pub token: TokenId,
    /// The register's sequence that the writer saw; the write fails on any other.
    pub expected: u64,
    /// What to write.
    pub content: ViewContent,
}

/// What is written to a register.
#[derive(Debug, Clone, PartialEq)]
pub enum ViewContent {
    /// The token, whole.
    Live(Arc<Token>),
    /// A marker that the token is not here any more, kept for a short while so that a late
    /// writer of an older version fails its condition.
    Gone {
        /// The log sequence of the record that took the token away.
        revision: u64,
        /// Where the token is now, if it is still alive.
        moved_to: Option<PlaceId>,
    },
}

/// How a view write ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ViewOutcome {
    /// Done, at this sequence of the view.
    Written(u64),
    /// Another sequence was there; nothing was written.
    LostRace,
}
