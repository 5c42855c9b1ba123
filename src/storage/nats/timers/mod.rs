//! Timers in a stream of their own: a schedule for each that is armed, which the server replaces by a
//! message on another subject when it is due.

mod arm;
mod codec;
mod consumer;
mod listing;
mod pull;
mod strays;
mod take;

use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;

use super::{
    NatsStorage,
    leader::led,
    refusal::NOT_FOUND,
    store::Inner,
    streams::{self, settings},
};
use crate::{
    models::{CaseId, WorkflowId},
    storage::{Arming, Due, Page, PageOf, Result, Timers},
};

pub(super) use consumer::{CONSUMER, fault};

impl Inner {
    /// Makes the stream again where it is missing and this process may. Returns true if it was.
    async fn keep_timers(&self) -> Result<bool> {
        match self.timers.may_be_made {
            true => streams::keep_timers(&self.link, &self.config).await,
            false => Ok(false),
        }
    }

    /// The fault of the stream, for people. Whoever only looks needs none: a system of an earlier version
    /// has no timers.
    pub(super) async fn problem_of_timers(&self) -> Option<String> {
        let name = &self.timers.name;
        match self.link.call_leader(&format!("STREAM.INFO.{name}"), &Value::Null).await {
            Ok(Err(error)) if error.err_code == NOT_FOUND => {
                self.timers.may_be_made.then(|| streams::missing_timers(&self.config).to_string())
            }
            Ok(Err(error)) => Some(error.of_stream(name).to_string()),
            Ok(Ok(info)) => match led(name, &info) {
                Ok(()) => settings::differing_timers(&self.config, &info),
                Err(error) => Some(error.to_string()),
            },
            Err(error) => Some(error.to_string()),
        }
    }
}

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
        self.inner().read(|| self.inner().give_back(due, delay)).await
    }

    async fn armed_in(&self, workflow: &WorkflowId, case: &CaseId) -> Result<Vec<Arming>> {
        self.inner().read(|| self.inner().armed_in(workflow, case)).await
    }

    async fn armed(&self, page: Page) -> Result<PageOf<Arming>> {
        self.inner().read(|| self.inner().armed(page)).await
    }

    async fn to_be_filled(&self) -> Result<Option<String>> {
        let inner = self.inner();
        inner.keep_timers().await?;
        let created = inner.read(|| streams::timers_to_be_filled(&inner.link, &inner.timers.name));
        Ok(created.await?.map(|created| created.to_string()))
    }

    async fn filled(&self, life: &str) -> Result<()> {
        let inner = self.inner();
        // What is no JSON is no life of this store's.
        let created = serde_json::from_str(life).unwrap_or_default();
        inner.read(|| streams::note_filled(&inner.link, &inner.timers.name, &created)).await
    }
}
