//! Calls of open work that are passed on, or lost.

use std::time::Duration;

use async_trait::async_trait;

use super::{FaultyStorage, unanswered};
use crate::{
    models::{CaseId, LogSequence, QueueId, WorkClass, WorkflowId},
    storage::{Delivery, Offer, Page, PageOf, QueueSettings, QueueState, Result, Work},
};

#[async_trait]
impl Work for FaultyStorage {
    async fn offer(&self, offers: &[Offer]) -> Result<()> {
        self.state.send_modify(|state| state.offer_calls += 1);
        if self.state.borrow().offers_dropped {
            return Err(unanswered());
        }
        self.reach()?.offer(offers).await
    }

    async fn withdraw(&self, offers: &[Offer]) -> Result<()> {
        self.reach()?.withdraw(offers).await
    }

    async fn take(
        &self,
        queue: &QueueId,
        class: WorkClass,
        most: usize,
        wait: Duration,
    ) -> Result<Vec<Delivery>> {
        self.may_panic("take");
        self.reach()?.take(queue, class, most, wait).await
    }

    async fn acknowledge(&self, delivery: &Delivery) -> Result<()> {
        if self.state.borrow().acknowledgements_dropped {
            return Err(unanswered());
        }
        self.reach()?.acknowledge(delivery).await
    }

    async fn extend(&self, delivery: &Delivery) -> Result<()> {
        self.reach()?.extend(delivery).await
    }

    async fn give_work_back(&self, delivery: &Delivery, delay: Duration) -> Result<()> {
        self.reach()?.give_work_back(delivery, delay).await
    }

    async fn offered(&self, offers: &[Offer]) -> Result<Vec<bool>> {
        self.reach()?.offered(offers).await
    }

    async fn offered_in(&self, workflow: &WorkflowId, case: &CaseId) -> Result<Vec<Offer>> {
        self.reach()?.offered_in(workflow, case).await
    }

    async fn all_offered(&self, page: Page) -> Result<PageOf<Offer>> {
        self.reach()?.all_offered(page).await
    }

    async fn queue(&self, queue: &QueueId) -> Result<QueueState> {
        self.reach()?.queue(queue).await
    }

    async fn queues(&self) -> Result<Vec<QueueId>> {
        self.reach()?.queues().await
    }

    async fn set_queue(
        &self,
        queue: &QueueId,
        settings: QueueSettings,
        expected: Option<LogSequence>,
    ) -> Result<LogSequence> {
        self.reach()?.set_queue(queue, settings, expected).await
    }

    async fn work_to_be_filled(&self) -> Result<Option<String>> {
        self.reach()?.work_to_be_filled().await
    }

    async fn work_filled(&self, life: &str) -> Result<()> {
        self.reach()?.work_filled(life).await
    }
}
