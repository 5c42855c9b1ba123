//! The connection: requests with a time limit, behind a circuit breaker.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering},
    time::{Duration, Instant},
};

use async_nats::{
    Client, HeaderMap, Message, Request, RequestErrorKind, StatusCode,
    header::{HeaderName, NATS_EXPECTED_LAST_SUBJECT_SEQUENCE},
};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;

use super::{
    NatsStorageConfig,
    breaker::Breaker,
    interruption::{Interruption, Interruptions},
    leader::takes,
    options::{GRACE, backoff, connect_error, options, transient},
    refusal::{ApiError, IN_FLIGHT, publish_error},
};
use crate::storage::StorageError;

/// The oldest server that has what is needed: atomic conditions on a wildcard, per-message
/// time to live, batched direct get.
const MINIMUM_SERVER: (i64, i64, i64) = (2, 12, 0);

/// How long a stream's leader may take to answer what is asked of it alone.
const LEADER_ANSWERS: Duration = Duration::from_secs(2);

/// Over which subjects a publish expects its last sequence, where not over its own.
const EXPECTED_SUBJECT: HeaderName =
    HeaderName::from_static("Nats-Expected-Last-Subject-Sequence-Subject");

/// A connection to one NATS system.
#[derive(Debug, Clone)]
pub struct Link {
    pub client: Client,
    /// `$JS.API`, or that of a domain.
    pub api: String,
    pub breaker: Arc<Breaker>,
    interruptions: Arc<Interruptions>,
    /// Why the last write was refused, where no later one was taken.
    refused: Arc<Mutex<Option<String>>>,
    timeout: Duration,
}

impl Link {
    /// Connects; tries again with jittered exponential waits if the server can't be reached.
    pub async fn connect(config: &NatsStorageConfig) -> Result<Self, StorageError> {
        let breaker = Arc::new(Breaker::new(
            config.breaker_threshold,
            config.consumer_timeout.mul_f64(GRACE),
        ));
        let interruptions = Arc::new(Interruptions::default());
        let mut attempt = 1;
        let client = loop {
            match options(config, &breaker, &interruptions)
                .await?
                .connect(config.urls.as_slice())
                .await
            {
                Ok(client) => break client,
                Err(error) if attempt < config.connect_attempts && transient(error.kind()) => {
                    let wait = backoff(attempt);
                    tracing::warn!(%error, attempt, ?wait, "can't connect yet, trying again");
                    tokio::time::sleep(wait).await;
                    attempt += 1;
                }
                Err(error) => return Err(connect_error(config, &error)),
            }
        };
        let api = match &config.domain {
            Some(domain) => format!("$JS.{domain}.API"),
            None => "$JS.API".to_owned(),
        };
        let (refused, timeout) = (Arc::default(), config.consumer_timeout);
        let link = Self { client, api, breaker, interruptions, refused, timeout };
        link.check_version()?;
        Ok(link)
    }

    fn check_version(&self) -> Result<(), StorageError> {
        let (major, minor, patch) = MINIMUM_SERVER;
        if self.client.is_server_compatible(major, minor, patch) {
            return Ok(());
        }
        Err(StorageError::Config {
            field: "urls".to_owned(),
            reason: format!(
                "the server has version {}, and {major}.{minor}.{patch} or newer is needed",
                self.client.server_info().version
            ),
        })
    }

    /// How long an answer may take.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// How many connections were made, the first one among them; counted before anything is
    /// sent through one.
    pub fn connections(&self) -> u64 {
        self.client.statistics().connects.load(Ordering::SeqCst)
    }

    /// Sends a request and waits for its answer; `None` if nobody listens there.
    pub fn request(
        &self,
        subject: String,
        headers: Option<HeaderMap>,
        payload: Bytes,
    ) -> impl Future<Output = Result<Option<Message>, StorageError>> {
        self.request_within(self.timeout, subject, headers, payload)
    }

    async fn request_within(
        &self,
        limit: Duration,
        subject: String,
        headers: Option<HeaderMap>,
        payload: Bytes,
    ) -> Result<Option<Message>, StorageError> {
        self.breaker.connected_within(limit).await?;
        self.send(limit, subject, headers, payload).await
    }

