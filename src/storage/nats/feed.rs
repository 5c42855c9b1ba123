//! Reading by consumer: ephemeral, without acknowledgements, deleted after use. It notices
//! a gap and starts again where it was, so that nothing is lost and nothing comes twice.

use std::{
    pin::Pin,
    time::{Duration, Instant},
};

use async_nats::jetstream::{
    self, Message,
    consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull},
};
use chrono::{DateTime, Utc};
use futures::{Stream, StreamExt, stream};

use super::{
    Link,
    direct::{Asked, MAX_BYTES, Query, RawMessage},
    refusal::ApiError,
};
use crate::{
    models::LogSequence,
    storage::{Result, StorageError},
};

/// Wait before a consumer is made again after the server was lost.
const RETRY_EVERY: Duration = Duration::from_millis(250);

/// Time given to a consumer that says that nothing is pending, while the leader has more,
/// before the leader is asked again.
const LAG: Duration = Duration::from_millis(20);

/// Number of times in a row, [`RETRY_EVERY`] apart, that the log must lack a message that was
/// read from it: a leader that was frozen answers with its old state, for a moment.
const MOST_DOUBTS: u32 = 8;

/// Choice of messages that a feed gives.
#[derive(Debug, Clone)]
pub(super) struct FeedRequest {
    pub stream: String,
    /// Subjects, with wildcards.
    pub filter: String,
    /// The first sequence of interest, at least 1.
    pub from: u64,
    /// True for the newest message of each subject only.
    pub last_of_each: bool,
    /// True to leave out the messages' bodies.
    pub headers_only: bool,
    /// The last sequence of interest; without one the feed goes on for ever.
    pub until: Option<u64>,
    /// Number of messages that are asked for at once.
    pub batch: usize,
    /// Number of times in a row that a feed with an end is begun before it fails.
    pub tries: usize,
    /// True if the stream has replicas. A consumer of one that lags says that nothing is
    /// pending; then the leader is asked if that is the end.
    pub replicated: bool,
}

/// A feed of messages in the order of their sequences. Dropping it ends it; cancelling a wait
/// for its next message loses nothing.
pub(super) struct Feed {
    link: Link,
    jetstream: jetstream::Context,
    request: FeedRequest,
    next: u64,
    /// Sequence and time of the last message that was given.
    last: Option<(u64, DateTime<Utc>)>,
    /// Number of times in a row that nothing came.
    failed: usize,
    /// Number of times in a row that the log lacked a message that was read from it.
    doubts: u32,
    open: Option<Open>,
    ended: bool,
}

struct Open {
    messages: Pin<Box<pull::Stream>>,
    /// Subject on which its messages are asked for, and the time of the first one.
    asked: String,
    begun: Instant,
    /// The consumer's own count of what it delivered.
    delivered: u64,
    /// True if it says that nothing is pending.
    drained: bool,
    /// Time since which it says so though there is more.
    lags_since: Option<Instant>,
    _delete: DeleteOnDrop,
}

impl Feed {
    pub(super) fn new(link: &Link, jetstream: &jetstream::Context, request: FeedRequest) -> Self {
        let next = request.from.max(1);
        let (link, jetstream) = (link.clone(), jetstream.clone());
        Self {
            link,
            jetstream,
            request,
            next,
            last: None,
            failed: 0,
            doubts: 0,
            open: None,
            ended: false,
        }
    }

    /// Lets a feed of which nothing was read yet begin at another sequence.
    pub(super) fn begin_at(&mut self, from: u64) {
        self.next = from.max(1);
    }

