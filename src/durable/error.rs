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
    /// The journal can't be written, or read.
    Journal(StorageError),
    /// The attempt is to stop: its worker was told so.
    Stopped,
    /// All that runs of the handler waits, and another run is to go on.
    GivenBack,
    /// A wait that is longer than one can be.
    Wait(String),
    /// A running step uses the context.
    InStep,
    /// An operation or a scope has a name that none may have.
    Name(String),
}

/// Difference between the code and the journal.
#[derive(Debug)]
pub(super) enum Difference {
    /// Another operation at the same place.
    Other { stored: Operation, asked: Operation },
    /// A scope at the place of an operation or of another scope, or the other way round.
    Scope { stored: String, asked: String },
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
            Self::Scope { stored, asked } => {
                write!(f, "the journal has {stored}, and the code asks for {asked}")
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
            Self::Stopped => ("STOPPED", "the attempt was told to stop".to_owned()),
            Self::GivenBack => ("GIVEN_BACK", "another run is to go on".to_owned()),
            Self::Wait(reason) => ("WAIT_REFUSED", reason.clone()),
            Self::InStep => (
                "CONTEXT_IN_STEP",
                "a running step uses the context, and another run may not carry that step out: what comes from \
                 the context is taken before the step is made"
                    .to_owned(),
            ),
            Self::Name(reason) => ("NAME_REFUSED", reason.clone()),
        };
        let is_final = match self {
            // Another attempt may have a store that takes it, or a program that reads it.
            Self::Journal(StorageError::Corrupt { newer, .. }) => !newer,
            Self::Journal(StorageError::Unwritable { .. } | StorageError::TooLarge { .. }) => true,
            Self::Journal(_) | Self::Stopped | Self::GivenBack | Self::LeaseLost => false,
            _ => true,
        };
        Failure { code: code.to_owned(), message, is_final, ..Failure::default() }
    }
}
