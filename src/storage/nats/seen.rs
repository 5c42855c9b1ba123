//! Memory of the messages that this process has seen in the log, and the check that they are
//! there.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use futures::{
    FutureExt,
    future::{BoxFuture, Shared, join},
};
use serde_json::Value;

use super::{
    Link, codec,
    direct::{Asked, Query},
    leader::led,
    refusal::NOT_FOUND,
    settings,
};
use crate::storage::{Result, StorageError, WriteLevel};

/// Longest age of a look at the log before it is looked at again.
const FRESH: Duration = Duration::from_secs(1);

/// Last state seen of the log stream. It tells a log that lost what it had, or that is
/// another one, from one that only grew.
#[derive(Debug)]
pub(super) struct Seen {
    link: Link,
    stream: String,
    /// Number of times that the log turned out to have lost something.
    losses: AtomicU64,
    /// True if a direct get may be answered by a replica that lags.
    replicated: AtomicBool,
    /// Level of what may be written, as the log's settings had it when it was looked at.
    level: AtomicU32,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The message with the highest sequence that was seen.
    last: Option<Sighting>,
    /// Time at which the stream was made, as the server says it.
    created: Option<String>,
    /// Start of the last look at the log, and the number of the connection that it was made
    /// by.
    looked: Option<(Instant, u64)>,
    /// A look that all who need one wait for.
    looking: Option<Look>,
}

type Look = Shared<BoxFuture<'static, Result<()>>>;

impl State {
    /// The look that is under way, or another one.
    fn join(&mut self, begin: impl FnOnce() -> Look) -> Look {
        // One that has ended and is still here has panicked.
        self.looking.take_if(|looking| looking.peek().is_some());
        self.looking.get_or_insert_with(begin).clone()
    }
}

/// A message that was in the log.
#[derive(Debug, Clone, PartialEq)]
struct Sighting {
    sequence: u64,
    mark: Mark,
}

/// Mark by which a message is known again.
#[derive(Debug, Clone, PartialEq)]
enum Mark {
    /// The hash of its body, of one that this process appended.
    Hash(String),
    /// The server's time, of one that was read.
    Time(DateTime<Utc>),
}

