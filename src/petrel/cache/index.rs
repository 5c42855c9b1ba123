//! The cases by workflow and status, in the order of their creation. The log is read once from
//! its beginning; after that, only its new records.
//!
//! It is a view like any other: it shows the place to look at, and the answer is read from the
//! log.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use chrono::{DateTime, Utc};
use futures::{
    FutureExt, StreamExt,
    future::{BoxFuture, Shared},
    stream,
};
use tokio_util::sync::CancellationToken;

use super::listing::Listing;
use crate::petrel::{Inner, Petrel, Result, export::by_case::case_of};
use crate::{
    models::{CaseId, CaseStatus, LogSequence, WorkflowId},
    storage::{LogRange, StatusAt, Storage, StorageError},
};

/// Longest time that a listing waits for the index.
const PATIENCE: Duration = Duration::from_secs(10);

/// Time between two looks of a serving process at the log.
const EVERY: Duration = Duration::from_secs(1);

/// Number of records that are taken over at once.
const BATCH: usize = 1_024;

/// Number of its own records that a process keeps in mind until the log is followed.
const MOST_NOTED: usize = 65_536;

/// The cases of a store by their status.
#[derive(Debug, Default)]
pub(in crate::petrel) struct Index {
    state: Mutex<State>,
    reading: Mutex<Reading>,
}

#[derive(Debug, Default)]
struct State {
    workflows: HashMap<WorkflowId, Listing>,
    /// The generation of the log that was read.
    generation: u64,
    /// Everything up to this log sequence is in.
    followed: Option<LogSequence>,
    /// The last record of the log when the reading under way began.
    until: Option<LogSequence>,
    /// The last record that was taken over.
    tip: Option<Tip>,
    /// True if it was ever complete.
    is_ready: bool,
    /// The records that this process has appended since, which need not be read.
    noted: BTreeMap<LogSequence, Own>,
}

/// A record of this process's own.
#[derive(Debug)]
pub(in crate::petrel) struct Own {
    pub workflow: WorkflowId,
    pub case: CaseId,
    pub status: CaseStatus,
    pub hash: String,
}

/// A record, and the mark by which it is known again.
#[derive(Debug, Clone)]
struct Tip {
    workflow: WorkflowId,
    case: CaseId,
    sequence: LogSequence,
    mark: Mark,
}

#[derive(Debug, Clone)]
enum Mark {
    /// The server's time, of one that was read.
    Time(DateTime<Utc>),
    /// The hash of its bytes, of one that this process appended.
    Hash(String),
}

/// A reading of the log, for all who ask meanwhile.
#[derive(Debug, Default)]
struct Reading {
    begun: u64,
    under_way: Option<Shareable>,
}

/// End of a reading.
type Read = std::result::Result<(), StorageError>;

/// The same, for all who wait for it; `None` if it has panicked.
type Shareable = Shared<BoxFuture<'static, Option<Read>>>;

impl State {
    fn listing(&mut self, workflow: &WorkflowId) -> &mut Listing {
        // Mostly it is there, and its id need not be cloned.
        if !self.workflows.contains_key(workflow) {
            self.workflows.insert(workflow.clone(), Listing::default());
        }
        self.workflows.entry(workflow.clone()).or_default()
    }

    /// Takes over this process's own records, as far as nothing lies between.
    fn take_over_own(&mut self) {
        self.noted = self.noted.split_off(&LogSequence::after(self.followed));
        while let Some(entry) = self.noted.first_entry()
            && *entry.key() == LogSequence::after(self.followed)
        {
            let (sequence, Own { workflow, case, status, hash }) = entry.remove_entry();
            self.listing(&workflow).take_over(case.clone(), sequence, status);
            self.followed = Some(sequence);
            self.tip = Some(Tip { workflow, case, sequence, mark: Mark::Hash(hash) });
        }
    }
}

