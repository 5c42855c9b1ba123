//! Contradictions between a record and the case that it was appended to.

use crate::models::{FORMAT_VERSION, LogSequence, PlaceId, TokenId};

/// The reason that a record does not follow from the case before it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Contradiction {
    /// A newer version wrote the record.
    #[error(
        "it has format {format}, and this version reads up to {FORMAT_VERSION}; use a newer one"
    )]
    Format {
        /// The record's format.
        format: u32,
    },
    /// The record follows another one, and there is no case before it.
    #[error("it follows record {previous}, which is missing")]
    Missing {
        /// The log sequence of the record that it follows.
        previous: LogSequence,
    },
    /// The record begins the case, which has begun already.
    #[error("it begins the case, which has record {last}")]
    Begins {
        /// The log sequence of the case's last record.
        last: LogSequence,
    },
    /// The record follows another one than the case's last.
    #[error("it follows record {previous}, not {last}")]
    Elsewhere {
        /// The log sequence of the record that it follows.
        previous: LogSequence,
        /// The log sequence of the case's last record.
        last: LogSequence,
    },
    /// The record follows another content of the case's last record.
    #[error("record {last} has changed since: its hash is another")]
    Changed {
        /// The log sequence of the case's last record.
        last: LogSequence,
    },
    /// The record's transition reads a token where it is not.
    #[error("token {token} was read in place {place}, but was not there")]
    NotRead {
        /// The token.
        token: TokenId,
        /// The place.
        place: PlaceId,
    },
    /// The record takes a token from where it is not.
    #[error("token {token} was not in place {place}")]
    NotTaken {
        /// The token.
        token: TokenId,
        /// The place.
        place: PlaceId,
    },
    /// The record leaves the history of a token to an earlier record, and the token is new.
    #[error("token {token} is new and leaves its history to record {base}")]
    NoHistory {
        /// The token.
        token: TokenId,
        /// The log sequence of the earlier record.
        base: LogSequence,
    },
    /// The record's marking has a token where it does not come to be.
    #[error(
        "the marking has token {token} in place {place}, which does not follow from the records"
    )]
    Marking {
        /// The token.
        token: TokenId,
        /// The place.
        place: PlaceId,
    },
    /// The record's marking lacks tokens.
    #[error("the marking has {marked} tokens and {alive} follow from the records")]
    Tokens {
        /// The number of tokens in the marking.
        marked: usize,
        /// The number of tokens that there are.
        alive: usize,
    },
}