    /// Sends a request through the connection that there is, and waits for its answer.
    async fn send(
        &self,
        limit: Duration,
        subject: String,
        headers: Option<HeaderMap>,
        payload: Bytes,
    ) -> Result<Option<Message>, StorageError> {
        let mut request = Request::new().payload(payload).timeout(Some(limit));
        if let Some(headers) = headers {
            request = request.headers(headers);
        }
        let (begun, lost) = (Instant::now(), self.interruptions.lost());
        let answer = tokio::select! {
            biased;
            answer = self.client.send_request(subject.clone(), request) => answer,
            interruption = self.interruptions.of(&subject, begun, lost) => {
                return Err(self.interrupted(interruption, &subject, begun));
            }
        };
        match answer {
            Ok(message) => {
                self.breaker.answered();
                Ok(Some(message))
            }
            Err(error) => match error.kind() {
                RequestErrorKind::NoResponders => {
                    self.breaker.answered();
                    Ok(None)
                }
                RequestErrorKind::MaxPayloadExceeded => Err(StorageError::TooLarge {
                    subject,
                    size: self.client.max_payload() + 1,
                    limit: self.client.max_payload(),
                }),
                RequestErrorKind::TimedOut => {
                    let waited = format!("{subject}: no answer in {limit:?}");
                    Err(self.breaker.unanswered(&waited))
                }
                _ => Err(self.breaker.unanswered(&error.to_string())),
            },
        }
    }

    fn interrupted(
        &self,
        interruption: Interruption,
        subject: &str,
        begun: Instant,
    ) -> StorageError {
        match interruption {
            Interruption::Denied(what) => {
                self.breaker.answered();
                StorageError::Denied(what)
            }
            Interruption::ConnectionLost => StorageError::Unavailable {
                reason: format!(
                    "{subject}: the connection was lost {:?} after it was sent",
                    begun.elapsed()
                ),
                away_since: self.breaker.away_since(),
            },
        }
    }

    /// What `work` answers, unless the connection is lost meanwhile, or the user may not publish to
    /// `subject`.
    pub async fn unless_interrupted<T>(
        &self,
        subject: &str,
        work: impl Future<Output = Result<T, StorageError>>,
    ) -> Result<T, StorageError> {
        let (begun, lost) = (Instant::now(), self.interruptions.lost());
        tokio::select! {
            biased;
            answer = work => answer,
            interruption = self.interruptions.of(subject, begun, lost) => {
                Err(self.interrupted(interruption, subject, begun))
            }
        }
    }

    /// What `work` answers, unless the user may not publish to `subject`, where it has done so since
    /// `begun` at the earliest.
    pub async fn unless_denied<T>(
        &self,
        subject: &str,
        begun: Instant,
        work: impl Future<Output = T>,
    ) -> Result<T, StorageError> {
        tokio::select! {
            biased;
            answer = work => Ok(answer),
            what = self.interruptions.denied(subject, begun) => {
                self.breaker.answered();
                Err(StorageError::Denied(what))
            }
        }
    }

    /// Calls the JetStream API.
    pub async fn call(
        &self,
        what: &str,
        body: &Value,
    ) -> Result<Result<Value, ApiError>, StorageError> {
        self.call_within(self.timeout, what, body).await
    }

    /// Calls a part of the JetStream API that a stream's leader answers. While there is none
    /// nobody does, and who is elected meanwhile never hears of the request; so it waits for
    /// a shorter time, and whoever reads asks again.
    pub async fn call_leader(
        &self,
        what: &str,
        body: &Value,
    ) -> Result<Result<Value, ApiError>, StorageError> {
        self.call_within(self.timeout.min(LEADER_ANSWERS), what, body).await
    }

