//! Journals that end a run where a test says.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use crate::{
    durable::journal::Journal,
    models::{
        EntryKind, JournalEntry, JournalId, LogSequence, Operation, OperationEnd, OperationKind,
        StoredEntry,
    },
    storage::{Journals, MemoryStorage, Result, StorageError},
};

/// The way in which a run ends before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Crash {
    Never,
    /// Before the entry of this number in the run is stored, counted from 0.
    Before(i64),
    /// After it is stored, and before the run learns it.
    After(i64),
    /// The answer to it is lost, and the run goes on.
    Unanswered(i64),
    /// Somebody outside answers the first operation just before it is stored, and the run goes on.
    Meets(i64),
    /// The same, after the others of the run had their turns.
    Holds(i64),
    /// It is stored, and its answer comes late.
    Slow(i64),
    /// The first operation is answered while the journal's end of this number is asked for, counted from 0.
    LooksLate(i64),
}

/// Journals that end a run.
#[derive(Debug)]
pub(super) struct Crashing {
    store: MemoryStorage,
    crash: Crash,
    left: AtomicI64,
    looks: AtomicI64,
    ends: CancellationToken,
}

impl Crashing {
    pub(super) fn new(store: MemoryStorage, crash: Crash, ends: CancellationToken) -> Self {
        Self { store, crash, left: AtomicI64::new(0), looks: AtomicI64::new(0), ends }
    }

    async fn crashed<T>(&self) -> T {
        self.ends.cancel();
        std::future::pending().await
    }
}

#[async_trait]
impl Journals for Crashing {
    async fn write_entry(
        &self,
        of: &JournalId,
        entry: &JournalEntry,
        expected: Option<LogSequence>,
    ) -> Result<LogSequence> {
        let number = self.left.fetch_add(1, Ordering::Relaxed);
        match self.crash {
            Crash::Before(at) if at == number => self.crashed().await,
            Crash::After(at) if at == number => {
                self.store.write_entry(of, entry, expected).await?;
                self.crashed().await
            }
            Crash::Meets(at) if at == number => {
                answers(&self.store, of).await;
                self.store.write_entry(of, entry, expected).await
            }
            Crash::Slow(at) if at == number => {
                let stored = self.store.write_entry(of, entry, expected).await;
                for _ in 0..100 {
                    tokio::task::yield_now().await;
                }
                stored
            }
            Crash::Holds(at) if at == number => {
                for _ in 0..100 {
                    tokio::task::yield_now().await;
                }
                answers(&self.store, of).await;
                self.store.write_entry(of, entry, expected).await
            }
            Crash::Unanswered(at) if at == number => {
                self.store.write_entry(of, entry, expected).await?;
                let reason = "the answer was lost".to_owned();
                Err(StorageError::Unavailable { reason, away_since: None })
            }
            _ => self.store.write_entry(of, entry, expected).await,
        }
    }

    async fn last_entry(&self, of: &JournalId) -> Result<Option<StoredEntry>> {
        let number = self.looks.fetch_add(1, Ordering::Relaxed);
        if self.crash == Crash::LooksLate(number) {
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            answers(&self.store, of).await;
        }
        self.store.last_entry(of).await
    }

    async fn entries_at(&self, of: &JournalId, at: &[LogSequence]) -> Result<Vec<StoredEntry>> {
        self.store.entries_at(of, at).await
    }
}

/// Somebody outside answers the first operation, with 7.
pub(super) async fn answers(store: &MemoryStorage, of: &JournalId) {
    let store: Arc<dyn Journals> = Arc::new(store.clone());
    let (journal, entries) = Journal::look(store, of.clone()).await.unwrap().unwrap();
    let (kind, name) = (OperationKind::Awakeable, String::new());
    let of = Operation { scope: String::new(), number: 1, kind, name, input_hash: None };
    let (end, by, notes) = (OperationEnd::Result(7.into()), None, Default::default());
    let resolved = EntryKind::Resolved { of, end, by, notes };
    journal.append_here(resolved, entries.last().unwrap().entry.time).await.unwrap();
}
