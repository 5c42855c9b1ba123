//! Reading by consumer: ephemeral, without acknowledgements, deleted after use. It notices
//! a gap and starts again where it was, so that nothing is lost and nothing comes twice.

use std::{pin::Pin, time::Duration};

use async_nats::jetstream::{
    self, Message,
    consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull},
};
use chrono::{DateTime, Utc};
use futures::{Stream, StreamExt, stream};

use super::{
    Link,
    direct::{MAX_BYTES, RawMessage},
};
use crate::storage::{Result, StorageError};

/// How long to wait before a consumer is made again after the server was lost.
const RETRY_EVERY: Duration = Duration::from_millis(250);

/// Which messages a feed gives.
#[derive(Debug, Clone)]
pub struct FeedRequest {
    pub stream: String,
    /// Subjects, with wildcards.
    pub filter: String,
    /// The first sequence of interest, at least 1.
    pub from: u64,
    /// Only the newest message of each subject.
    pub last_of_each: bool,
    /// Without the messages' bodies.
    pub headers_only: bool,
    /// The last sequence of interest; without one the feed goes on for ever.
    pub until: Option<u64>,
    /// How many messages are asked for at once.
    pub batch: usize,
    /// How many times in a row a feed with an end is begun before it fails.
    pub tries: usize,
}

/// A feed of messages in the order of their sequences. Dropping it ends it; cancelling a wait
/// for its next message loses nothing.
pub struct Feed {
    link: Link,
    jetstream: jetstream::Context,
    request: FeedRequest,
    next: u64,
    /// How many times in a row nothing came.
    failed: usize,
    open: Option<Open>,
    ended: bool,
}

struct Open {
    messages: Pin<Box<pull::Stream>>,
    /// The consumer's own count of what it delivered.
    delivered: u64,
    _delete: DeleteOnDrop,
}

impl Feed {
    pub fn new(link: &Link, jetstream: &jetstream::Context, request: FeedRequest) -> Self {
        let next = request.from.max(1);
        let (link, jetstream) = (link.clone(), jetstream.clone());
        Self { link, jetstream, request, next, failed: 0, open: None, ended: false }
    }

