//! The connection: requests with a time limit, behind a circuit breaker.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use async_nats::{Client, HeaderMap, Message, Request, RequestErrorKind, StatusCode};
use bytes::Bytes;
use serde_json::Value;

use super::{
    NatsStorageConfig,
    breaker::Breaker,
    direct::MAX_BYTES,
    intake::Intake,
    interruption::{Interruption, Interruptions},
    options::{GRACE, backoff, connect_error, options, transient},
    refusal::ApiError,
};
use crate::storage::StorageError;

/// The oldest server with all that is needed: atomic conditions on a wildcard, per-message
/// time to live, batched direct get.
const MINIMUM_SERVER: (i64, i64, i64) = (2, 12, 0);

/// Longest time for a stream's leader to answer a request to it alone.
const LEADER_ANSWERS: Duration = Duration::from_secs(2);

/// A connection to one NATS system.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    pub client: Client,
    /// `$JS.API`, or that of a domain.
    pub api: String,
    pub breaker: Arc<Breaker>,
    interruptions: Arc<Interruptions>,
    /// Reads of one message that are on their way, and of many.
    pub(super) one: Arc<Intake>,
    pub(super) many: Arc<Intake>,
    /// Reason for which the last write was refused, where no later one was taken.
    pub(in crate::storage) refused: Arc<Mutex<BTreeMap<String, String>>>,
    /// True if the last write had no answer from a server that answers other requests.
    pub(in crate::storage) stuck: Arc<AtomicBool>,
    pub(in crate::storage) timeout: Duration,
}

impl Link {
    /// Connects; tries again with jittered exponential waits if the server can't be reached.
    pub(crate) async fn connect(config: &NatsStorageConfig) -> Result<Self, StorageError> {
        let breaker = Arc::new(Breaker::new(
            config.breaker_threshold,
            config.consumer_timeout.mul_f64(GRACE),
        ));
        let interruptions = Arc::new(Interruptions::new(config.inbox()));
        let mut attempt = 1;
        let client = loop {
            let begun = Instant::now();
            match options(config, &breaker, &interruptions)
                .await?
                .connect(config.urls.as_slice())
                .await
            {
                Ok(client) => break client,
                // Where nothing has greeted for so long, nothing will the next time.
                Err(error)
                    if attempt < config.connect_attempts
                        && transient(error.kind())
                        && begun.elapsed() < config.connect_timeout =>
                {
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
        let (refused, stuck, timeout) = (Arc::default(), Arc::default(), config.consumer_timeout);
        let one = Arc::new(Intake::new(client.server_info().max_payload));
        let many = Arc::new(Intake::new(MAX_BYTES));
        let link = Self { client, api, breaker, interruptions, one, many, refused, stuck, timeout };
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

    /// Longest time that an answer may take.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Number of connections that were made, the first one among them; counted before anything
    /// is sent through one.
    pub(crate) fn connections(&self) -> u64 {
        self.client.statistics().connects.load(Ordering::SeqCst)
    }

    /// Sends a request and waits for its answer; `None` if nobody listens there.
    pub(crate) fn request(
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
    pub(in crate::storage) async fn send(
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

    /// Answer of `work`, unless the connection is lost meanwhile, or the user may not publish to
    /// `subject`.
    pub(crate) async fn unless_interrupted<T>(
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

    /// Answer of `work`, unless the user may not publish to `subject`, where it has done so since
    /// `begun` at the earliest.
    pub(crate) async fn unless_denied<T>(
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

    /// Waits for the refusal of what was published to a subject at `since` or later. Cancel-safe.
    pub(in crate::storage) async fn denied(&self, subject: &str, since: Instant) -> String {
        self.interruptions.denied(subject, since).await
    }

    /// Waits for the refusal of a subscription to a subject that begins with one of these. Cancel-safe.
    pub(in crate::storage) async fn unheard(&self, beginnings: &[&str]) -> String {
        self.interruptions.unheard(beginnings).await
    }

    /// Calls the JetStream API.
    pub(crate) async fn call(
        &self,
        what: &str,
        body: &Value,
    ) -> Result<Result<Value, ApiError>, StorageError> {
        self.call_within(self.timeout, what, body).await
    }

    /// Calls a part of the JetStream API that a stream's leader answers. Without a leader
    /// nobody answers, and one elected meanwhile never hears of the request. So it waits for a
    /// shorter time, and the reader asks again.
    pub(crate) async fn call_leader(
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
                         server"
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
}

/// Status of a message that is a status and not data.
pub(crate) fn status(message: &Message) -> Option<(StatusCode, String)> {
    let status = message.status?;
    (status != StatusCode::OK).then(|| (status, message.description.clone().unwrap_or_default()))
}
