//! Registers of the marking view: one for each place and token, at the token's subject.

use std::sync::Arc;

use super::RegisterVersion;
use crate::models::{CaseId, LogSequence, PlaceId, Token, TokenId, ViewSequence, WorkflowId};

/// State of one register of the view.
///
/// A register is written by the appender of a record that touches this token in this place.
/// The write is conditional on the [`version`](Self::version) that was seen, so that the later one of two
/// writers finds out.
#[derive(Debug, Clone, PartialEq)]
pub struct Register {
    /// The workflow.
    pub workflow: WorkflowId,
    /// The place.
    pub place: PlaceId,
    /// The token.
    pub token: TokenId,
    /// Sequence of its last write in the view; `None` if nothing is there.
    pub sequence: Option<ViewSequence>,
    /// Contents of the register.
    pub state: RegisterState,
}

impl Register {
    /// A register in which nothing is.
    pub fn empty(workflow: &WorkflowId, place: &PlaceId, token: &TokenId) -> Self {
        Self {
            workflow: workflow.clone(),
            place: place.clone(),
            token: token.clone(),
            sequence: None,
            state: RegisterState::Empty,
        }
    }

    /// The condition of a write by whoever has just read this.
    pub fn version(&self) -> RegisterVersion {
        match (self.sequence, &self.state) {
            (None, _) => RegisterVersion::NOTHING,
            (Some(sequence), RegisterState::Gone { .. }) => RegisterVersion::marker(sequence),
            (Some(sequence), _) => RegisterVersion::token(sequence),
        }
    }
}

/// Contents of a register.
#[derive(Debug, Clone, PartialEq)]
pub enum RegisterState {
    /// Nothing was ever written, or a marker has expired.
    Empty,
    /// The token left, or never was here to stay: the record at this log sequence says so.
    Gone {
        /// The log sequence of the record that took the token away, where the marker says it.
        revision: Option<LogSequence>,
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
    /// The log sequence of the record that this state comes from, where it says so.
    pub fn revision(&self) -> Option<LogSequence> {
        match self {
            Self::Empty | Self::Unreadable { .. } => None,
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
    /// The log sequence of the record that it comes from, where it says so.
    pub revision: Option<LogSequence>,
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
    /// The register's contents that the writer saw; the write fails on any other.
    pub expected: RegisterVersion,
    /// New contents.
    pub content: ViewContent,
}

impl ViewContent {
    /// Knowledge of a register that has just got this content.
    pub fn written_at(&self, sequence: ViewSequence) -> RegisterVersion {
        match self {
            Self::Live(_) => RegisterVersion::token(sequence),
            Self::Gone { .. } => RegisterVersion::marker(sequence),
        }
    }
}

/// New contents of a register.
#[derive(Debug, Clone, PartialEq)]
pub enum ViewContent {
    /// The token, whole.
    Live(Arc<Token>),
    /// A marker that the token is not here any more, so that a late writer of an older version
    /// fails its condition. The view decides how long it is kept.
    Gone {
        /// The log sequence of the record that took the token away; `None` if the log has no
        /// record of its case.
        revision: Option<LogSequence>,
        /// Place of the token now, if it is still alive.
        moved_to: Option<PlaceId>,
    },
}

/// End of a view write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ViewOutcome {
    /// The write is done; this is what the register has now.
    Written(RegisterVersion),
    /// The write is done in a register that was empty, so long after the log was read that a
    /// marker against it may have been there and gone. It may be wrong: the writer checks it
    /// against the log.
    Unfenced(RegisterVersion),
    /// Something else was there; nothing was written.
    LostRace,
}
