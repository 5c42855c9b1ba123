//! Calls of presence that are passed on.

use async_trait::async_trait;

use super::FaultyStorage;
use crate::storage::{Announced, Presence, PresentWorker, Result, Source, WorkerCard};

#[async_trait]
impl Presence for FaultyStorage {
    async fn announce(&self, card: WorkerCard, source: Source) -> Result<Announced> {
        self.reach()?.announce(card, source).await
    }

    async fn workers(&self) -> Result<Vec<PresentWorker>> {
        self.reach()?.workers().await
    }
}
