//! Taking what has come due, and settling it.

use std::{sync::atomic::Ordering, time::Duration};

use super::{codec, consumer::CONSUMER};
use crate::storage::{
    Due, Result,
    nats::{
        deliveries::{Delivered, Source},
        store::Inner,
    },
};

/// The consumer of what has come due. What is no timer stays in the stream.
struct DueTimers<'a>(&'a Inner);

impl Source for DueTimers<'_> {
    type Item = Due;
    const ITEM: &'static str = "timer";

    fn names(&self) -> (&str, &str) {
        (&self.0.timers.stream.name, CONSUMER)
    }

    fn is_kept(&self) -> bool {
        self.0.timers.has_consumer.load(Ordering::Relaxed)
    }

    fn keep(&self) -> impl Future<Output = Result<()>> + Send {
        self.0.keep_consumer()
    }

    fn look_after(&self) -> impl Future<Output = ()> + Send {
        self.0.look_for_strays()
    }

    fn read(&self, delivered: Delivered) -> std::result::Result<Due, String> {
        let Delivered { message, receipt, .. } = delivered;
        let arming = codec::decode(&message, &self.0.subjects)?;
        Ok(Due { arming, at: message.timestamp, receipt })
    }
}

impl Inner {
    /// Takes up to `most` that have come due, of as many as a scan asks for at once.
    pub(super) async fn take_due(&self, most: usize, wait: Duration) -> Result<Vec<Due>> {
        self.take_from(&DueTimers(self), most, wait).await
    }

    /// Deletes the message and acknowledges it, in this order: acknowledged and not deleted, it would
    /// neither come again nor let its timer be armed again.
    pub(super) async fn settle(&self, due: &Due) -> Result<()> {
        let stream = &self.timers.stream.name;
        self.delete_received(stream, &due.receipt).await?;
        // The consumer passes over what is deleted, so nothing waits for an answer.
        self.acknowledge_soon(stream, &due.receipt).await
    }
}
