//! Group commit: appends that come while a batch is under way go into the next one, each with its own
//! condition, where that is faster than one after the other.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use async_nats::HeaderMap;
use tokio::sync::{Notify, oneshot};
use uuid::Uuid;

use super::{
    Link,
    append::Append,
    pace::{LEAST, Pace, TRIED},
    publish::Expected,
    refusal::{ApiError, NO_BATCHES},
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
            GroupCommit::Always => many > 1 && !state.pace.is_refused(Instant::now()),
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
                if self.link.breaker.refuses() {
                    self.link.breaker.check()?;
                }
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
                // Whatever of it is sent later is found by its fence, as after a single append.
                let answered = async {
                    answered.await.unwrap_or_else(|_| Err(unanswered("the batch was given up")))
                };
                self.link.unless_interrupted(&append.subject, answered).await
            }
        }
    }

    /// One append that is counted already.
    async fn alone(&self, append: &Append) -> Result<u64, StorageError> {
        let (_counted, begun) = (Alone(self), Instant::now());
        let appended = self.publish(append).await;
        let mut state = self.state();
        let others = state.alone - 1;
        match &appended {
            Err(StorageError::Unavailable { .. }) => state.pace.failed(),
            _ => state.pace.single(begun, Instant::now(), others),
        }
        appended
    }

    async fn publish(&self, append: &Append) -> Result<u64, StorageError> {
        let Append { subject, fence, expected, payload } = append;
        let expected = Expected { sequence: *expected, filter: Some(fence) };
        let none = HeaderMap::new;
        self.link.publish(&self.stream, subject, expected, none, payload.clone()).await
    }

    /// Sends what waits, until nothing does, or too little for a batch. There were so `many` when it
    /// began.
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
            if is_tried {
                self.try_apart(some).await;
            } else if pays && many > 1 {
                self.send_batch(some).await;
            } else {
                self.send_off(some);
                // Who comes next goes alone, too.
                many = 0;
            }
        }
        std::mem::forget(sending);
    }

    fn is_single_old(&self) -> bool {
        self.state().pace.is_single_old(Instant::now())
    }

    /// Waits for a state of appends, or for this time. Returns false if it did not come.
    async fn until(&self, longest: Duration, is_so: impl Fn(&State) -> bool) -> bool {
        let waited = async {
            while !is_so(&self.state()) {
                self.changed.notified().await;
            }
        };
        tokio::time::timeout(longest, waited).await.is_ok()
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

    /// Sends each by itself. Nobody waits for the others: one may take long.
    fn send_off(self: &Arc<Self>, some: Vec<Waiting>) {
        let connections = self.link.connections();
        self.state().alone += some.len();
        for Waiting { append, connections: decided, answer } in some {
            let group = Arc::clone(self);
            tokio::spawn(async move {
                let answered = match decided == connections {
                    true => group.alone(&append).await,
                    false => {
                        drop(Alone(&group));
                        Err(made_anew(&append))
                    }
                };
                // Who has gone needs none.
                let _ = answer.send(answered);
            });
        }
    }

    /// Sends each by itself. What ends in time is measured as it ends; those that take long are not waited
    /// for.
    async fn try_apart(self: &Arc<Self>, some: Vec<Waiting>) {
        let (begun, many) = (Instant::now(), some.len());
        self.send_off(some);
        if self.until(DRAIN, |state| state.alone == 0).await {
            return;
        }
        let mut state = self.state();
        let done = many.saturating_sub(state.alone).max(LEAST);
        state.pace.apart(Instant::now(), begun.elapsed(), done);
    }

    async fn send_batch(self: &Arc<Self>, some: Vec<Waiting>) {
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
        let id = Uuid::now_v7().simple().to_string();
        let sent = match self.send_before_commit(&id, &appends, connections).await {
            Ok(()) => self.commit(&id, &appends).await,
            Err(error @ StorageError::Unavailable { .. }) => Err(error),
            // Without a commit nothing is stored: whose error it is, each learns by itself.
            Err(_) => return self.send_off(some),
        };
        match sent {
            Ok(Ok(last)) => {
                if is_alone {
                    self.state().pace.batch(Instant::now(), begun.elapsed(), some.len());
                }
                self.link.has_stored(&self.stream);
                let first = last + 1 - some.len() as u64;
                for (waiting, sequence) in some.into_iter().zip(first..) {
                    let _ = waiting.answer.send(Ok(sequence));
                }
            }
            // Somebody lost, or the server has not got all of it, and nothing was stored.
            Ok(Err(error)) => {
                let mut state = self.state();
                if error.err_code == NO_BATCHES && state.pace.refused(Instant::now()) {
                    let (stream, error) = (&self.stream, &error.description);
                    tracing::warn!(
                        stream,
                        error,
                        "appends go one by one; `petrel init` puts the stream's settings right \
                         (allow_atomic)"
                    );
                }
                // Where that happens often, going together costs more than it gains.
                state.pace.batch(Instant::now(), 2 * begun.elapsed(), some.len());
                drop(state);
                self.send_off(some);
            }
            // All of it may be stored, or nothing, or, where the server died meanwhile, a part. Each is
            // looked for by its own case.
            Err(error) => {
                let away_since = match &error {
                    StorageError::Unavailable { away_since, .. } => *away_since,
                    _ => None,
                };
                for waiting in some {
                    let reason = error.to_string();
                    let error = StorageError::Unavailable { reason, away_since };
                    let _ = waiting.answer.send(Err(error));
                }
            }
        }
    }

    /// Sends all but the last one of a batch, which have no answer.
    async fn send_before_commit(
        &self,
        id: &str,
        appends: &[&Append],
        connections: u64,
    ) -> Result<(), StorageError> {
        let Some((last, others)) = appends.split_last() else { return Ok(()) };
        self.link.breaker.check()?;
        let sent = async {
            for (number, append) in others.iter().enumerate() {
                let (subject, payload) = (append.subject.clone(), append.payload.clone());
                let headers = append.headers(id, number);
                let sent = self.link.client.publish_with_headers(subject, headers, payload).await;
                sent.map_err(|error| self.link.breaker.unanswered(&error.to_string()))?;
            }
            Ok(())
        };
        // A client that can't write takes no more at some point.
        let sent = async {
            let sent = tokio::time::timeout(self.link.timeout, sent).await;
            sent.unwrap_or_else(|_| Err(self.link.breaker.unanswered("the batch was not sent")))
        };
        self.link.unless_interrupted(&last.subject, sent).await?;
        match self.link.connections() == connections {
            true => Ok(()),
            false => Err(unanswered("the connection was made anew within a batch")),
        }
    }

    /// Sends the last one of a batch, and answers its sequence.
    async fn commit(
        &self,
        id: &str,
        appends: &[&Append],
    ) -> Result<Result<u64, ApiError>, StorageError> {
        let Some((last, others)) = appends.split_last() else { return Ok(Ok(0)) };
        let headers = last.commit_headers(id, others.len());
        let answer =
            self.link.publish_once(&self.stream, &last.subject, headers, &last.payload).await?;
        match answer {
            Ok(answer) if answer.count == appends.len() => Ok(Ok(answer.seq)),
            Ok(answer) => {
                let (count, all) = (answer.count, appends.len());
                Err(unanswered(&format!("{count} of {all} were acknowledged")))
            }
            Err(error) => Ok(Err(error)),
        }
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
