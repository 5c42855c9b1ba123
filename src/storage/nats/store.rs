//! The storage itself: a connection, its settings and its subjects.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, atomic::AtomicBool},
    time::{Duration, Instant},
};

use async_nats::jetstream;
use async_trait::async_trait;
use serde_json::Value;

use super::{
    Link, NatsStorageConfig, Seen, Subjects,
    feed::{Feed, FeedRequest},
    group::Group,
    leader::led,
    listing::Listings,
    options::backoff,
    streams::{self, Filling, Purpose, Role},
};
use crate::{
    models::{QueueId, WorkClass},
    storage::{Health, Result, Storage, StorageError, WriteLevel},
};

/// A stream beside the log and its view of tokens.
#[derive(Debug)]
pub(super) struct OtherStream {
    pub role: Role,
    /// Its name.
    pub name: String,
    /// True if this process may make the stream again where it is missing.
    pub may_be_made: bool,
}

/// Knowledge of a connection about the timers.
#[derive(Debug)]
pub(super) struct TimerStream {
    pub stream: OtherStream,
    /// True if the consumer has been there, with the settings that are needed.
    pub has_consumer: AtomicBool,
    /// Time of the last look for messages that were acknowledged and are there.
    pub looked: Mutex<Option<Instant>>,
}

/// Knowledge of a connection about open work.
#[derive(Debug)]
pub(super) struct WorkStream {
    pub stream: OtherStream,
    /// Time at which each consumer was there, with the settings of its queue.
    pub consumers: Mutex<HashMap<(QueueId, WorkClass), Instant>>,
}

/// Longest time for streams that others make at this moment to be there and to have leaders, and for an
/// election, which takes 4 to 9 s.
const LEADERS_WITHIN: Duration = Duration::from_secs(10);

/// Storage in NATS JetStream. A clone shares the connection.
#[derive(Debug, Clone)]
pub struct NatsStorage {
    inner: Arc<Inner>,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub link: Link,
    pub jetstream: jetstream::Context,
    pub config: NatsStorageConfig,
    pub subjects: Subjects,
    pub seen: Arc<Seen>,
    pub listings: Listings,
    /// True if somebody was told that the view is on another server than this process is connected to.
    pub is_far: AtomicBool,
    /// Appends to the log.
    pub group: Arc<Group>,
    pub timers: TimerStream,
    pub work: WorkStream,
    pub beats: OtherStream,
    /// True if the view was made again and is to be filled from the log.
    filling: bool,
}

impl NatsStorage {
    /// Connects as a process does that serves. Checks the settings and the server's version;
    /// makes all streams where neither log nor view is there, and where the log stands the view (see
    /// [`is_view_to_be_filled`](Self::is_view_to_be_filled)), timers, open work and beats; brings them up to date. A log that is
    /// missing beside a view of it is an error.
    pub async fn connect(config: NatsStorageConfig) -> Result<Self> {
        Self::connect_to(config, Purpose::Serve).await
    }

    /// Connects to a system that is there. Makes no stream and changes none.
    pub async fn connect_to_existing(config: NatsStorageConfig) -> Result<Self> {
        Self::connect_to(config, Purpose::Look).await
    }