    /// The feed as a stream of its own.
    pub fn into_stream(self) -> impl Stream<Item = Result<RawMessage>> + Send + 'static {
        stream::unfold(self, |mut feed| async move {
            let item = feed.next().await?;
            Some((item, feed))
        })
    }

    /// The next message; `None` at the end. A feed without an end waits out every absence of
    /// the server; one with an end fails after some tries, and at once while the server is
    /// known to be away.
    pub async fn next(&mut self) -> Option<Result<RawMessage>> {
        loop {
            if self.ended || self.request.until.is_some_and(|until| self.next > until) {
                self.open = None;
                return None;
            }
            match self.step().await {
                Ok(Step::Message(message)) => {
                    self.failed = 0;
                    return Some(Ok(message));
                }
                Ok(Step::Again) => {}
                Ok(Step::End) => self.ended = true,
                Err(error) => {
                    self.open = None;
                    self.failed += 1;
                    let lasting = match self.request.until {
                        Some(_) => {
                            !error.retryable()
                                || self.failed >= self.request.tries
                                || self.link.breaker.check().is_err()
                        }
                        None => !error.retryable() && !matches!(error, StorageError::Stream { .. }),
                    };
                    if lasting {
                        self.ended = true;
                        return Some(Err(error));
                    }
                    tracing::debug!(%error, from = self.next, "feed lost, starting again");
                    tokio::time::sleep(RETRY_EVERY).await;
                }
            }
        }
    }

    async fn step(&mut self) -> Result<Step> {
        if self.open.is_none() && !self.start().await? {
            return Ok(Step::End);
        }
        let Some(open) = &mut self.open else { return Ok(Step::End) };
        let wait = self.link.timeout();
        let item = match self.request.until {
            Some(_) => tokio::time::timeout(wait, open.messages.next())
                .await
                .map_err(|_| self.link.breaker.unanswered(&format!("no message in {wait:?}")))?,
            None => open.messages.next().await,
        };
        let message = match item {
            Some(Ok(message)) => message,
            Some(Err(error)) => {
                let reason = format!("the consumer failed: {error}");
                return Err(StorageError::Unavailable { reason, away_since: None });
            }
            None => {
                let reason = "the consumer ended".to_owned();
                return Err(StorageError::Unavailable { reason, away_since: None });
            }
        };
        let info = message.info().map_err(|error| StorageError::Stream {
            stream: self.request.stream.clone(),
            reason: format!("a message came without its place in the stream: {error}"),
        })?;
        let (sequence, pending, delivered) =
            (info.stream_sequence, info.pending, info.consumer_sequence);
        let published = info.published;
        if delivered != open.delivered + 1 {
            // Something was delivered into a connection that broke.
            tracing::debug!(from = self.next, "a gap in the feed, starting again");
            self.open = None;
            return Ok(Step::Again);
        }
        open.delivered = delivered;
        // The last message of interest may be gone by now, and those after it without end.
        let is_past = self.request.until.is_some_and(|until| sequence > until);
        if is_past || (self.request.until.is_some() && pending == 0) {
            self.ended = true;
        }
        if is_past || sequence < self.next {
            return Ok(Step::Again);
        }
        self.next = sequence + 1;
        Ok(Step::Message(raw(message, sequence, published)))
    }

    /// Makes the consumer; false if there is nothing to read and never will be.
    async fn start(&mut self) -> Result<bool> {
        self.link.breaker.check()?;
        let deliver_policy = match self.request.last_of_each {
            true => DeliverPolicy::LastPerSubject,
            false => DeliverPolicy::ByStartSequence { start_sequence: self.next },
        };
        let config = pull::Config {
            deliver_policy,
            ack_policy: AckPolicy::None,
            filter_subject: self.request.filter.clone(),
            headers_only: self.request.headers_only,
            memory_storage: true,
            num_replicas: 1,
            inactive_threshold: self.link.timeout().max(Duration::from_secs(5)) * 2,
            ..Default::default()
        };
        let made = self.jetstream.create_consumer_on_stream(config, &self.request.stream).await;
        let consumer: PullConsumer = made.map_err(|error| {
            use async_nats::jetstream::stream::ConsumerErrorKind as Kind;
            match error.kind() {
                Kind::TimedOut | Kind::Request => self.link.breaker.unanswered(&error.to_string()),
                _ => StorageError::Stream {
                    stream: self.request.stream.clone(),
                    reason: format!("can't be read by a consumer: {error}"),
                },
            }
        })?;
        self.link.breaker.answered();
        let info = consumer.cached_info();
        let delete = DeleteOnDrop {
            jetstream: self.jetstream.clone(),
            stream: self.request.stream.clone(),
            consumer: info.name.clone(),
        };
        if self.request.until.is_some() && info.num_pending == 0 {
            return Ok(false);
        }
        let messages = consumer
            .stream()
            .max_messages_per_batch(self.request.batch)
            // A message that is larger than this would never come.
            .max_bytes_per_batch(MAX_BYTES.max(2 * self.link.client.max_payload()))
            .heartbeat(Duration::from_secs(2))
            .expires(Duration::from_secs(20))
            .messages()
            .await
            .map_err(|error| self.link.breaker.unanswered(&error.to_string()))?;
        let messages = Box::pin(messages);
        self.open = Some(Open { messages, delivered: 0, _delete: delete });
        Ok(true)
    }
}

enum Step {
    Message(RawMessage),
    Again,
    End,
}

fn raw(message: Message, sequence: u64, timestamp: DateTime<Utc>) -> RawMessage {
    let message = message.split().0;
    RawMessage {
        subject: message.subject.to_string(),
        sequence,
        timestamp,
        headers: message.headers.unwrap_or_default(),
        payload: message.payload,
    }
}

/// Deletes a consumer when its reader is done. If the server is away, the consumer's own
/// inactivity limit does it.
struct DeleteOnDrop {
    jetstream: jetstream::Context,
    stream: String,
    consumer: String,
}

impl Drop for DeleteOnDrop {
    fn drop(&mut self) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let (jetstream, stream, consumer) =
            (self.jetstream.clone(), std::mem::take(&mut self.stream), self.consumer.clone());
        runtime.spawn(async move {
            let deleted = jetstream.delete_consumer_from_stream(consumer, stream).await;
            if let Err(error) = deleted {
                tracing::debug!(%error, "an ephemeral consumer is left to expire");
            }
        });
    }
}