    async fn call_within(
        &self,
        limit: Duration,
        what: &str,
        body: &Value,
    ) -> Result<Result<Value, ApiError>, StorageError> {
        let payload = if body.is_null() { Bytes::new() } else { body.to_string().into() };
        let subject = format!("{}.{what}", self.api);
        let answer = self.request_within(limit, subject.clone(), None, payload).await?;
        let Some(answer) = answer else {
            return Err(StorageError::Stream {
                stream: subject,
                reason: "nothing answers there: JetStream is off for this account, or on this \
                         server; `petrel doctor` tells which"
                    .to_owned(),
            });
        };
        let mut answer: Value = serde_json::from_slice(&answer.payload).map_err(|error| {
            StorageError::Stream { stream: what.to_owned(), reason: format!("no JSON: {error}") }
        })?;
        match answer.get_mut("error") {
            Some(error) => Ok(Err(serde_json::from_value(error.take()).unwrap_or(ApiError {
                code: 500,
                err_code: 0,
                description: "an error without a description".to_owned(),
            }))),
            None => Ok(Ok(answer)),
        }
    }

    /// Publishes to a stream and answers the message's sequence. `expected` is the last
    /// sequence that the subject, or the wildcard named with it, must have. `headers` makes
    /// those that the message has beside that.
    pub async fn publish(
        &self,
        stream: &str,
        subject: String,
        expected: Expected<'_>,
        headers: impl Fn() -> HeaderMap,
        payload: Bytes,
    ) -> Result<u64, StorageError> {
        let published =
            self.publish_until_decided(stream, subject, expected, headers, payload).await;
        match &published {
            Ok(_) => *self.refused_write() = None,
            Err(error @ (StorageError::Full { .. } | StorageError::Denied(_))) => {
                *self.refused_write() = Some(error.to_string());
            }
            Err(_) => {}
        }
        published
    }

    /// Why the last write was refused for want of space or permission, where none was taken since.
    pub fn refused_write(&self) -> MutexGuard<'_, Option<String>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn publish_until_decided(
        &self,
        stream: &str,
        subject: String,
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
            headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, expected.sequence.to_string());
            if let Some(filter) = expected.filter {
                headers.insert(EXPECTED_SUBJECT, filter);
            }
            let size = payload.len() + header_bytes(&headers);
            let limit = self.client.max_payload();
            if size > limit {
                return Err(StorageError::TooLarge { subject, size, limit });
            }
            let error = match self.publish_once(stream, &subject, headers, &payload).await? {
                Ok(sequence) => return Ok(sequence),
                Err(error) => error,
            };
            if error.err_code != IN_FLIGHT {
                return Err(publish_error(error, stream, subject, expected.sequence, size));
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

    async fn publish_once(
        &self,
        stream: &str,
        subject: &str,
        headers: HeaderMap,
        payload: &Bytes,
    ) -> Result<Result<u64, ApiError>, StorageError> {
        let sent = self.send(self.timeout, subject.to_owned(), Some(headers), payload.clone());
        let Some(answer) = sent.await? else {
            return Err(Box::pin(self.nobody(stream, |config| takes(config, subject))).await);
        };
        let answer: PublishAnswer =
            serde_json::from_slice(&answer.payload).map_err(|error| StorageError::Stream {
                stream: stream.to_owned(),
                reason: format!("{subject} was not acknowledged by a stream: {error}"),
            })?;
        Ok(answer.error.map_or(Ok(answer.seq), Err))
    }
}

/// Jittered exponential: half to all of 1 ms, 2 ms, 4 ms … 64 ms.
fn in_flight_wait(tries: u32) -> Duration {
    let most = 1_000 << tries.min(6);
    Duration::from_micros(rand::random_range(most / 2..=most))
}

/// The condition of a publish.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// The last sequence that must be there; 0 for none.
    pub sequence: u64,
    /// Over which subjects; the message's own where absent.
    pub filter: Option<&'a str>,
}

#[derive(Deserialize)]
struct PublishAnswer {
    #[serde(default)]
    seq: u64,
    error: Option<ApiError>,
}

fn header_bytes(headers: &HeaderMap) -> usize {
    let line = |name: &str, value: &str| name.len() + value.len() + 4;
    let lines = headers
        .iter()
        .flat_map(|(name, values)| values.iter().map(move |v| line(name.as_ref(), v.as_str())));
    "NATS/1.0\r\n\r\n".len() + lines.sum::<usize>()
}

/// Whether a message is a status and not data, and which.
pub fn status(message: &Message) -> Option<(StatusCode, String)> {
    let status = message.status?;
    (status != StatusCode::OK).then(|| (status, message.description.clone().unwrap_or_default()))
}
