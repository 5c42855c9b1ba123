//! Open work in a work queue: a message for each offer, at a subject of its own, which is gone when it is
//! acknowledged; and a consumer for each class of a queue.

mod codec;
mod consumer;
mod offers;
mod open;
mod queues;

use std::time::Duration;

use async_trait::async_trait;

use super::{
    NatsStorage,
    deliveries::{Delivered, Source},
    direct::RawMessage,
    store::Inner,
};
use crate::{
    models::{CaseId, LogSequence, QueueId, WorkClass, WorkflowId},
    storage::{Delivery, Offer, Page, PageOf, QueueSettings, QueueState, Result, Work},
};

/// Bytes that an item of a page takes, by a rough estimate.
const BYTES: usize = 512;

/// The offers of a class of a queue. What is no offer is gone when it was told of: a work queue has no
/// place for what nobody can do.
struct Class<'a> {
    inner: &'a Inner,
    part: (QueueId, WorkClass),
    consumer: String,
}

impl Source for Class<'_> {
    type Item = Delivery;
    const ITEM: &'static str = "offer";

    fn names(&self) -> (&str, &str) {
        (&self.inner.work.stream.name, &self.consumer)
    }

    fn is_kept(&self) -> bool {
        self.inner.is_class_kept(&self.part)
    }

    fn keep(&self) -> impl Future<Output = Result<()>> + Send {
        self.inner.keep_class(&self.part.0, self.part.1)
    }

    fn read(&self, delivered: Delivered) -> std::result::Result<Delivery, String> {
        let Delivered { message, deliveries, pending: behind, receipt } = delivered;
        let offer = codec::decode(&message, &self.inner.subjects)?;
        Ok(Delivery { offer, deliveries, behind, published: message.timestamp, receipt })
    }
}

impl Inner {
    /// The offer of a message; what has none is told of and left out.
    fn offer_of(&self, message: &RawMessage) -> Option<Offer> {
        let refused = |reason: &String| {
            let (stream, subject) = (&self.work.stream.name, &message.subject);
            let sequence = message.sequence;
            tracing::warn!(stream, subject, sequence, reason, "this is no offer");
        };
        codec::decode(message, &self.subjects).inspect_err(refused).ok()
    }

    async fn offered_in(&self, workflow: &WorkflowId, case: &CaseId) -> Result<Vec<Offer>> {
        let filter = self.subjects.offers_of(workflow, case);
        let messages = self.all_of(&self.work.stream.name, &[filter]).await?;
        Ok(messages.iter().filter_map(|message| self.offer_of(message)).collect())
    }

    async fn all_offered(&self, page: Page) -> Result<PageOf<Offer>> {
        let stream = &self.work.stream.name;
        self.page_of(stream, &self.subjects.all_offers(), page, BYTES, |message| {
            self.offer_of(message)
        })
        .await
    }
}

#[async_trait]
impl Work for NatsStorage {
    async fn offer(&self, offers: &[Offer]) -> Result<()> {
        self.inner().offer(offers).await
    }

    async fn withdraw(&self, offers: &[Offer]) -> Result<()> {
        self.inner().withdraw(offers).await
    }

    async fn take(
        &self,
        queue: &QueueId,
        class: WorkClass,
        most: usize,
        wait: Duration,
    ) -> Result<Vec<Delivery>> {
        let (part, consumer) = ((queue.clone(), class), consumer::name(queue, class));
        let class = Class { inner: self.inner(), part, consumer };
        self.inner().take_from(&class, most, wait).await
    }

    async fn acknowledge(&self, delivery: &Delivery) -> Result<()> {
        let (inner, receipt) = (self.inner(), &delivery.receipt);
        inner.read(|| inner.acknowledge(&inner.work.stream.name, receipt)).await
    }

    async fn extend(&self, delivery: &Delivery) -> Result<()> {
        let (inner, receipt) = (self.inner(), &delivery.receipt);
        inner.read(|| inner.extend(&inner.work.stream.name, receipt)).await
    }

    async fn give_work_back(&self, delivery: &Delivery, delay: Duration) -> Result<()> {
        let (inner, receipt) = (self.inner(), &delivery.receipt);
        inner.read(|| inner.put_off(&inner.work.stream.name, receipt, delay)).await
    }

    async fn offered(&self, offers: &[Offer]) -> Result<Vec<bool>> {
        self.inner().offered(offers).await
    }

    async fn offered_in(&self, workflow: &WorkflowId, case: &CaseId) -> Result<Vec<Offer>> {
        self.inner().read(|| self.inner().offered_in(workflow, case)).await
    }

    async fn all_offered(&self, page: Page) -> Result<PageOf<Offer>> {
        self.inner().read(|| self.inner().all_offered(page)).await
    }

    async fn queue(&self, queue: &QueueId) -> Result<QueueState> {
        self.inner().read(|| self.inner().queue(queue)).await
    }

    async fn queues(&self) -> Result<Vec<QueueId>> {
        self.inner().read(|| self.inner().queues()).await
    }

    async fn set_queue(
        &self,
        queue: &QueueId,
        settings: QueueSettings,
        expected: Option<LogSequence>,
    ) -> Result<LogSequence> {
        self.inner().set_queue(queue, &settings, expected).await
    }

    async fn work_to_be_filled(&self) -> Result<Option<String>> {
        self.inner().life_to_be_filled(&self.inner().work.stream).await
    }

    async fn work_filled(&self, life: &str) -> Result<()> {
        self.inner().life_is_filled(&self.inner().work.stream, life).await
    }
}
