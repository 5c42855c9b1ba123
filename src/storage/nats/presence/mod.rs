//! Presence by the services API of NATS (ADR-32): a worker is an instance of a service, which answers
//! `$SRV.PING`, `INFO` and `STATS`, and has an endpoint that says what it does now. Nothing is stored, and no
//! message is sent unless somebody asks.

mod codec;

use std::time::{Duration, Instant};

use async_nats::{
    StatusCode, Subject,
    service::{Service, ServiceExt, endpoint::Endpoint},
};
use async_trait::async_trait;
use futures::{FutureExt, StreamExt};
use tokio::task::JoinHandle;

use super::{Link, NatsStorage, store::Inner};
use crate::storage::{
    Announced, Presence, PresentWorker, Result, Source, StorageError, WorkerCard,
};

/// Longest wait for the next answer after one, and for all of them together. On one server they come
/// within milliseconds (`docs/experiments.md`).
const NEXT_WITHIN: Duration = Duration::from_millis(200);
const ALL_WITHIN: Duration = Duration::from_secs(1);

/// Name of the endpoint that says what a worker does now.
const ENDPOINT: &str = "state";

/// Beginning of the subjects of the services API.
const SERVICES: &str = "$SRV.";

const DESCRIPTION: &str = "Storm Petrel: a worker, which carries out activities.";

/// The parts of a worker's announcement, which end when it is dropped.
struct Running {
    service: Option<Service>,
    answering: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.answering.abort();
        // It waits for nothing; a service that is only dropped goes on to answer.
        let _ = self.service.take().and_then(|service| service.stop().now_or_never());
    }
}

impl Inner {
    async fn announce(&self, card: WorkerCard, source: Source) -> Result<Announced> {
        let lost = |error: async_nats::Error| self.link.breaker.unanswered(&error.to_string());
        let (link, prefix, version) =
            (self.link.clone(), &self.config.prefix, env!("CARGO_PKG_VERSION"));
        let (name, metadata) = (format!("petrel-worker-{prefix}"), codec::metadata(&card, prefix));
        let client = link.client.clone();
        let state = move |id: &str| {
            let (id, version) = (id.to_owned(), version.to_owned());
            let (card, doing) = (card.clone(), source.now());
            let mut worker = PresentWorker { id, version, card, doing };
            let encoded = codec::encode(&mut worker, client.max_payload() / 2);
            (worker, encoded)
        };
        let of_stats = state.clone();
        let stats = move |_: String, _| {
            // A service whose answer is larger than a message may be would never answer again.
            serde_json::to_value(of_stats("").0.doing).unwrap_or_default()
        };
        let service = link.client.service_builder().description(DESCRIPTION).metadata(metadata);
        let service = service.stats_handler(stats).start(name, version).await.map_err(lost)?;
        let id = service.info().await.id;
        // Each is the only one of its group, so that all of them answer.
        let endpoint = service.endpoint_builder().name(ENDPOINT).queue_group(&id);
        let endpoint = match endpoint.add(self.subjects.workers()).await {
            Ok(endpoint) => endpoint,
            Err(error) => {
                let _ = service.stop().now_or_never();
                return Err(lost(error));
            }
        };
        let (worker, prefix) = (id.clone(), prefix.clone());
        let answering = Answering { link, prefix, worker, told: false, last: None };
        let answering = tokio::spawn(answering.run(endpoint, move || state(&id).1));
        Ok(Announced::until_dropped(Running { service: Some(service), answering }))
    }

    async fn workers(&self) -> Result<Vec<PresentWorker>> {
        let subject = self.subjects.workers();
        self.link.breaker.connected_within(self.link.timeout()).await?;
        let mut found = self.link.unless_interrupted(&subject, self.gather(&subject)).await?;
        let key = |worker: &PresentWorker| (worker.card.name.clone(), worker.id.clone());
        found.sort_by_cached_key(key);
        Ok(found)
    }

    /// The answers that come in time. Nobody knows how many there will be.
    async fn gather(&self, subject: &str) -> Result<Vec<PresentWorker>> {
        let lost = |error: &dyn std::fmt::Display| self.link.breaker.unanswered(&error.to_string());
        let client = &self.link.client;
        let inbox = client.new_inbox();
        let mut answers = client.subscribe(inbox.clone()).await.map_err(|error| lost(&error))?;
        let sent = client.publish_with_reply(subject.to_owned(), inbox, bytes::Bytes::new()).await;
        sent.map_err(|error| lost(&error))?;
        let end = tokio::time::Instant::now() + ALL_WITHIN;
        let (mut until, mut found) = (end, Vec::new());
        while let Ok(Some(answer)) = tokio::time::timeout_at(until, answers.next()).await {
            self.link.breaker.answered();
            if answer.status == Some(StatusCode::NO_RESPONDERS) {
                break;
            }
            until = end.min(tokio::time::Instant::now() + NEXT_WITHIN);
            match codec::decode(&answer.payload) {
                Some(worker) => found.push(worker),
                // Whoever else listens there, as a stream of all subjects.
                None => tracing::debug!(subject, "an answer is no worker's"),
            }
        }
        Ok(found)
    }
}

/// Answers of one worker, and what keeps them from others.
struct Answering {
    link: Link,
    prefix: String,
    worker: String,
    /// True if it was told that a right is missing.
    told: bool,
    /// The subject of the last answer, and its time.
    last: Option<(Subject, Instant)>,
}

impl Answering {
    async fn run(mut self, mut endpoint: Endpoint, state: impl Fn() -> bytes::Bytes) {
        let workers = format!("{}.workers.", self.prefix);
        let heard = [SERVICES, workers.as_str()];
        loop {
            let (link, last) = (&self.link, &self.last);
            let refused = async {
                match last {
                    Some((subject, since)) => link.denied(subject, *since).await,
                    None => std::future::pending().await,
                }
            };
            // All are cancel-safe.
            tokio::select! {
                request = endpoint.next() => {
                    let Some(request) = request else { return };
                    let Some(reply) = request.message.reply.clone() else { continue };
                    self.last = Some((reply, Instant::now()));
                    if let Err(error) = request.respond(Ok(state())).await {
                        tracing::debug!(%error, "who asked for this worker has no answer");
                    }
                }
                what = link.unheard(&heard), if !self.told => self.tell(&what),
                what = refused, if !self.told => self.tell(&what),
            }
        }
    }

    /// Says once that others do not see the worker, or not with all tools.
    fn tell(&mut self, what: &str) {
        self.told = true;
        let prefix = &self.prefix;
        tracing::warn!(
            instance = self.worker,
            "{what}: this worker works, and is not seen by all who ask for it; grant this user: subscribe \
             [\"{SERVICES}>\", \"{prefix}.workers.>\"], and allow_responses (or publish to the \
             inboxes of those who ask)"
        );
    }
}

#[async_trait]
impl Presence for NatsStorage {
    async fn announce(&self, card: WorkerCard, source: Source) -> Result<Announced> {
        self.inner().announce(card, source).await
    }

    async fn workers(&self) -> Result<Vec<PresentWorker>> {
        match self.inner().workers().await {
            Err(StorageError::Denied(what)) => Err(StorageError::Denied(format!(
                "{what}; grant this user: publish [\"{}.workers.>\"]",
                self.inner().config.prefix
            ))),
            found => found,
        }
    }
}
