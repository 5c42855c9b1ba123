//! Group commit: appends that come while a batch is under way go into the next one, each with its own
//! condition, where that is faster than one after the other.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use async_nats::{HeaderMap, header::HeaderName};
use bytes::Bytes;
use futures::future::join_all;
use tokio::sync::{Notify, oneshot};
use uuid::Uuid;

use super::{
    Link,
    pace::{Pace, TRIED},
    publish::Expected,
    refusal::{ApiError, IN_FLIGHT, LOST_RACE},
};
use crate::storage::{StorageError, nats::GroupCommit};

/// The most appends of a batch: the server's limit.
const MOST: usize = 1_000;

/// The most bytes of a batch, and of one of its appends: of a larger one the disk is not the longest
/// part, and whether the server takes it is for itself to learn.
const MOST_BYTES: usize = 8 * 1024 * 1024;
const MOST_BYTES_EACH: usize = 128 * 1024;

/// Longest wait for as many as were in the batch before.
const GATHER: Duration = Duration::from_millis(1);

/// Longest wait for those that are under way alone: a batch behind them would take their time, too.
const DRAIN: Duration = Duration::from_millis(100);

/// The oldest server whose batches are used. On 2.12.0, 2.12.8 and 2.14.0 fences that held were
/// refused in batches.
const OLDEST: (i64, i64, i64) = (2, 15, 0);

const BATCH_ID: HeaderName = HeaderName::from_static("Nats-Batch-Id");
const BATCH_SEQUENCE: HeaderName = HeaderName::from_static("Nats-Batch-Sequence");
const BATCH_COMMIT: HeaderName = HeaderName::from_static("Nats-Batch-Commit");

/// One message on the condition that a fence has an expected last sequence.
#[derive(Debug, Clone)]
pub(in crate::storage) struct Append {
    pub subject: String,
    pub fence: String,
    pub expected: u64,
    pub payload: Bytes,
}

/// Appends to one stream.
#[derive(Debug)]
pub(in crate::storage) struct Group {
    link: Link,
    stream: String,
    when: GroupCommit,
    changed: Notify,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<Waiting>,
    /// True while a task sends what waits.
    is_sending: bool,
    /// Number of appends that are under way alone.
    alone: usize,
    pace: Pace,
}

#[derive(Debug)]
struct Waiting {
    append: Append,
    /// The number of connections there had been when it was decided.
    connections: u64,
    answer: oneshot::Sender<Result<u64, StorageError>>,
}

impl Group {
    pub(in crate::storage) fn new(link: &Link, stream: &str, when: GroupCommit) -> Self {
        let (link, stream, changed) = (link.clone(), stream.to_owned(), Notify::new());
        Self { link, stream, when, changed, state: Mutex::default() }
    }

    /// Returns true if so many appends are to be one batch; `is_together` is true if the last ones were.
    fn pays(&self, state: &State, many: usize, is_together: bool) -> bool {
        let (major, minor, patch) = OLDEST;
        let pays = match self.when {
            GroupCommit::Never => false,
            GroupCommit::Always => many > 1,
            GroupCommit::Measured => state.pace.pays(many, is_together, Instant::now()),
        };
        pays && self.link.client.is_server_compatible(major, minor, patch)
    }

    /// Appends, and answers the message's sequence.
    pub(in crate::storage) async fn append(
        self: &Arc<Self>,
        append: Append,
    ) -> Result<u64, StorageError> {
        let answer = {
            let mut state = self.state();
            let many = state.waiting.len() + state.alone + 1;
            let most = MOST_BYTES_EACH.min(self.link.client.max_payload() / 2);
            let is_small = append.payload.len() <= most;
            if is_small && (state.is_sending || self.pays(&state, many, false)) {
                let (answer, answered) = oneshot::channel();
                let connections = self.link.connections();
                state.waiting.push(Waiting { append: append.clone(), connections, answer });
                if !std::mem::replace(&mut state.is_sending, true) {
                    tokio::spawn(Arc::clone(self).send_all(many));
                }
                Some(answered)
            } else {
                state.alone += 1;
                None
            }
        };
        match answer {
            None => self.alone(&append).await,
            Some(answered) => {
                self.changed.notify_one();
                answered.await.unwrap_or_else(|_| Err(unanswered("the batch was given up")))
            }
        }
    }

