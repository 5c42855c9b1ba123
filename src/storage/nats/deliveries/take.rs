//! Taking what a consumer gives out.

use std::time::{Duration, Instant};

use async_nats::{Message, jetstream};

use super::{
    answer,
    pull::{Asked, Pulled},
};
use crate::storage::{
    Receipt, Result, StorageError,
    nats::{direct::RawMessage, options::backoff, store::Inner},
};

/// Longest time of one pull. An idle one hears nothing of a restart.
const PULL: Duration = Duration::from_secs(5);

/// A message that was given out.
#[derive(Debug)]
pub(in crate::storage::nats) struct Delivered {
    /// The message, with the time at which it was stored.
    pub message: RawMessage,
    /// Number of times that it was given out, as far as the consumer remembers.
    pub deliveries: u64,
    /// Number of messages that the consumer had not given out yet.
    pub pending: u64,
    pub receipt: Receipt,
}

/// A consumer whose messages are taken, and their meaning to whoever takes them.
pub(in crate::storage::nats) trait Source: Sync {
    /// A message's meaning.
    type Item: Send;

    /// A word for what is taken, for people.
    const ITEM: &'static str;

    /// Names of the stream and of the consumer.
    fn names(&self) -> (&str, &str);

    /// True if the consumer has been there, with the settings that are needed.
    fn is_kept(&self) -> bool;

    /// Makes the consumer where it is missing, and the stream if that is.
    fn keep(&self) -> impl Future<Output = Result<()>> + Send;

    /// Looks after the consumer, before each pull.
    fn look_after(&self) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }

    /// The meaning of a message. The error is the reason that it has none.
    fn read(&self, delivered: Delivered) -> std::result::Result<Self::Item, String>;
}

impl Inner {
    /// Takes up to `most`, of as many as a scan asks for at once: those that are there, or the first in
    /// this time.
    pub(in crate::storage::nats) async fn take_from<S: Source>(
        &self,
        source: &S,
        most: usize,
        wait: Duration,
    ) -> Result<Vec<S::Item>> {
        let (begun, most) = (Instant::now(), most.min(self.config.scan_batch));
        let mut failed = 0;
        loop {
            let left = wait.saturating_sub(begun.elapsed());
            if most == 0 {
                return Ok(Vec::new());
            }
            match self.take_once(source, most, left.min(PULL)).await {
                Ok(items) if !items.is_empty() || begun.elapsed() >= wait => return Ok(items),
                Ok(_) => failed = 0,
                Err(error) if !error.retryable() || begun.elapsed() >= wait => return Err(error),
                Err(error) => {
                    failed += 1;
                    tracing::debug!(%error, failed, "nothing can be taken at the moment, trying again");
                    let left = wait.saturating_sub(begun.elapsed());
                    tokio::time::sleep(backoff(failed).min(left)).await;
                }
            }
        }
    }

    /// Those that are there now, or the first in this time and what came with it.
    async fn take_once<S: Source>(
        &self,
        source: &S,
        most: usize,
        wait: Duration,
    ) -> Result<Vec<S::Item>> {
        let (begun, mut is_kept) = (Instant::now(), source.is_kept());
        if !is_kept {
            source.keep().await?;
        }
        source.look_after().await;
        let mut asked = Asked::Some(most);
        loop {
            let left = wait.saturating_sub(begun.elapsed());
            match self.pull(source.names(), asked, left).await? {
                Pulled::Messages(messages) => {
                    let is_over = messages.is_empty();
                    let items = self.items_of(source, messages).await;
                    // What is nobody's must not hide what is behind it.
                    if is_over || !items.is_empty() {
                        return Ok(items);
                    }
                }
                Pulled::Others if left.is_zero() => return Ok(Vec::new()),
                // Asked again at once it would say so again at once. This one stands in line.
                Pulled::Others => asked = Asked::One,
                Pulled::Nobody if is_kept => {
                    source.keep().await?;
                    is_kept = false;
                }
                Pulled::Nobody => {
                    let (stream, consumer) = source.names();
                    let reason = format!(
                        "stream {stream}: nobody leads the consumer {consumer} at the moment"
                    );
                    return Err(StorageError::Unavailable { reason, away_since: None });
                }
            }
        }
    }

    /// The meanings of messages. One that has none is told of and never given out again.
    async fn items_of<S: Source>(&self, source: &S, messages: Vec<Message>) -> Vec<S::Item> {
        let mut items = Vec::with_capacity(messages.len());
        for message in messages {
            // Without it, nothing would be known of the message, and nothing could be said.
            let Some(reply) = message.reply.clone() else { continue };
            let message = jetstream::Message { message, context: self.jetstream.clone() };
            let (sequence, timestamp, deliveries, pending) = match message.info() {
                Ok(info) => (info.stream_sequence, info.published, info.delivered, info.pending),
                Err(error) => {
                    tracing::warn!(%error, subject = %message.subject, "a message came from nowhere");
                    continue;
                }
            };
            let message = message.split().0;
            let subject = message.subject.to_string();
            let message = RawMessage {
                subject: subject.clone(),
                sequence,
                timestamp,
                headers: message.headers.unwrap_or_default(),
                payload: message.payload,
            };
            let deliveries = u64::try_from(deliveries).unwrap_or(1);
            let receipt = answer::receipt(sequence, &reply);
            match source.read(Delivered { message, deliveries, pending, receipt }) {
                Ok(item) => items.push(item),
                Err(reason) => {
                    let (stream, item) = (source.names().0, S::ITEM);
                    tracing::warn!(
                        stream,
                        subject,
                        sequence,
                        reason,
                        "this is no {item}, and is not given out again"
                    );
                    // If that is lost, it comes and is told of once more.
                    let _ = self.link.client.publish(reply, answer::NEVER).await;
                }
            }
        }
        items
    }
}
