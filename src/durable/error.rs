//! Ends of a run.

use std::fmt;

use crate::{
    models::{Failure, Operation},
    storage::StorageError,
};

/// End of a run that its handler does not see: at that point nothing more of it is carried out.
#[derive(Debug)]
pub(super) enum Fatal {
    /// The code asks for something else than the journal has.
    Differs(Difference),
    /// Another worker has begun the item.
    LeaseLost,
    /// Nobody knows if a step that is carried out at most once had its effect.
    Unknown { of: Operation, attempt: u64 },
    /// The journal can't be written.
    Journal(StorageError),
}

/// Difference between the code and the journal.
#[derive(Debug)]
pub(super) enum Difference {
    /// Another operation at the same place.
    Other { stored: Operation, asked: Operation },
    /// The handler ended, and the journal has more.
    EndsEarly { more: usize, first: Operation },
    /// The stored result is not what the code reads.
    Unreadable { of: Operation, reason: String },
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Other { stored, asked } => {
                write!(f, "the journal has {stored}, and the code asks for {asked}")?;
                let (was, is) = (&stored.input_hash, &asked.input_hash);
                match was == is {
                    true => Ok(()),
                    false => write!(f, ", with another input ({} and {})", hash(was), hash(is)),
                }
            }
            Self::EndsEarly { more, first } => write!(
                f,
                "the code ends, and the journal has {more} more operations; the first of them is {first}"
            ),
            Self::Unreadable { of, reason } => {
                write!(
                    f,
                    "the result that the journal has of {of} is not what the code reads: {reason}"
                )
            }
        }
    }
}

fn hash(of: &Option<String>) -> &str {
    of.as_ref().map_or("none", |hash| &hash[..hash.len().min(12)])
}

/// Code of a handler that differs from its journal.
pub(super) const NON_DETERMINISTIC: &str = "NON_DETERMINISTIC";

/// Code of a step of which nobody knows if it had its effect.
pub(super) const OUTCOME_UNKNOWN: &str = "OUTCOME_UNKNOWN";

impl Fatal {
    /// The failure of the attempt.
    pub(super) fn failure(&self) -> Failure {
        let (code, message) = match self {
            Self::Differs(difference) => (
                NON_DETERMINISTIC,
                format!(
                    "{difference}. Nothing after that was carried out. Serve code that fits, and retry the \
                     incident"
                ),
            ),
            Self::LeaseLost => ("LEASE_LOST", "another worker has begun the item".to_owned()),
            Self::Unknown { of, attempt } => (
                OUTCOME_UNKNOWN,
                format!(
                    "the worker was lost in attempt {attempt} at {of}, which is carried out at most once: nobody \
                     knows if it had its effect"
                ),
            ),
            Self::Journal(error) => ("JOURNAL_REFUSED", error.to_string()),
        };
        Failure { code: code.to_owned(), message, is_final: true, ..Failure::default() }
    }
}
