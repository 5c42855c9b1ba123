//! A subscriber to a part of the log: at the shared feed, or by a reading of his own while he
//! is behind it.

use std::sync::Arc;

use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use tokio::{sync::broadcast::error::RecvError, time::sleep};

use super::{
    feeds::{Feeds, Item, Place, sequence},
    watch::{RETRY_EVERY, passes_by},
};
use crate::{
    models::{LogSequence, Record, Stored},
    petrel::{Error, Inner, Result, change::whole::Whole},
    storage::{self, LogRange, LogScope, StorageError, WatchOptions},
};

pub(super) struct Subscriber {
    inner: Arc<Inner>,
    scope: LogScope,
    /// The first log sequence of interest.
    next: LogSequence,
    place: Place,
    /// The part of the feed before he had a place at it.
    behind: Option<Behind>,
    over: bool,
    /// The log's generation when he came, if he asked from no sequence and the feed has given him
    /// nothing.
    since: Option<u64>,
    /// The log sequence after the last one that he has been given.
    after: LogSequence,
    /// True if the last item that he was given is an error, so that he knows the reason for
    /// the feed's end.
    told: bool,
}

/// A reading of one's own, from the next sequence up to the place's position.
struct Behind {
    whole: Whole,
    /// `None` before it is asked for again.
    records: Option<BoxStream<'static, storage::Result<Stored<Record>>>>,
}

impl Subscriber {
    /// Begins at the shared feed. `since` is the log's generation if he only wants records
    /// after the present ones.
    pub(super) async fn begin(
        inner: Arc<Inner>,
        scope: LogScope,
        next: LogSequence,
        since: Option<u64>,
    ) -> Result<Self> {
        let place = Feeds::join(&inner, &scope).await?;
        let is_ahead = next > LogSequence::after(place.position) && {
            let last = inner.reader.storage.last_sequence().await?;
            next > LogSequence::after(last)
        };
        if is_ahead {
            // Whoever has seen more than there is has seen another log: a feed of its own finds
            // out. If it does not end, the log has got there meanwhile.
            let mut ahead =
                inner.reader.storage.watch(scope.clone(), WatchOptions::from(next)).await?;
            if let Some(Err(end)) = ahead.next().await {
                return Err(end.into());
            }
        }
        let behind = match Some(next) <= place.position {
            false => None,
            true => {
                let records =
                    inner.reader.storage.history(scope.clone(), LogRange::from(next)).await?;
                Some(Behind { whole: Whole::new(inner.clone()), records: Some(records) })
            }
        };
        let (over, told, after) = (false, false, next);
        Ok(Self { inner, scope, next, place, behind, over, since, after, told })
    }