    /// One append that is counted already.
    async fn alone(&self, append: &Append) -> Result<u64, StorageError> {
        let _counted = Alone(self);
        let appended = self.publish(append).await;
        let mut state = self.state();
        let others = state.alone > 1;
        state.pace.single(Instant::now(), others);
        appended
    }

    async fn publish(&self, append: &Append) -> Result<u64, StorageError> {
        let Append { subject, fence, expected, payload } = append;
        let expected = Expected { sequence: *expected, filter: Some(fence) };
        let none = HeaderMap::new;
        self.link.publish(&self.stream, subject, expected, none, payload.clone()).await
    }

    /// Sends what waits, until nothing does. There were so `many` when it began.
    async fn send_all(self: Arc<Self>, mut many: usize) {
        let sending = Sending(&self);
        self.until(DRAIN, |state| state.alone == 0).await;
        loop {
            self.until(GATHER, |state| state.waiting.len() >= many).await;
            let is_tried = self.when == GroupCommit::Measured && self.is_single_old();
            let Some(some) = self.take(if is_tried { TRIED } else { MOST }) else { break };
            // Those who were answered just now come again.
            let pays = self.pays(&self.state(), some.len().max(many), true);
            many = some.len();
            match pays && many > 1 && !is_tried {
                true => self.send_batch(some).await,
                false => self.send_apart(some).await,
            }
        }
        std::mem::forget(sending);
    }

    fn is_single_old(&self) -> bool {
        self.state().pace.is_single_old(Instant::now())
    }

    /// Waits for a state of appends, or for this time.
    async fn until(&self, longest: Duration, is_so: impl Fn(&State) -> bool) {
        let waited = async {
            while !is_so(&self.state()) {
                self.changed.notified().await;
            }
        };
        // It goes on without, then.
        let _ = tokio::time::timeout(longest, waited).await;
    }

    /// As much of what waits as one batch may have, of each fence one: the server would take two. If
    /// nothing waits, nobody sends from then on.
    fn take(&self, most: usize) -> Option<Vec<Waiting>> {
        let mut state = self.state();
        let (mut some, mut rest, mut bytes) = (Vec::new(), Vec::new(), 0);
        let mut fences = HashSet::new();
        for waiting in std::mem::take(&mut state.waiting) {
            let size = waiting.append.payload.len();
            let is_full = some.len() == most || bytes + size > MOST_BYTES;
            match !is_full && fences.insert(waiting.append.fence.clone()) {
                false => rest.push(waiting),
                true => {
                    bytes += size;
                    some.push(waiting);
                }
            }
        }
        state.waiting = rest;
        state.is_sending = !some.is_empty();
        state.is_sending.then_some(some)
    }

    async fn send_apart(&self, some: Vec<Waiting>) {
        let (begun, many) = (Instant::now(), some.len());
        let connections = self.link.connections();
        let sent = some.into_iter().map(|waiting| async move {
            let answer = match waiting.connections == connections {
                true => self.publish(&waiting.append).await,
                false => Err(made_anew(&waiting.append)),
            };
            // Who has gone needs none.
            let _ = waiting.answer.send(answer);
        });
        join_all(sent).await;
        self.state().pace.apart(Instant::now(), begun.elapsed(), many);
    }

