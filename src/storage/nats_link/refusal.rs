//! JetStream's refusals, by their meaning to a caller (`server/errors.json` of nats-server).

use serde::Deserialize;

use crate::{models::LogSequence, storage::StorageError};

/// An error that JetStream answered.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct ApiError {
    #[serde(default)]
    pub code: u16,
    #[serde(default)]
    pub err_code: u64,
    #[serde(default)]
    pub description: String,
}

/// The stream that is asked for does not exist (`server/errors.json` of nats-server).
pub(crate) const NOT_FOUND: u64 = 10_059;

/// "Wrong last sequence": somebody was first.
pub(crate) const LOST_RACE: u64 = 10_071;

/// "Wrong last sequence" without a number: a message that changes it is on its way.
pub(crate) const IN_FLIGHT: u64 = 10_164;

/// "Atomic publish is disabled": the stream takes no batches.
pub(crate) const NO_BATCHES: u64 = 10_174;

/// "No suitable peers": of the servers that it could be on, too few are there.
const NO_PEERS: u64 = 10_005;

/// Account, server or stream limits.
pub(crate) const NO_SPACE: [u64; 4] = [10_002, 10_023, 10_028, 10_047];

/// Answers without a leader, of the stream or of the cluster, and during an election.
const ELECTION: [u64; 5] = [10_006, 10_007, 10_008, 10_009, 10_118];

impl ApiError {
    /// Returns true if nobody leads, of the stream or of the cluster.
    pub(crate) fn is_election(&self) -> bool {
        ELECTION.contains(&self.err_code)
    }

    /// The answer's meaning where a stream that should be there was asked for something.
    pub(crate) fn of_stream(self, stream: &str) -> StorageError {
        let stream = stream.to_owned();
        match self.err_code {
            NOT_FOUND => {
                let reason = "is missing; `petrel doctor` says what that means and what to do";
                StorageError::Stream { stream, reason: reason.to_owned() }
            }
            code if ELECTION.contains(&code) => no_leader(&stream),
            _ => StorageError::Stream { stream, reason: self.description },
        }
    }

    /// The answer's meaning for a request to make or change a stream or a consumer.
    pub(crate) fn of_making(self, stream: &str, what: &str) -> StorageError {
        let passes = self.err_code == NO_PEERS || ELECTION.contains(&self.err_code);
        let reason = format!("{what}: {}", self.description);
        match passes {
            true => StorageError::Unavailable {
                reason: format!(
                    "stream {stream} {reason}; too few servers are there at the moment, or they \
                     elect a leader"
                ),
                away_since: None,
            },
            false if self.err_code == NOT_FOUND => self.of_stream(stream),
            false => StorageError::Stream { stream: stream.to_owned(), reason },
        }
    }
}

/// The error for a stream without a leader. Nothing is lost, and it is over in seconds if most
/// of the servers are there.
pub(crate) fn no_leader(stream: &str) -> StorageError {
    StorageError::Unavailable {
        reason: format!("stream {stream} has no leader at the moment; the servers elect one"),
        away_since: None,
    }
}

/// Meaning of JetStream's error codes to a caller (`server/errors.json` of nats-server).
pub(crate) fn publish_error(
    error: ApiError,
    stream: &str,
    subject: String,
    expected: u64,
    size: usize,
) -> StorageError {
    let stream = stream.to_owned();
    match error.err_code {
        LOST_RACE => StorageError::LostRace { subject, expected: LogSequence::new(expected) },
        // It is within the server's limit, so it is the stream that has one of its own.
        10_054 => StorageError::Stream {
            stream,
            reason: format!(
                "max_msg_size: it refuses {subject} with {size} bytes; restart to mend it"
            ),
        },
        // Account, server or stream limits; and "store failed", which names the limit.
        code if NO_SPACE.contains(&code) => {
            StorageError::Full { stream, reason: error.description }
        }
        10_077 if error.description.contains("maximum") => {
            StorageError::Full { stream, reason: error.description }
        }
        code if ELECTION.contains(&code) => no_leader(&stream),
        _ if error.code == 503 => {
            StorageError::Unavailable { reason: error.description, away_since: None }
        }
        code => StorageError::Stream {
            stream,
            reason: format!("refuses {subject}: {} (error {code})", error.description),
        },
    }
}