    pub(super) fn stream(self) -> BoxStream<'static, Result<Arc<Stored<Record>>>> {
        let next = |mut subscriber: Self| async move {
            let record = subscriber.next().await?;
            Some((record, subscriber))
        };
        stream::unfold(self, next).boxed()
    }

    async fn next(&mut self) -> Option<Result<Arc<Stored<Record>>>> {
        while !self.over {
            if self.behind.is_some() {
                match self.next_behind().await {
                    Some(record) => {
                        self.after = self.next;
                        return Some(record.map(Arc::new));
                    }
                    None => {
                        self.behind = None;
                        self.next = self.next.max(LogSequence::after(self.place.position));
                    }
                }
            }
            let item = match self.place.items.recv().await {
                Ok(item) if item.sequence.is_some_and(|sequence| sequence < self.next) => continue,
                // None where there was no room for it until he came.
                Ok(Item { sequence, record: Ok(record) }) => {
                    record.upgrade().map(|record| (sequence, Ok(record)))
                }
                Ok(Item { sequence, record: Err(error) }) => Some((sequence, Err(error))),
                // Who came when it had just ended has not heard of it.
                Err(RecvError::Closed) => match self.place.feed.end().filter(|_| !self.told) {
                    Some(end) => Some((None, Err(end))),
                    None => return None,
                },
                Err(RecvError::Lagged(_)) => None,
            };
            let Some((sequence, record)) = item else {
                match self.fall_behind() {
                    Ok(()) => continue,
                    Err(end) => {
                        self.over = true;
                        return end.map(|error| Err(again(&error)));
                    }
                }
            };
            if let Some(sequence) = sequence {
                self.next = sequence.next();
            } else if let Err(error) = &record {
                match self.begin_anew(error).await {
                    Ok(true) => continue,
                    Ok(false) => {}
                    Err(error) => {
                        self.over = true;
                        return Some(Err(error));
                    }
                }
            }
            (self.since, self.told) = (None, record.is_err());
            return Some(record.map_err(|error| again(&error)));
        }
        None
    }

    /// Takes a place at another feed, if the shared one ended since the log had gone back before
    /// he came: that is no news to him.
    async fn begin_anew(&mut self, end: &Error) -> Result<bool> {
        let (Some(since), Error::Storage(StorageError::LogWentBack { .. })) = (self.since, end)
        else {
            return Ok(false);
        };
        loop {
            let anew = async {
                if self.inner.reader.storage.generation().await? != since {
                    return Ok(None);
                }
                let (inner, scope) = (Arc::clone(&self.inner), self.scope.clone());
                Self::begin(inner, scope, self.after, Some(since)).await.map(Some)
            };
            match anew.await {
                Ok(Some(anew)) => *self = anew,
                Ok(None) => return Ok(false),
                Err(error) if error.retryable() => {
                    sleep(RETRY_EVERY).await;
                    continue;
                }
                Err(error) => return Err(error),
            }
            return Ok(true);
        }
    }

    /// Leaves the feed, which went on without him: the records that he missed are read from
    /// the log. If the feed is over, returns its error.
    fn fall_behind(&mut self) -> std::result::Result<(), Option<Arc<Error>>> {
        self.place = Arc::clone(&self.place.feed).place()?;
        self.behind = Some(Behind { whole: Whole::new(self.inner.clone()), records: None });
        Ok(())
    }

    /// The next record of his own reading; `None` when the feed has all that comes.
    async fn next_behind(&mut self) -> Option<Result<Stored<Record>>> {
        let behind = self.behind.as_mut()?;
        while Some(self.next) <= self.place.position {
            let records = match &mut behind.records {
                Some(records) => records,
                none => {
                    match self
                        .inner
                        .reader
                        .storage
                        .history(self.scope.clone(), LogRange::from(self.next))
                        .await
                    {
                        Ok(records) => none.insert(records),
                        Err(error) if passes_by(&error) => {
                            sleep(RETRY_EVERY).await;
                            continue;
                        }
                        Err(error) => {
                            self.over = true;
                            return Some(Err(error.into()));
                        }
                    }
                }
            };
            let record = records.next().await?;
            match sequence(&record) {
                None => {}
                sequence if sequence > self.place.position => return None,
                Some(sequence) => self.next = sequence.next(),
            }
            match record {
                Ok(record) => return Some(behind.whole.in_the_end(record).await),
                Err(error @ StorageError::Corrupt { .. }) => return Some(Err(error.into())),
                Err(error) if passes_by(&error) => {
                    tracing::debug!(%error, from = %self.next, "reading on");
                    behind.records = None;
                    sleep(RETRY_EVERY).await;
                }
                Err(error) => {
                    self.over = true;
                    return Some(Err(error.into()));
                }
            }
        }
        None
    }
}

/// The same error for one more of those who share a feed.
fn again(error: &Error) -> Error {
    match error {
        Error::Storage(error) => Error::Storage(error.clone()),
        Error::BrokenLog { workflow, case, sequence, reason } => Error::BrokenLog {
            workflow: workflow.clone(),
            case: case.clone(),
            sequence: *sequence,
            reason: reason.clone(),
        },
        // Nothing else can be wrong with a record that is read.
        other => Error::Storage(StorageError::Stream {
            stream: "the log".to_owned(),
            reason: other.to_string(),
        }),
    }
}
