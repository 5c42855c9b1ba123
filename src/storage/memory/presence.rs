//! The workers of a process that has its storage in memory.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;

use super::MemoryStorage;
use crate::storage::{Announced, Presence, PresentWorker, Result, Source, WorkerCard};

/// Workers in memory. A clone shares them.
#[derive(Debug, Clone, Default)]
pub struct MemoryPresence {
    workers: Arc<Mutex<Workers>>,
}

#[derive(Debug, Default)]
struct Workers {
    announced: BTreeMap<u64, (WorkerCard, Source)>,
    last: u64,
}

/// A worker among the others, until it is dropped.
struct Entry {
    of: MemoryPresence,
    number: u64,
}

impl MemoryPresence {
    /// Nobody.
    pub fn new() -> Self {
        Self::default()
    }

    fn all(&self) -> MutexGuard<'_, Workers> {
        // Nothing panics between the parts of one change, so the state is whole.
        self.workers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.of.all().announced.remove(&self.number);
    }
}

#[async_trait]
impl Presence for MemoryPresence {
    async fn announce(&self, card: WorkerCard, source: Source) -> Result<Announced> {
        let mut workers = self.all();
        workers.last += 1;
        let number = workers.last;
        workers.announced.insert(number, (card, source));
        Ok(Announced::until_dropped(Entry { of: self.clone(), number }))
    }

    async fn workers(&self) -> Result<Vec<PresentWorker>> {
        // A source may do as it likes, so it is asked without the lock.
        let all: Vec<_> = self.all().announced.iter().map(|(id, of)| (*id, of.clone())).collect();
        let answer = |(id, (card, source)): (u64, (WorkerCard, Source))| {
            let (id, version) = (id.to_string(), env!("CARGO_PKG_VERSION").to_owned());
            PresentWorker { id, version, card, doing: source.now() }
        };
        let mut found: Vec<_> = all.into_iter().map(answer).collect();
        found.sort_by(|one, other| one.card.name.cmp(&other.card.name));
        Ok(found)
    }
}

#[async_trait]
impl Presence for MemoryStorage {
    async fn announce(&self, card: WorkerCard, source: Source) -> Result<Announced> {
        self.presence.announce(card, source).await
    }

    async fn workers(&self) -> Result<Vec<PresentWorker>> {
        self.presence.workers().await
    }
}