impl Index {
    /// Notes a record that this process has appended, by the generation of the log that it was
    /// appended to.
    pub(crate) fn note(&self, generation: u64, sequence: LogSequence, own: Own) {
        let mut state = self.state();
        if !state.is_ready || state.generation != generation {
            return;
        }
        if state.noted.len() >= MOST_NOTED {
            // Nobody follows the log here; it is read where somebody asks.
            state.noted.clear();
        }
        state.noted.insert(sequence, own);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns true if it can be asked without reading the whole log first.
    pub(crate) fn is_ready(&self) -> bool {
        self.state().is_ready
    }

    /// Cases of a workflow, at most `most`, that had a status, or any if none is named, when
    /// the log was last followed: those whose first record comes after a log sequence, in the
    /// order of these, each with that of its own.
    pub(crate) fn some(
        &self,
        workflow: &WorkflowId,
        status: Option<CaseStatus>,
        after: Option<LogSequence>,
        most: usize,
    ) -> Vec<(LogSequence, CaseId)> {
        let state = self.state();
        let listing = state.workflows.get(workflow);
        listing.map(|listing| listing.some(status, after, most)).unwrap_or_default()
    }

    /// Number of readings that have begun.
    fn begun(&self) -> u64 {
        self.readings().begun
    }

    fn readings(&self) -> MutexGuard<'_, Reading> {
        self.reading.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The reading under way, or a new one, by its number.
    fn reading(self: &Arc<Self>, storage: &Arc<dyn Storage>) -> (u64, Shareable) {
        let mut reading = self.readings();
        if let Some(under_way) = &reading.under_way
            && under_way.peek().is_none()
        {
            return (reading.begun, under_way.clone());
        }
        reading.begun += 1;
        let read = tokio::spawn(read(Arc::downgrade(self), Arc::clone(storage)));
        let read = read.map(|read| match read {
            Ok(read) => Some(read),
            Err(error) if error.is_panic() => None,
            // The runtime is shutting down.
            Err(_) => Some(Err(cut_off())),
        });
        let read = read.boxed().shared();
        reading.under_way = Some(read.clone());
        (reading.begun, read)
    }

    fn take_over(&self, batch: &mut Vec<StatusAt>, followed: Option<LogSequence>) {
        let mut state = self.state();
        for StatusAt { workflow, case, sequence, status, .. } in batch.iter() {
            state.listing(workflow).take_over(case.clone(), *sequence, *status);
        }
        if let Some(StatusAt { workflow, case, sequence, timestamp, .. }) = batch.pop() {
            let mark = Mark::Time(timestamp);
            state.tip = Some(Tip { workflow, case, sequence, mark });
        }
        state.followed = followed;
        batch.clear();
    }

    fn not_yet(&self) -> StorageError {
        let state = self.state();
        let reason = format!(
            "the cases by status are being read for the first time, {} of {} log sequences so far; \
             try again in a moment",
            number(state.followed),
            number(state.until)
        );
        StorageError::Unavailable { reason, away_since: None }
    }
}

fn number(sequence: Option<LogSequence>) -> u64 {
    sequence.map_or(0, LogSequence::get)
}

fn cut_off() -> StorageError {
    let reason = "the reading for the index was cut off".to_owned();
    StorageError::Unavailable { reason, away_since: None }
}

/// Reads the records of the log that the index has not. Ends early when nobody has the index
/// any more.
async fn read(index: Weak<Index>, storage: Arc<dyn Storage>) -> Read {
    let generation = storage.generation().await?;
    let last = storage.last_sequence().await?;
    let Some(after) = begin(&index, storage.as_ref(), generation, last).await? else {
        return Ok(());
    };
    let mut statuses = match last {
        Some(last) => storage.statuses(LogRange::after(after, last)).await?,
        None => stream::empty().boxed(),
    };
    let (mut batch, mut followed, mut unreadable) = (Vec::with_capacity(BATCH), after, 0_u64);
    let mut ended = Ok(());
    while let Some(status) = statuses.next().await {
        match status {
            Ok(status) => {
                followed = Some(status.sequence);
                batch.push(status);
            }
            Err(StorageError::Corrupt { subject, sequence, .. }) => {
                let Some(index) = index.upgrade() else { return Ok(()) };
                index.take_over(&mut batch, Some(sequence));
                if let Some((workflow, case)) = case_of(&subject) {
                    let mut state = index.state();
                    state.listing(&workflow).take_over_unreadable(case, sequence);
                }
                (followed, unreadable) = (Some(sequence), unreadable + 1);
            }
            Err(error) => {
                ended = Err(error);
                break;
            }
        }
        if batch.len() == BATCH {
            let Some(index) = index.upgrade() else { return Ok(()) };
            index.take_over(&mut batch, followed);
        }
    }
    let now = storage.generation().await;
    let Some(index) = index.upgrade() else { return Ok(()) };
    if now.as_ref() != Ok(&generation) {
        // What was read may be of two logs.
        *index.state() = State::default();
        now?;
        let reason = "the log went back while the cases by status were read".to_owned();
        return Err(StorageError::Unavailable { reason, away_since: None });
    }
    if unreadable > 0 {
        tracing::warn!(unreadable, "records that can't be read say nothing of their cases' status");
    }
    if ended.is_ok() {
        followed = last;
    }
    index.take_over(&mut batch, followed);
    index.state().is_ready |= ended.is_ok();
    ended
}

/// The sequence up to which the index has everything of the log, `None` if it has all. Nothing
/// of it is kept if the log is not the one that was read.
async fn begin(
    index: &Weak<Index>,
    storage: &dyn Storage,
    generation: u64,
    last: Option<LogSequence>,
) -> std::result::Result<Option<Option<LogSequence>>, StorageError> {
    let tip = {
        let Some(index) = index.upgrade() else { return Ok(None) };
        let mut state = index.state();
        state.until = last;
        if state.followed <= last && (state.generation == generation || state.followed.is_none()) {
            state.generation = generation;
            state.take_over_own();
            return Ok((state.followed < last).then_some(state.followed));
        }
        state.noted.clear();
        state.tip.clone().filter(|_| state.followed <= last)
    };
    let is_there = match tip {
        Some(tip) => match storage.record(&tip.workflow, &tip.case, tip.sequence).await {
            Ok(record) => record.is_some_and(|record| match &tip.mark {
                Mark::Time(time) => record.timestamp == *time,
                Mark::Hash(hash) => record.hash == *hash,
            }),
            Err(StorageError::Corrupt { .. }) => false,
            Err(error) => return Err(error),
        },
        None => false,
    };
    let Some(index) = index.upgrade() else { return Ok(None) };
    let mut state = index.state();
    if !is_there {
        tracing::info!("the log is another one: its cases are read anew");
        *state = State { until: last, ..State::default() };
    }
    state.generation = generation;
    Ok(Some(state.followed))
}

impl Inner {
    /// Makes sure that the index has all that the log had when this was called, within some
    /// seconds.
    pub(crate) async fn follow(&self) -> Result<()> {
        match tokio::time::timeout(PATIENCE, self.follow_however_long()).await {
            Ok(followed) => Ok(followed?),
            // The reading goes on.
            Err(_) => Err(self.index.not_yet().into()),
        }
    }

