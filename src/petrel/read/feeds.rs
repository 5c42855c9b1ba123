//! The feeds that are open, one for each part of the log that somebody follows.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use futures::{StreamExt, stream::BoxStream};
use tokio::{sync::broadcast, task::JoinHandle};

use crate::{
    models::{LogSequence, Record, Stored},
    petrel::{Error, Inner, Result, change::whole::Whole},
    storage::{self, LogScope, StorageError, WatchOptions},
};

/// Number of records that are kept for subscribers who have not taken them yet. A subscriber
/// who is further behind reads for himself.
const KEPT: usize = 256;

/// Memory of the records that are kept for them by all feeds together, in bytes.
const KEPT_BYTES: usize = 16 * 1024 * 1024;

/// Item of a feed: a record, or an error in its place. The record is gone if others came after it
/// that took its room; then it is read from the log.
#[derive(Debug, Clone)]
pub(super) struct Item {
    /// The log sequence; `None` of an error that is not about one record.
    pub sequence: Option<LogSequence>,
    pub record: std::result::Result<Weak<Stored<Record>>, Arc<Error>>,
}

/// The feeds that are open.
#[derive(Debug, Default)]
pub(in crate::petrel) struct Feeds {
    open: Mutex<HashMap<LogScope, Weak<Feed>>>,
    kept: Mutex<Kept>,
}

/// The last records of all feeds, each with the memory that it takes.
#[derive(Debug, Default)]
struct Kept {
    records: VecDeque<(Arc<Stored<Record>>, usize)>,
    bytes: usize,
}

impl Kept {
    /// Keeps a record, and gives back those that there is no more room for.
    fn keep(&mut self, record: Arc<Stored<Record>>, bytes: usize) -> Vec<Arc<Stored<Record>>> {
        self.records.push_back((record, bytes));
        self.bytes += bytes;
        let mut left_out = Vec::new();
        while self.bytes > KEPT_BYTES && self.records.len() > 1 {
            let Some((record, bytes)) = self.records.pop_front() else { break };
            self.bytes -= bytes;
            left_out.push(record);
        }
        left_out
    }
}

/// One feed. It ends when its last holder lets go of it.
#[derive(Debug)]
pub(super) struct Feed {
    scope: LogScope,
    feeds: Weak<Feeds>,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Everything up to this log sequence has been given.
    position: Option<LogSequence>,
    /// `None` when the feed is over.
    sender: Option<broadcast::Sender<Item>>,
    /// Error that ended it, if it is to be told.
    end: Option<Arc<Error>>,
}

/// A place at a feed: the items after `position` are in `items`.
#[derive(Debug)]
pub(super) struct Place {
    pub feed: Arc<Feed>,
    pub items: broadcast::Receiver<Item>,
    pub position: Option<LogSequence>,
}

impl Feeds {
    fn open(&self) -> MutexGuard<'_, HashMap<LogScope, Weak<Feed>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, record: &Arc<Stored<Record>>) {
        let bytes = record.memory();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let left_out = kept.keep(Arc::clone(record), bytes);
        // They may be large: nobody waits for the lock while they are freed.
        drop(kept);
        drop(left_out);
    }

    /// A place at the feed of a scope, which is opened if nobody has.
    pub(super) async fn join(inner: &Arc<Inner>, scope: &LogScope) -> Result<Place> {
        let feeds = &inner.feeds;
        let there = feeds.open().get(scope).and_then(Weak::upgrade);
        if let Some(place) = there.and_then(|feed| feed.place().ok()) {
            return Ok(place);
        }
        let last = inner.reader.storage.last_sequence().await?;
        let options = WatchOptions::from(LogSequence::after(last));
        let records = inner.reader.storage.watch(scope.clone(), options).await?;
        // A feed that is dropped takes the lock itself, so this one goes after the lock.
        let quicker;
        let mut open = feeds.open();
        // Somebody else may have been quicker.
        quicker = open.get(scope).and_then(Weak::upgrade);
        if let Some(place) = quicker.as_ref().and_then(|feed| Arc::clone(feed).place().ok()) {
            return Ok(place);
        }
        let (sender, items) = broadcast::channel(KEPT);
        let state = State { position: last, sender: Some(sender), end: None };
        let shared = Arc::new(Shared { state: Mutex::new(state) });
        let keepers = Arc::downgrade(feeds);
        let run = Arc::clone(&shared).run(records, Whole::new(Arc::clone(inner)), keepers);
        let feed = Arc::new(Feed {
            scope: scope.clone(),
            feeds: Arc::downgrade(feeds),
            shared,
            task: tokio::spawn(run),
        });
        open.insert(scope.clone(), Arc::downgrade(&feed));
        Ok(Place { feed, items, position: last })
    }
}

impl Feed {
    /// A place at this feed; if it is over, its error.
    pub(super) fn place(self: Arc<Self>) -> std::result::Result<Place, Option<Arc<Error>>> {
        let (items, position) = {
            let state = self.shared.state();
            let Some(sender) = &state.sender else { return Err(state.end.clone()) };
            (sender.subscribe(), state.position)
        };
        Ok(Place { feed: self, items, position })
    }

    /// Error that ended it.
    pub(super) fn end(&self) -> Option<Arc<Error>> {
        self.shared.state().end.clone()
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.task.abort();
        let Some(feeds) = self.feeds.upgrade() else { return };
        let mut open = feeds.open();
        // Another one may have taken its place.
        if open.get(&self.scope).is_some_and(|feed| feed.strong_count() == 0) {
            open.remove(&self.scope);
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn run(
        self: Arc<Self>,
        mut records: BoxStream<'static, storage::Result<Stored<Record>>>,
        mut whole: Whole,
        feeds: Weak<Feeds>,
    ) {
        let mut ending = Ending { shared: self, end: Some(Arc::new(cut_off().into())) };
        let mut end = None;
        while let Some(record) = records.next().await {
            let sequence = sequence(&record);
            let record = match record {
                Ok(record) => whole.in_the_end(record).await,
                Err(error) => Err(error.into()),
            };
            let record = record.map(Arc::new).map_err(Arc::new);
            // An error is the end if nothing comes after it.
            end = record.as_ref().err().cloned();
            if let (Ok(record), Some(feeds)) = (&record, feeds.upgrade()) {
                feeds.keep(record);
            }
            let given = record.as_ref().map(Arc::downgrade).map_err(Arc::clone);
            ending.shared.give(Item { sequence, record: given });
        }
        ending.end = end;
    }

    /// Gives an item to all places. One lock covers it, so that a new place has all that comes
    /// after its position.
    fn give(&self, item: Item) {
        let mut state = self.state();
        state.position = state.position.max(item.sequence);
        if let Some(sender) = &state.sender {
            // Nobody may be left to take it; then the feed is about to be dropped.
            let _ = sender.send(item);
        }
    }
}

/// Ends the feed when its task does, also by a panic: its places would wait for ever.
struct Ending {
    shared: Arc<Shared>,
    end: Option<Arc<Error>>,
}

impl Drop for Ending {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        state.end = self.end.take();
        state.sender = None;
    }
}

fn cut_off() -> StorageError {
    let reason = "the reading of the log was cut off".to_owned();
    StorageError::Unavailable { reason, away_since: None }
}

/// The log sequence of a record, also of one that can't be read; `None` of other errors.
pub(super) fn sequence(record: &storage::Result<Stored<Record>>) -> Option<LogSequence> {
    match record {
        Ok(record) => Some(record.sequence),
        Err(StorageError::Corrupt { sequence, .. }) => Some(*sequence),
        Err(_) => None,
    }
}
