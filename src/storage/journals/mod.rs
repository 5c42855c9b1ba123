//! Journals of durable work items: what their handlers have done.

use std::fmt::Debug;

use async_trait::async_trait;

use super::Result;
use crate::models::{JournalEntry, JournalId, LogSequence, StoredEntry};

/// Journals, one of each durable item, in the log that has the cases.
///
/// # Contract
///
/// - **One log.** Entries have sequences of the same log as records and definitions, and are as durable. No record's
///   condition sees them, and no entry's condition sees a record or another journal: who writes one journal never races
///   with who writes another.
/// - **Compare-and-swap.** The expected sequence is that of the journal's last entry; `None` if there is none. A lost
///   race is [`LostRace`](super::StorageError::LostRace), and nothing was stored.
/// - **Atomicity.** An entry is stored whole or not at all. An error that is
///   [`retryable`](super::StorageError::retryable) and no lost race leaves open which; the caller looks at the last one.
/// - **Reads** are of whoever has everything that was stored: an entry is found as soon as its write has returned.
/// - **Absence** is no error: the word of the store. An entry that can't be decoded is one.
/// - **Clones** of an implementation (or of an `Arc` of it) share the journals.
///
/// `testing::conformance::journals` (feature `testing`) checks all of it, for any implementation.
#[async_trait]
pub trait Journals: Debug + Send + Sync {
    /// Stores an entry at the end of a journal whose last one is the expected one. Returns its sequence.
    async fn write_entry(
        &self,
        of: &JournalId,
        entry: &JournalEntry,
        expected: Option<LogSequence>,
    ) -> Result<LogSequence>;

    /// The last entry of a journal.
    async fn last_entry(&self, of: &JournalId) -> Result<Option<StoredEntry>>;

    /// The entries of a journal at these sequences, in their order; those that are not there, or are none of this
    /// journal, are left out.
    async fn entries_at(&self, of: &JournalId, at: &[LogSequence]) -> Result<Vec<StoredEntry>>;
}