impl Seen {
    pub(super) fn new(link: &Link, stream: &str) -> Self {
        Self {
            link: link.clone(),
            stream: stream.to_owned(),
            losses: AtomicU64::new(0),
            replicated: AtomicBool::new(false),
            level: AtomicU32::new(WriteLevel::FIRST.get()),
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it holds the lock; if it did, the state would still be whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A number that changes whenever the log may have lost messages. The client counts its
    /// connections before it sends anything through one, so nothing is answered by a server
    /// that came back before this number has changed.
    pub(super) fn generation(&self) -> u64 {
        self.link.connections() + self.losses.load(Ordering::SeqCst)
    }

    /// Returns true if a direct get may be answered by a replica that lags.
    pub(super) fn replicated(&self) -> bool {
        self.replicated.load(Ordering::SeqCst)
    }

    /// Level of what may be written, as of the last look.
    pub(super) fn write_level(&self) -> WriteLevel {
        WriteLevel::new(self.level.load(Ordering::SeqCst)).unwrap_or(WriteLevel::FIRST)
    }

    /// Notes the level that the log's settings have. What can't be read there allows nothing.
    fn note_level(&self, info: &Value) {
        let found = settings::write_level(info);
        let level = *found.as_ref().unwrap_or(&WriteLevel::FIRST);
        if self.level.swap(level.get(), Ordering::SeqCst) != level.get() {
            let stream = &self.stream;
            tracing::info!(stream, %level, "records of another level may be written now");
        }
    }

    /// The highest sequence that was seen; 0 when there was none.
    pub(super) fn highest(&self) -> u64 {
        self.state().last.as_ref().map_or(0, |last| last.sequence)
    }

    /// Notes a message that was appended, and the highest sequence at the time it was sent.
    pub(super) fn appended(&self, highest: u64, sequence: u64, hash: String) {
        let sighting = Sighting { sequence, mark: Mark::Hash(hash) };
        if sequence > highest {
            return self.raise(sighting);
        }
        // A log that only grows gives no sequence twice.
        self.went_back(Some(sighting), &format!("{sequence} was given again"));
    }

    /// Notes a message that was read.
    pub(super) fn read(&self, sequence: u64, time: DateTime<Utc>) {
        self.raise(Sighting { sequence, mark: Mark::Time(time) });
    }

    fn raise(&self, sighting: Sighting) {
        let last = &mut self.state().last;
        if last.as_ref().is_none_or(|last| last.sequence < sighting.sequence) {
            *last = Some(sighting);
        }
    }

    fn went_back(&self, last: Option<Sighting>, reason: &str) {
        let (stream, seen) = (&self.stream, self.highest());
        tracing::warn!(stream, seen, reason, "the log has lost something that was seen in it");
        self.state().last = last;
        self.losses.fetch_add(1, Ordering::SeqCst);
    }

    /// Looks at the log, unless somebody did in the last second and by the same connection.
    /// All who wait share one look.
    pub(super) async fn look(self: &Arc<Self>) -> Result<()> {
        // One that was under way may be too old when it ends; the next has begun after it.
        self.join_look().await?;
        self.join_look().await
    }

    /// Looks at the log once more, however young the last look is.
    pub(super) async fn look_again(self: &Arc<Self>) -> Result<()> {
        self.join_look().await?;
        self.state().looked = None;
        self.look().await
    }

    async fn join_look(self: &Arc<Self>) -> Result<()> {
        let looking = {
            let mut state = self.state();
            let connections = self.link.connections();
            let fresh = |(at, by): (Instant, u64)| by == connections && at.elapsed() < FRESH;
            if state.looked.is_some_and(fresh) {
                return Ok(());
            }
            let begin = || {
                let seen = Arc::clone(self);
                // A task of its own: it ends, whoever of those who wait goes away.
                let task = tokio::spawn(async move { seen.look_now(connections).await });
                let answer = task.map(|ended| {
                    ended.unwrap_or_else(|error| {
                        let reason = error.to_string();
                        Err(StorageError::Unavailable { reason, away_since: None })
                    })
                });
                answer.boxed().shared()
            };
            state.join(begin)
        };
        looking.await
    }

    async fn look_now(&self, connections: u64) -> Result<()> {
        let begun = Instant::now();
        let last = self.state().last.clone();
        // Both to their ends: one of them may be what finds out that the server is back.
        let judged = match join(self.info(), self.is_there(last.as_ref())).await {
            (Ok(info), Ok(there)) => self.judge(&info, last, there),
            (Err(error), _) | (_, Err(error)) => Err(error),
        };
        let mut state = self.state();
        state.looking = None;
        if judged.is_ok() {
            state.looked = Some((begun, connections));
        }
        judged
    }

    /// Compares the server's description of the log with the messages seen before it was
    /// asked.
    fn judge(&self, info: &Value, last: Option<Sighting>, there: bool) -> Result<()> {
        let state = &info["state"];
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let (Some(created), Some(ends_at)) = (text(&info["created"]), state["last_seq"].as_u64())
        else {
            return Err(StorageError::Stream {
                stream: self.stream.clone(),
                reason: "the server does not say when it was made and where it ends".to_owned(),
            });
        };
        led(&self.stream, info)?;
        let replicas = info["config"]["num_replicas"].as_u64();
        self.replicated.store(replicas.is_some_and(|replicas| replicas > 1), Ordering::SeqCst);
        self.note_level(info);
        let time = state["last_ts"].as_str().and_then(|text| text.parse().ok());
        let end = time
            .filter(|_| ends_at > 0)
            .map(|time: DateTime<Utc>| Sighting { sequence: ends_at, mark: Mark::Time(time) });
        let before = self.state().created.replace(created.clone());
        let seen = last.map_or(0, |last| last.sequence);
        if before.as_ref().is_some_and(|before| *before != created) {
            self.went_back(end, &format!("it was made at {created}"));
        } else if ends_at < seen {
            self.went_back(end, &format!("it ends at {ends_at}"));
        } else if !there {
            self.went_back(end, &format!("{seen} is another message"));
        } else if let Some(end) = end {
            self.raise(end);
        }
        Ok(())
    }

    async fn info(&self) -> Result<Value> {
        match self.link.call_leader(&format!("STREAM.INFO.{}", self.stream), &Value::Null).await? {
            Ok(info) => Ok(info),
            Err(error) => {
                if error.err_code == NOT_FOUND && self.state().created.take().is_some() {
                    self.went_back(None, "the stream is missing");
                }
                Err(error.of_stream(&self.stream))
            }
        }
    }

    /// Returns true if the log has a message that was seen in it. The stream's leader is
    /// asked.
    async fn is_there(&self, sighting: Option<&Sighting>) -> Result<bool> {
        let Some(Sighting { sequence, mark }) = sighting else { return Ok(true) };
        let found = self.link.get(&self.stream, Query::At(*sequence), Asked::Leader).await?;
        Ok(found.is_some_and(|message| match mark {
            Mark::Time(time) => message.timestamp == *time,
            Mark::Hash(hash) => codec::hash(&message.payload) == *hash,
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    #[tokio::test]
    async fn a_look_that_has_panicked_is_not_the_last_one() {
        let reason = "it has panicked".to_owned();
        let panicked = ready(Err(StorageError::Unavailable { reason, away_since: None }));
        let mut state = State::default();
        state.join(|| panicked.boxed().shared()).await.unwrap_err();
        let next = state.join(|| ready(Ok(())).boxed().shared());
        next.await.unwrap();
    }

    #[tokio::test]
    async fn a_look_that_is_under_way_is_joined() {
        let mut state = State::default();
        let one = state.join(|| pending().boxed().shared());
        assert!(one.ptr_eq(&state.join(|| unreachable!())));
    }
}