    async fn connect_to(config: NatsStorageConfig, purpose: Purpose) -> Result<Self> {
        let config = config.taking_logins()?;
        config.validate()?;
        let link = Link::connect(&config).await?;
        let seen = Arc::new(Seen::new(&link, &config.log_stream));
        let (mut attempt, begun) = (1, Instant::now());
        let filling = loop {
            let prepared = async {
                let filling = streams::prepare(&link, &config, purpose).await?;
                seen.look().await?;
                Ok(filling)
            };
            match prepared.await {
                // That a stream which others have just made has no leader yet is said at once.
                Err(error @ StorageError::Unavailable { .. })
                    if purpose == Purpose::Serve && begun.elapsed() < LEADERS_WITHIN =>
                {
                    let wait = backoff(attempt);
                    tracing::warn!(%error, attempt, ?wait, "the streams are not ready yet, trying again");
                    tokio::time::sleep(wait).await;
                    attempt += 1;
                }
                // The next call waits for the next connection.
                Err(error @ StorageError::Unavailable { .. })
                    if attempt < config.connect_attempts =>
                {
                    tracing::warn!(%error, attempt, "the streams can't be looked at, trying again");
                    attempt += 1;
                }
                prepared => break prepared?,
            }
        };
        let jetstream = jetstream::ContextBuilder::new()
            .timeout(config.consumer_timeout)
            .api_prefix(link.api.clone())
            .build(link.client.clone());
        let subjects = Subjects::new(&config.prefix);
        let group = Arc::new(Group::new(&link, &config.log_stream, config.group_commit));
        let other = |role: Role| {
            let may_be_made = purpose == Purpose::Serve;
            OtherStream { role, name: role.name(&config), may_be_made }
        };
        let timers = TimerStream {
            stream: other(Role::Timers),
            has_consumer: AtomicBool::new(false),
            looked: Mutex::default(),
        };
        let work = WorkStream { stream: other(Role::Work), consumers: Mutex::default() };
        let beats = other(Role::Beats);
        let inner = Inner {
            group,
            timers,
            work,
            beats,
            link,
            jetstream,
            config,
            subjects,
            seen,
            listings: Listings::default(),
            is_far: AtomicBool::default(),
            filling,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// True if the view was made again beside its log and did not have all of it when this
    /// connected.
    pub fn is_view_to_be_filled(&self) -> bool {
        self.inner.filling
    }

    /// The view, if it lacks what the log has: a rebuild fills it, and
    /// [`view_is_filled`](Self::view_is_filled) notes it. A process that serves asks again and
    /// again, since this makes the view anew where somebody deleted it and its log stands.
    pub async fn view_to_be_filled(&self) -> Result<Option<Filling>> {
        streams::keep_view(&self.inner.link, &self.inner.config).await
    }

    /// Notes, for all processes, that the view has what the log has.
    pub async fn view_is_filled(&self, view: &Filling) -> Result<()> {
        streams::filled(&self.inner.link, &self.inner.config, view).await
    }

    /// Lets all programs of this system write kinds and fields of records up to a level, once every
    /// one of them reads it. Returns the level before, if that could be read. A level that this
    /// version does not know is an error, and so is a lower one. Running processes know of it within
    /// a second.
    pub async fn raise_write_level(&self, to: WriteLevel) -> Result<Option<WriteLevel>> {
        streams::raise_level(&self.inner.link, &self.inner.config, to).await
    }

    pub(super) fn inner(&self) -> &Inner {
        &self.inner
    }

    /// The settings in force.
    pub fn config(&self) -> &NatsStorageConfig {
        &self.inner.config
    }
}

impl Inner {
    pub(super) fn feed(&self, stream: &str, filter: String, from: u64, until: Option<u64>) -> Feed {
        let request = FeedRequest {
            stream: stream.to_owned(),
            filter,
            from,
            last_of_each: false,
            headers_only: false,
            until,
            batch: self.config.scan_batch,
            tries: self.config.deliveries,
            replicated: self.seen.replicated(),
        };
        Feed::new(&self.link, &self.jetstream, request)
    }

    /// The last sequence of a stream; 0 when it is empty.
    pub(super) async fn last_of(&self, stream: &str) -> Result<u64> {
        self.link.ends_at(stream).await
    }

    /// A stream's state, as a server that leads it describes it: one that was frozen, or is cut off, answers
    /// with an end that has long been passed.
    pub(super) async fn stream_state(&self, stream: &str) -> Result<Value> {
        Ok(self.stream_info_led(stream).await?["state"].take())
    }

    /// A stream's settings and state, as a server that leads it describes them.
    pub(super) async fn stream_info_led(&self, stream: &str) -> Result<Value> {
        let info = self.link.call_leader(&format!("STREAM.INFO.{stream}"), &Value::Null).await?;
        let info = info.map_err(|error| error.of_stream(stream))?;
        led(stream, &info)?;
        Ok(info)
    }

    /// Asks again, as often as the settings say, when a read had no answer.
    pub(super) async fn read<T, F: Future<Output = Result<T>>>(
        &self,
        ask: impl Fn() -> F,
    ) -> Result<T> {
        let (mut asked, begun) = (1, Instant::now());
        loop {
            match ask().await {
                Err(StorageError::Unavailable { reason, away_since }) => {
                    let error = match asked {
                        1 => StorageError::Unavailable { reason, away_since },
                        _ => StorageError::Unavailable {
                            reason: format!(
                                "{reason}; asked {asked} times in {:.1} s",
                                begun.elapsed().as_secs_f64()
                            ),
                            away_since,
                        },
                    };
                    if self.link.breaker.is_open() || asked >= self.config.deliveries {
                        return Err(error);
                    }
                    tracing::debug!(%error, asked, "a read had no answer, asking again");
                    asked += 1;
                }
                other => return other,
            }
        }
    }
}

#[async_trait]
impl Storage for NatsStorage {
    async fn health(&self) -> Health {
        self.inner.health().await
    }
}
