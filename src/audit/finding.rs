//! The findings of an audit.

use serde::{Serialize, Serializer};

use crate::models::{CaseId, LogSequence, PlaceId, TokenId, WorkflowId};

/// Something that is not as it must be. Nothing has been changed by finding it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// Kind of the fault.
    pub kind: FindingKind,
    /// Place of the fault: the log or the view.
    #[serde(rename = "in")]
    pub place_of: FindingIn,
    /// The workflow.
    pub workflow: WorkflowId,
    /// The case.
    pub case: CaseId,
    /// The log sequence of the record with the fault; in the view, of the record that gives
    /// the right contents; `None` where no record does.
    #[serde(serialize_with = "or_zero")]
    pub sequence: Option<LogSequence>,
    /// The place, where it is about one.
    pub place: Option<PlaceId>,
    /// The token, where it is about one.
    pub token: Option<TokenId>,
    /// Found and expected contents, for people.
    pub message: String,
}

/// A finding without a record has 0.
fn or_zero<S: Serializer>(sequence: &Option<LogSequence>, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_u64(sequence.map_or(0, LogSequence::get))
}

/// Place of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingIn {
    /// The case's log, which is the truth: something has changed an appended record.
    Log,
    /// The token views, which `petrel rebuild` makes from the log again.
    View,
}

impl FindingIn {
    /// Its stored name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::View => "view",
        }
    }
}

/// Kind of a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FindingKind {
    /// A token is not where it must be, and not elsewhere either.
    TokenLost,
    /// A token is there that must not be: a second time, or after it was taken.
    TokenDoubled,
    /// A token is in another place than it must be.
    TokenMisplaced,
    /// A token is where it must be, in another version or with other contents.
    TokenChanged,
    /// A token is there that no record has made.
    TokenUnknown,
    /// A transition fired that could not fire, or took and gave other tokens than it does.
    FiringImpossible,
    /// A firing id is in a case's log twice: one request was carried out twice.
    IdDoubled,
    /// A record is missing: another one, or the view, comes from it.
    RecordMissing,
    /// A record's bytes are not those that the next record was appended to.
    RecordChanged,
    /// A record can't be decoded.
    RecordUnreadable,
    /// A record contradicts itself or the one before it in something else than its tokens.
    RecordInconsistent,
    /// A weighted sum over the marking, which no firing changes (a P-invariant), is not that
    /// of the tokens that the case was given.
    InvariantBroken,
}

impl FindingKind {
    /// Its stored name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TokenLost => "token_lost",
            Self::TokenDoubled => "token_doubled",
            Self::TokenMisplaced => "token_misplaced",
            Self::TokenChanged => "token_changed",
            Self::TokenUnknown => "token_unknown",
            Self::FiringImpossible => "firing_impossible",
            Self::IdDoubled => "id_doubled",
            Self::RecordMissing => "record_missing",
            Self::RecordChanged => "record_changed",
            Self::RecordUnreadable => "record_unreadable",
            Self::RecordInconsistent => "record_inconsistent",
            Self::InvariantBroken => "invariant_broken",
        }
    }
}
