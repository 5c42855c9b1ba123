//! Journals in memory, in the log.

use async_trait::async_trait;
use chrono::Utc;

use super::{
    MemoryStorage,
    log::{Entry, Log},
};
use crate::{
    models::{JournalEntry, JournalId, LogSequence, StoredEntry},
    storage::{Journals, Result, StorageError},
};

impl Log {
    fn write_entry(
        &self,
        of: &JournalId,
        entry: &JournalEntry,
        expected: Option<LogSequence>,
    ) -> Result<LogSequence> {
        let JournalId { workflow, case, item } = of;
        let subject = format!("memory.workflows.{workflow}.journals.{case}.{item}");
        let bytes = serde_json::to_vec(entry);
        let size = match bytes {
            Ok(bytes) => bytes.len(),
            Err(error) => {
                return Err(StorageError::Unwritable { subject, reason: error.to_string() });
            }
        };
        if size > self.max_message {
            return Err(StorageError::TooLarge { subject, size, limit: self.max_message });
        }
        let mut state = self.state();
        if state.journals.get(of).copied() != expected {
            return Err(StorageError::LostRace { subject, expected });
        }
        let (sequence, timestamp) = (state.next_sequence(), Utc::now());
        let stored = StoredEntry { entry: entry.clone(), sequence, timestamp };
        state.entries.push(Entry::Journal(Box::new((of.clone(), stored))));
        state.journals.insert(of.clone(), sequence);
        self.has_grown(state.entries.len());
        Ok(sequence)
    }

    fn entry_at(&self, of: &JournalId, at: LogSequence) -> Option<StoredEntry> {
        match self.state().entry(at) {
            Some(Entry::Journal(entry)) if entry.0 == *of => Some(entry.1.clone()),
            _ => None,
        }
    }
}

#[async_trait]
impl Journals for MemoryStorage {
    async fn write_entry(
        &self,
        of: &JournalId,
        entry: &JournalEntry,
        expected: Option<LogSequence>,
    ) -> Result<LogSequence> {
        self.log.log.write_entry(of, entry, expected)
    }

    async fn last_entry(&self, of: &JournalId) -> Result<Option<StoredEntry>> {
        let log = &self.log.log;
        let last = log.state().journals.get(of).copied();
        Ok(last.and_then(|last| log.entry_at(of, last)))
    }

    async fn entries_at(&self, of: &JournalId, at: &[LogSequence]) -> Result<Vec<StoredEntry>> {
        Ok(at.iter().filter_map(|at| self.log.log.entry_at(of, *at)).collect())
    }
}
