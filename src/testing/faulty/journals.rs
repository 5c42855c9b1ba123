//! Journals behind faults.

use async_trait::async_trait;

use super::FaultyStorage;
use crate::{
    models::{JournalEntry, JournalId, LogSequence, StoredEntry},
    storage::{Journals, Result},
};

#[async_trait]
impl Journals for FaultyStorage {
    async fn write_entry(
        &self,
        of: &JournalId,
        entry: &JournalEntry,
        expected: Option<LogSequence>,
    ) -> Result<LogSequence> {
        self.reach()?.write_entry(of, entry, expected).await
    }

    async fn last_entry(&self, of: &JournalId) -> Result<Option<StoredEntry>> {
        self.reach()?.last_entry(of).await
    }

    async fn entries_at(&self, of: &JournalId, at: &[LogSequence]) -> Result<Vec<StoredEntry>> {
        self.reach()?.entries_at(of, at).await
    }
}