    async fn follow_however_long(&self) -> Read {
        let before = self.index.begun();
        loop {
            // One that is under way may have begun too early; the one after it has not.
            let (number, read) = self.index.reading(&self.reader.storage);
            read.await.unwrap_or_else(|| Err(cut_off()))?;
            if number > before {
                return Ok(());
            }
        }
    }
}

impl Petrel {
    /// Makes the index by which cases are listed by their status, and waits for it, at any
    /// length of the log.
    pub async fn index_cases(&self) -> Result<()> {
        Ok(self.inner.follow_however_long().await?)
    }

    /// Follows the log until `shutdown`, so that a listing of cases by their status need not read
    /// all of it. Run it in every process that serves.
    ///
    /// # Panics
    ///
    /// When a reading of the log has panicked.
    pub async fn run_index(&self, shutdown: CancellationToken) {
        let follow = async {
            loop {
                let (_, read) = self.inner.index.reading(&self.inner.reader.storage);
                match read.await {
                    Some(Ok(())) => {}
                    Some(Err(error)) => {
                        tracing::debug!(%error, "the index of cases will try again");
                    }
                    None => panic!("a reading for the index has panicked"),
                }
                tokio::time::sleep(EVERY).await;
            }
        };
        // A reading is a task of its own, so nothing is cut off.
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = follow => {}
        }
    }
}