    /// The feed as a stream of its own.
    pub(super) fn into_stream(self) -> impl Stream<Item = Result<RawMessage>> + Send + 'static {
        stream::unfold(self, |mut feed| async move {
            let item = feed.next().await?;
            Some((item, feed))
        })
    }

    /// The next message; `None` at the end. A feed without an end waits out every absence of
    /// the server, and fails if the log has gone back; one with an end fails after some tries,
    /// and at once while the server is known to be away.
    pub(super) async fn next(&mut self) -> Option<Result<RawMessage>> {
        loop {
            if self.ended || self.request.until.is_some_and(|until| self.next > until) {
                self.open = None;
                return None;
            }
            match self.step().await {
                Ok(Step::Message(message)) => {
                    self.failed = 0;
                    self.last = Some((message.sequence, message.timestamp));
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
                                || self.link.breaker.refuses()
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
        if self.open.is_none() {
            self.start().await?;
        }
        if self.open.as_ref().is_some_and(|open| open.drained) && !self.has_more().await? {
            return Ok(Step::End);
        }
        let wait = self.link.timeout();
        let Some(open) = &mut self.open else { return Ok(Step::End) };
        let messages = self.link.unless_denied(&open.asked, open.begun, open.messages.next());
        let item = match self.request.until {
            Some(_) if open.drained => {
                let since = *open.lags_since.get_or_insert_with(Instant::now);
                match tokio::time::timeout(LAG, messages).await {
                    Ok(item) => item,
                    Err(_) if since.elapsed() < wait => return Ok(Step::Again),
                    Err(_) => {
                        let reason = format!("a replica has lagged for {wait:?}");
                        return Err(StorageError::Unavailable { reason, away_since: None });
                    }
                }
            }
            Some(_) => tokio::time::timeout(wait, messages)
                .await
                .map_err(|_| self.link.breaker.unanswered(&format!("no message in {wait:?}")))?,
            None => messages.await,
        };
        let message = match item? {
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
        (open.drained, open.lags_since) = (self.request.until.is_some() && pending == 0, None);
        if is_past || (open.drained && !self.request.replicated) {
            self.ended = true;
        }
        if is_past || sequence < self.next {
            return Ok(Step::Again);
        }
        self.next = sequence + 1;
        Ok(Step::Message(raw(message, sequence, published)))
    }

    /// Returns true if the leader has more of interest than a consumer that says that nothing
    /// is pending.
    async fn has_more(&self) -> Result<bool> {
        let (Some(until), true) = (self.request.until, self.request.replicated) else {
            return Ok(false);
        };
        let FeedRequest { stream, filter, .. } = &self.request;
        let next = self.link.get(stream, Query::Next(filter, self.next), Asked::Leader).await?;
        match next {
            Some(next) => Ok(next.sequence <= until),
            None => self.link.must_reach(stream, until).await.map(|()| false),
        }
    }

    /// Checks that the log has the last message that was read from it, or the part before the
    /// beginning.
    async fn check_log(&mut self) -> Result<()> {
        let stream = self.request.stream.clone();
        let Some(expected) = LogSequence::new(self.next - 1) else { return Ok(()) };
        let here = match self.last {
            Some((sequence, time)) => {
                let found = self.link.get(&stream, Query::At(sequence), Asked::Leader).await?;
                found.is_some_and(|found| found.timestamp == time)
            }
            None => self.ends_at().await? >= Some(expected),
        };
        if here {
            self.doubts = 0;
            return Ok(());
        }
        let actual = self.ends_at().await?;
        self.doubts += 1;
        if self.doubts < MOST_DOUBTS {
            let end = actual.map_or(0, LogSequence::get);
            let reason = format!("{stream} ends at {end} now, before {expected}");
            return Err(StorageError::Unavailable { reason, away_since: None });
        }
        Err(StorageError::LogWentBack { stream, expected, actual })
    }

    async fn ends_at(&self) -> Result<Option<LogSequence>> {
        Ok(LogSequence::new(self.link.ends_at(&self.request.stream).await?))
    }

    /// Makes the consumer, unless there is nothing to read and never will be.
    async fn start(&mut self) -> Result<()> {
        self.link.breaker.check()?;
        if self.request.until.is_none() {
            self.check_log().await?;
        }
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
        let (stream, begun) = (self.request.stream.as_str(), Instant::now());
        let subject = format!("{}.CONSUMER.CREATE.{stream}", self.link.api);
        let making = self.jetstream.create_consumer_on_stream(config, stream);
        let made = self.link.unless_denied(&subject, begun, making).await?;
        let consumer: PullConsumer = made.map_err(|error| {
            use async_nats::jetstream::stream::ConsumerErrorKind as Kind;
            match error.kind() {
                Kind::TimedOut | Kind::Request => self.link.breaker.unanswered(&error.to_string()),
                Kind::JetStream(refusal) => {
                    let refusal = ApiError {
                        code: u16::try_from(refusal.code()).unwrap_or_default(),
                        err_code: refusal.error_code().0,
                        description: refusal.to_string(),
                    };
                    refusal.of_making(&self.request.stream, "can't be read by a consumer")
                }
                _ => StorageError::Stream {
                    stream: self.request.stream.clone(),
                    reason: format!("can't be read by a consumer: {error}"),
                },
            }
        })?;
        self.link.breaker.answered();
        let info = consumer.cached_info();
        let asked =
            format!("{}.CONSUMER.MSG.NEXT.{}.{}", self.link.api, info.stream_name, info.name);
        let delete = DeleteOnDrop {
            jetstream: self.jetstream.clone(),
            stream: self.request.stream.clone(),
            consumer: info.name.clone(),
        };
        let drained = self.request.until.is_some() && info.num_pending == 0;
        if drained && !self.has_more().await? {
            return Ok(());
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
        let (delivered, lags_since) = (0, None);
        self.open =
            Some(Open { messages, asked, begun, delivered, drained, lags_since, _delete: delete });
        Ok(())
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
