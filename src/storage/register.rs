//! Registers of the marking view: one for each place and token, at the token's subject.

use std::sync::Arc;

use crate::models::{CaseId, PlaceId, Token, TokenId, WorkflowId};

/// State of one register of the view.
///
/// A register is written by the appender of a record that touches this token in this place.
/// The write is conditional on [`sequence`](Self::sequence), so that the later one of two
/// writers finds out.
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
    /// Contents of the register.
    pub state: RegisterState,
}

/// Contents of a register.
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
    /// Contents that are no token and no marker; they are overwritten by those that the log
    /// gives.
    Unreadable {
        /// The reason that it can't be read, with its subject and sequence.
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

/// A register without its token's contents: enough to find a disagreement with the log.
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
    /// True if it is a marker: the token is not there any more.
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
    /// New contents.
    pub content: ViewContent,
}

/// New contents of a register.
#[derive(Debug, Clone, PartialEq)]
pub enum ViewContent {
    /// The token, whole.
    Live(Arc<Token>),
    /// A marker that the token is not here any more, kept for a short while so that a late
    /// writer of an older version fails its condition.
    Gone {
        /// The log sequence of the record that took the token away.
        revision: u64,
        /// Place of the token now, if it is still alive.
        moved_to: Option<PlaceId>,
    },
}

/// End of a view write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ViewOutcome {
    /// The write is done, at this sequence of the view.
    Written(u64),
    /// Another sequence was there; nothing was written.
    LostRace,
}
