//! Timers in a stream of their own: a schedule for each that is armed, which the server replaces by a
//! message on another subject when it is due.

mod arm;
mod codec;
mod consumer;
mod listing;
mod strays;
mod take;

use std::time::Duration;

use async_trait::async_trait;

use super::NatsStorage;
use crate::{
    models::{CaseId, WorkflowId},
    storage::{Arming, Due, Page, PageOf, Result, Timers},
};

pub(super) use consumer::{CONSUMER, fault};

#[async_trait]
impl Timers for NatsStorage {
    fn lease(&self) -> Duration {
        consumer::LEASE
    }

    async fn arm(&self, armings: &[Arming]) -> Result<()> {
        self.inner().arm(armings).await
    }

    async fn disarm(&self, armings: &[Arming]) -> Result<()> {
        self.inner().disarm(armings).await
    }

    async fn take_due(&self, most: usize, wait: Duration) -> Result<Vec<Due>> {
        self.inner().take_due(most, wait).await
    }

    async fn settle(&self, due: &Due) -> Result<()> {
        self.inner().read(|| self.inner().settle(due)).await
    }

    async fn give_back(&self, due: &Due, delay: Duration) -> Result<()> {
        let stream = &self.inner().timers.stream.name;
        self.inner().read(|| self.inner().put_off(stream, &due.receipt, delay)).await
    }

    async fn armed_in(&self, workflow: &WorkflowId, cases: &[CaseId]) -> Result<Vec<Arming>> {
        self.inner().read(|| self.inner().armed_in(workflow, cases)).await
    }

    async fn armed(&self, page: Page) -> Result<PageOf<Arming>> {
        self.inner().read(|| self.inner().armed(page)).await
    }

    async fn to_be_filled(&self) -> Result<Option<String>> {
        self.inner().life_to_be_filled(&self.inner().timers.stream).await
    }

    async fn filled(&self, life: &str) -> Result<()> {
        self.inner().life_is_filled(&self.inner().timers.stream, life).await
    }
}
