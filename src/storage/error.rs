//! Errors of a store, by the caller's way to deal with them.

use chrono::{DateTime, Utc};

use crate::models::{LogSequence, ViewSequence};

/// A failed storage operation. Each variant says if trying again helps.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// Somebody else wrote first. Nothing was stored. Read again and decide again.
    #[error("{subject}: expected {}, but the server has another one", last(.expected))]
    LostRace {
        /// The subject that was to be written.
        subject: String,
        /// The sequence that the writer had seen; `None` if he had seen that nothing is there.
        expected: Option<LogSequence>,
    },
    /// A message of the log can't be read. Other cases are not affected.
    #[error("{subject} at sequence {sequence} can't be decoded: {reason}")]
    Corrupt {
        /// The message's subject.
        subject: String,
        /// Its sequence.
        sequence: LogSequence,
        /// The reason that it can't be read.
        reason: String,
        /// True if a newer version wrote it, which can read it.
        newer: bool,
    },
    /// A message of the view can't be read. The log has what it should say.
    #[error("{subject} at sequence {sequence} can't be decoded: {reason}")]
    CorruptView {
        /// The message's subject.
        subject: String,
        /// Its sequence.
        sequence: ViewSequence,
        /// The reason that it can't be read.
        reason: String,
    },
    /// A message can't be written as JSON. Nothing was stored.
    #[error("{subject} can't be written as JSON: {reason}")]
    Unwritable {
        /// The subject that was to be written.
        subject: String,
        /// The reason that it can't be written.
        reason: String,
    },
    /// The message is larger than the server takes. Nothing was stored.
    #[error(
        "{subject}: the message has {size} bytes and the server takes at most {limit}; \
         carry less data in the case's tokens, or raise max_payload on the server"
    )]
    TooLarge {
        /// The subject that was to be written.
        subject: String,
        /// The message's size in bytes.
        size: usize,
        /// The server's limit in bytes.
        limit: usize,
    },
    /// The log refuses writes because it has reached a limit. Nothing was stored.
    #[error("stream {stream} is full: {reason}; raise its limits, nothing is dropped by itself")]
    Full {
        /// The stream.
        stream: String,
        /// Message of the server.
        reason: String,
    },
    /// A stream is missing, or set up in a way that can't be worked with or mended.
    #[error("stream {stream}: {reason}")]
    Stream {
        /// The stream.
        stream: String,
        /// The fault, with the name of the field and a way to mend it.
        reason: String,
    },
    /// The log lacks messages that were read from it before: an earlier copy was put back, or
    /// another log stands in its place. A feed can't go on from there.
    #[error(
        "stream {stream} has gone back: what was at sequence {expected} is not in it, and it {}; \
         begin again with what it has now",
        ends(.actual)
    )]
    LogWentBack {
        /// The stream.
        stream: String,
        /// The last sequence that was read, or that the caller has seen.
        expected: LogSequence,
        /// The last sequence that it has now; `None` if it is empty.
        actual: Option<LogSequence>,
    },
    /// The settings are wrong.
    #[error("setting {field}: {reason}")]
    Config {
        /// The field of the configuration.
        field: String,
        /// The fault of its value.
        reason: String,
    },
    /// The server refuses the credentials or lacks a permission.
    #[error("not permitted: {0}")]
    Denied(String),
    /// The server did not answer, or not in time. The request may have been carried out or
    /// not.
    #[error("the server did not answer: {reason}{}", since(.away_since))]
    Unavailable {
        /// The event that kept the answer away.
        reason: String,
        /// Time since which the server has been away, if that is known.
        away_since: Option<DateTime<Utc>>,
    },
}

fn since(away: &Option<DateTime<Utc>>) -> String {
    away.map_or_else(String::new, |at| format!(" (away since {})", at.to_rfc3339()))
}

fn last(expected: &Option<LogSequence>) -> String {
    expected.map_or_else(|| "no message".to_owned(), |last| format!("last sequence {last}"))
}

fn ends(actual: &Option<LogSequence>) -> String {
    actual.map_or_else(|| "is empty".to_owned(), |actual| format!("ends at {actual}"))
}

impl StorageError {
    /// Returns true if the same call may succeed when it is made again later.
    pub fn retryable(&self) -> bool {
        matches!(self, Self::LostRace { .. } | Self::Unavailable { .. })
    }
}
