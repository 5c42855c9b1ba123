//! Storing a message on a condition, and what it means when that is not acknowledged.

use std::{
    collections::BTreeMap,
    sync::{MutexGuard, PoisonError, atomic::Ordering},
    time::{Duration, Instant},
};

use async_nats::{
    HeaderMap,
    header::{HeaderName, NATS_EXPECTED_LAST_SUBJECT_SEQUENCE},
};
use bytes::Bytes;
use serde::Deserialize;

use super::{
    Link,
    leader::takes,
    refusal::{ApiError, IN_FLIGHT, publish_error},
};
use crate::storage::StorageError;

/// Longest time that a write may take where the one before had no answer: who has waited for that one learns
/// within seconds that the next has none either.
const STUCK_ANSWERS: Duration = Duration::from_secs(2);

/// Explanation for a server that answers, and does not say that it has stored a message. nats-server
/// 2.15.1 does so where the disk has no room: until it is restarted, also when there is room again.
const NOT_STORING: &str = "the server answers other requests, so it can't store, or very slowly: is \
                           its disk full or broken, or are most of the replicas away? Its log says \
                           so. After room was made on a full disk it must be restarted";

/// Over which subjects a publish expects its last sequence, where not over its own.
const EXPECTED_SUBJECT: HeaderName =
    HeaderName::from_static("Nats-Expected-Last-Subject-Sequence-Subject");

impl Link {
    /// Publishes to a stream and answers the message's sequence. `expected` is the last
    /// sequence that the subject, or the wildcard named with it, must have. `headers` makes
    /// those that the message has beside that.
    pub(crate) async fn publish(
        &self,
        stream: &str,
        subject: &str,
        expected: Expected<'_>,
        headers: impl Fn() -> HeaderMap,
        payload: Bytes,
    ) -> Result<u64, StorageError> {
        let published =
            self.publish_until_decided(stream, subject, expected, headers, payload).await;
        match &published {
            Ok(_) => self.has_stored(stream),
            Err(error @ (StorageError::Full { .. } | StorageError::Denied(_))) => {
                self.refused_writes().insert(stream.to_owned(), error.to_string());
            }
            Err(_) => {}
        }
        published
    }

    /// Notes that a stream has taken a write.
    pub(super) fn has_stored(&self, stream: &str) {
        self.refused_writes().remove(stream);
        self.stuck.store(false, Ordering::Relaxed);
    }

    /// For each stream, the reason for which its last write was refused for want of space or permission, or not
    /// answered by a server that answers other requests, where it has taken none since.
    pub(crate) fn refused_writes(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn publish_until_decided(
        &self,
        stream: &str,
        subject: &str,
        expected: Expected<'_>,
        headers: impl Fn() -> HeaderMap,
        payload: Bytes,
    ) -> Result<u64, StorageError> {
        let (begun, mut tries) = (Instant::now(), 0);
        let connections = self.connections();
        loop {
            // It was decided on what was read through this connection. Behind the next one the log
            // may have gone back, and its numbers fit all the same; so nothing waits for that.
            self.breaker.check()?;
            if self.connections() != connections {
                let reason = format!("{subject}: the connection was made anew; nothing was stored");
                return Err(StorageError::Unavailable { reason, away_since: None });
            }
            let mut headers = headers();
            expected.add_to(&mut headers);
            let size = payload.len() + header_bytes(&headers);
            let limit = self.client.max_payload();
            if size > limit {
                let subject = subject.to_owned();
                return Err(StorageError::TooLarge { subject, size, limit });
            }
            let error = match self.publish_once(stream, subject, headers, &payload).await? {
                Ok(answer) => return Ok(answer.seq),
                Err(error) => error,
            };
            if error.err_code != IN_FLIGHT {
                return Err(publish_error(
                    error,
                    stream,
                    subject.to_owned(),
                    expected.sequence,
                    size,
                ));
            }
            // With replicas: another message under this fence is being agreed upon, and it is
            // not decided yet who was first; only 10071 says that. So the same message is sent
            // again, until that one is in or given up: a round between replicas, or an election.
            if begun.elapsed() > self.timeout {
                let reason = format!(
                    "{subject}: another write was under way for {:?}; nothing was stored",
                    begun.elapsed()
                );
                return Err(StorageError::Unavailable { reason, away_since: None });
            }
            Box::pin(tokio::time::sleep(in_flight_wait(tries))).await;
            tries += 1;
        }
    }

    pub(super) async fn publish_once(
        &self,
        stream: &str,
        subject: &str,
        headers: HeaderMap,
        payload: &Bytes,
    ) -> Result<Result<PublishAnswer, ApiError>, StorageError> {
        let limit = match self.stuck.load(Ordering::Relaxed) {
            true => self.timeout.min(STUCK_ANSWERS),
            false => self.timeout,
        };
        let begun = Instant::now();
        let sent = self.send(limit, subject.to_owned(), Some(headers), payload.clone()).await;
        if let Err(StorageError::Unavailable { reason, .. }) = &sent
            && begun.elapsed() >= limit
            && self.stores_nothing(stream).await
        {
            let reason = format!("{reason}; {NOT_STORING}");
            let told = format!("stream {stream}: {reason}");
            self.refused_writes().insert(stream.to_owned(), told);
            self.stuck.store(true, Ordering::Relaxed);
            return Err(StorageError::Unavailable { reason, away_since: None });
        }
        let Some(answer) = sent? else {
            return Err(Box::pin(self.nobody(stream, |config| takes(config, subject))).await);
        };
        let mut answer: PublishAnswer =
            serde_json::from_slice(&answer.payload).map_err(|error| StorageError::Stream {
                stream: stream.to_owned(),
                reason: format!("{subject} was not acknowledged by a stream: {error}"),
            })?;
        Ok(answer.error.take().map_or(Ok(answer), Err))
    }
}

/// Jittered exponential: half to all of 1 ms, 2 ms, 4 ms … 64 ms.
fn in_flight_wait(tries: u32) -> Duration {
    let most = 1_000 << tries.min(6);
    Duration::from_micros(rand::random_range(most / 2..=most))
}

/// The condition of a publish.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expected<'a> {
    /// The last sequence that must be there; 0 for none.
    pub sequence: u64,
    /// Over which subjects; the message's own where absent.
    pub filter: Option<&'a str>,
}

impl Expected<'_> {
    pub(super) fn add_to(&self, headers: &mut HeaderMap) {
        headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, self.sequence.to_string());
        if let Some(filter) = self.filter {
            headers.insert(EXPECTED_SUBJECT, filter);
        }
    }
}

#[derive(Deserialize)]
pub(super) struct PublishAnswer {
    #[serde(default)]
    pub seq: u64,
    /// Number of messages of a batch.
    #[serde(default)]
    pub count: usize,
    error: Option<ApiError>,
}

fn header_bytes(headers: &HeaderMap) -> usize {
    let line = |name: &str, value: &str| name.len() + value.len() + 4;
    let lines = headers
        .iter()
        .flat_map(|(name, values)| values.iter().map(move |v| line(name.as_ref(), v.as_str())));
    "NATS/1.0\r\n\r\n".len() + lines.sum::<usize>()
}