    async fn send_batch(&self, some: Vec<Waiting>) {
        let (begun, is_alone) = (Instant::now(), self.state().alone == 0);
        let connections = self.link.connections();
        let (some, late): (Vec<_>, Vec<_>) =
            some.into_iter().partition(|waiting| waiting.connections == connections);
        for waiting in late {
            let error = made_anew(&waiting.append);
            let _ = waiting.answer.send(Err(error));
        }
        if some.is_empty() {
            return;
        }
        let appends: Vec<_> = some.iter().map(|waiting| &waiting.append).collect();
        match self.publish_batch(&appends).await {
            Ok(Ok(last)) => {
                if is_alone {
                    self.state().pace.batch(Instant::now(), begun.elapsed());
                }
                self.link.has_stored(&self.stream);
                let first = last + 1 - some.len() as u64;
                for (waiting, sequence) in some.into_iter().zip(first..) {
                    let _ = waiting.answer.send(Ok(sequence));
                }
            }
            // Somebody lost, and nobody's was stored.
            Ok(Err(error)) => {
                if ![LOST_RACE, IN_FLIGHT].contains(&error.err_code) {
                    let (stream, error) = (&self.stream, &error.description);
                    tracing::warn!(stream, error, "a batch was refused; appends go one by one");
                    self.state().pace.refused(Instant::now());
                }
                self.send_apart(some).await;
                // Where that happens often, going together costs more than it gains.
                self.state().pace.batch(Instant::now(), begun.elapsed());
            }
            // All of it may be stored, or nothing, or, where the server died meanwhile, a part. Each is
            // looked for by its own case.
            Err(StorageError::Unavailable { reason, away_since }) => {
                for waiting in some {
                    let reason = reason.clone();
                    let error = StorageError::Unavailable { reason, away_since };
                    let _ = waiting.answer.send(Err(error));
                }
            }
            // Nothing was stored: whose error it is, each learns by itself.
            Err(_) => self.send_apart(some).await,
        }
    }

    /// Publishes all of them in one atomic batch, and answers the sequence of the last.
    async fn publish_batch(
        &self,
        appends: &[&Append],
    ) -> Result<Result<u64, ApiError>, StorageError> {
        self.link.breaker.check()?;
        let id = Uuid::now_v7().simple().to_string();
        let Some((last, others)) = appends.split_last() else { return Ok(Ok(0)) };
        let headers = |append: &Append, number: usize| {
            let mut headers = HeaderMap::new();
            headers.insert(BATCH_ID, id.as_str());
            headers.insert(BATCH_SEQUENCE, (number + 1).to_string());
            let Append { fence, expected, .. } = append;
            Expected { sequence: *expected, filter: Some(fence) }.add_to(&mut headers);
            headers
        };
        for (number, append) in others.iter().enumerate() {
            let (subject, payload) = (append.subject.clone(), append.payload.clone());
            let headers = headers(append, number);
            let sent = self.link.client.publish_with_headers(subject, headers, payload).await;
            sent.map_err(|error| self.link.breaker.unanswered(&error.to_string()))?;
        }
        let mut headers = headers(last, others.len());
        headers.insert(BATCH_COMMIT, "1");
        let answer =
            self.link.publish_once(&self.stream, &last.subject, headers, &last.payload).await?;
        Ok(match answer {
            Ok(answer) if answer.count == appends.len() => Ok(answer.seq),
            Ok(answer) => {
                let (count, all) = (answer.count, appends.len());
                return Err(unanswered(&format!("{count} of {all} were acknowledged")));
            }
            Err(error) => Err(error),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An append that is under way alone, until dropped.
struct Alone<'a>(&'a Group);

impl Drop for Alone<'_> {
    fn drop(&mut self) {
        self.0.state().alone -= 1;
        self.0.changed.notify_one();
    }
}

/// The task that sends. If it ends before its time, whoever waits is told so, and the next begins anew.
struct Sending<'a>(&'a Group);

impl Drop for Sending<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.is_sending = false;
        state.waiting.clear();
    }
}

fn unanswered(reason: &str) -> StorageError {
    StorageError::Unavailable { reason: reason.to_owned(), away_since: None }
}

fn made_anew(append: &Append) -> StorageError {
    let subject = &append.subject;
    unanswered(&format!("{subject}: the connection was made anew; nothing was stored"))
}
