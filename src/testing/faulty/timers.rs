//! Calls of the timers that are passed on, or lost.

use std::time::Duration;

use async_trait::async_trait;

use super::{FaultyStorage, unanswered};
use crate::{
    models::{CaseId, WorkflowId},
    storage::{Arming, Due, Page, PageOf, Result, Timers},
};

#[async_trait]
impl Timers for FaultyStorage {
    fn lease(&self) -> Duration {
        self.inner.lease()
    }

    async fn arm(&self, armings: &[Arming]) -> Result<()> {
        self.state.send_modify(|state| state.arm_calls += 1);
        if self.state.borrow().arms_dropped {
            return Err(unanswered());
        }
        self.reach()?.arm(armings).await
    }

    async fn disarm(&self, armings: &[Arming]) -> Result<()> {
        self.reach()?.disarm(armings).await
    }

    async fn take_due(&self, most: usize, wait: Duration) -> Result<Vec<Due>> {
        self.may_panic("take_due");
        self.reach()?.take_due(most, wait).await
    }

    async fn settle(&self, due: &Due) -> Result<()> {
        if self.state.borrow().settlements_dropped {
            return Err(unanswered());
        }
        self.reach()?.settle(due).await
    }

    async fn give_back(&self, due: &Due, delay: Duration) -> Result<()> {
        self.reach()?.give_back(due, delay).await
    }

    async fn armed_in(&self, workflow: &WorkflowId, cases: &[CaseId]) -> Result<Vec<Arming>> {
        self.reach()?.armed_in(workflow, cases).await
    }

    async fn armed(&self, page: Page) -> Result<PageOf<Arming>> {
        self.reach()?.armed(page).await
    }

    async fn to_be_filled(&self) -> Result<Option<String>> {
        self.reach()?.to_be_filled().await
    }

    async fn filled(&self, life: &str) -> Result<()> {
        self.reach()?.filled(life).await
    }
}
