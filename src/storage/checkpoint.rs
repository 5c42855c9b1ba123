//! Losses of a view, and how far it is known to be right.

use crate::models::LogSequence;

/// Writes that a view has acknowledged and may have lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recovery {
    /// Nothing: it keeps what it acknowledges. In another life it may show what had been replaced: it
    /// was made again, or another of its replicas leads.
    Nothing(String),
    /// More than its last writes: it was missing and is being filled from the log, in this life.
    BeingFilled(String),
    /// Those for records of the log after the checkpoint.
    After(Checkpoint),
}

/// A position of the log up to which the views of all records are right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The life of the view within which it loses nothing, as its store tells one from another.
    pub life: String,
    /// The position, as long as the view lives; without one, nothing is known of any record.
    pub right: Option<LogSequence>,
    /// The position up to which they are right in every later life, too.
    pub kept: Option<LogSequence>,
}
