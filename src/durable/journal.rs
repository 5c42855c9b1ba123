//! The journal of a run: read whole when the run begins, and written at its end.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use chrono::{DateTime, Utc};
use serde_json::Value;
use tokio::sync::Mutex;

use super::error::Fatal;
use crate::{
    models::{
        EntryKind, JOURNAL_FORMAT, JournalEnd, JournalEntry, JournalId, LogSequence, StoredEntry,
    },
    storage::{Journals, Result, StorageError},
};

/// Wait before the store is asked again that did not answer.
const AGAIN: Duration = Duration::from_millis(200);

/// A journal, which one claim writes.
#[derive(Debug)]
pub(super) struct Journal {
    store: Arc<dyn Journals>,
    of: JournalId,
    claim: u64,
    /// Held while an entry is on its way: entries stand in the order in which they were written.
    end: Mutex<JournalEnd>,
    /// Entries that others wrote meanwhile, and nobody has asked for.
    heard: std::sync::Mutex<Vec<StoredEntry>>,
    heard_of: AtomicUsize,
}

impl Journal {
    /// Begins a claim's part of a journal, which ends that of every claim before, and reads all that there is, in order.
    pub(super) async fn open(
        store: Arc<dyn Journals>,
        of: JournalId,
        claim: u64,
        (worker, now): (String, DateTime<Utc>),
        input: Value,
    ) -> std::result::Result<(Self, Vec<StoredEntry>), Fatal> {
        let last = again(|| store.last_entry(&of)).await.map_err(Fatal::Journal)?;
        let end = match &last {
            None => JournalEnd::default(),
            Some(last) if last.entry.claim > claim => return Err(Fatal::LeaseLost),
            Some(last) => JournalEnd::at(last),
        };
        let (end, heard, heard_of) = (Mutex::new(end), Default::default(), Default::default());
        let journal = Self { store, of, claim, end, heard, heard_of };
        let (seed, input) = match last {
            None => (Some(format!("{:032x}", rand::random::<u128>())), Some(input)),
            Some(_) => (None, None),
        };
        journal.append(EntryKind::Begun { worker, seed, input }, now).await?;
        let entries = again(|| journal.read()).await.map_err(Fatal::Journal)?;
        let is_whole = (1..).zip(&entries).all(|(number, stored)| stored.entry.number == number);
        match is_whole {
            true => Ok((journal, entries)),
            false => Err(Fatal::Journal(journal.broken("its entries do not lead to one another"))),
        }
    }

    /// A journal as it is, with all its entries, for somebody who has no claim. `None` if it has none.
    pub(super) async fn look(
        store: Arc<dyn Journals>,
        of: JournalId,
    ) -> Result<Option<(Self, Vec<StoredEntry>)>> {
        let Some(last) = store.last_entry(&of).await? else { return Ok(None) };
        let (claim, end) = (last.entry.claim, Mutex::new(JournalEnd::at(&last)));
        let (heard, heard_of) = Default::default();
        let journal = Self { store, of, claim, end, heard, heard_of };
        let entries = journal.read().await?;
        Ok(Some((journal, entries)))
    }

    /// Writes an entry under the last claim, if nobody has written another one since this one was read.
    pub(super) async fn append_here(&self, what: EntryKind, time: DateTime<Utc>) -> Result<()> {
        let entry = self.entry(what, time);
        let mut end = self.end.lock().await;
        let next = self.next(&mut end, &entry).await?;
        let sequence = self.store.write_entry(&self.of, &next, end.sequence).await?;
        end.moved_to(&next, sequence);
        Ok(())
    }

    /// The item whose journal it is.
    pub(super) fn item(&self) -> &JournalId {
        &self.of
    }

    fn entry(&self, what: EntryKind, time: DateTime<Utc>) -> JournalEntry {
        let (format, claim) = (JOURNAL_FORMAT, self.claim);
        let (number, recent, pages) = Default::default();
        JournalEntry { format, number, claim, time, recent, pages, what }
    }

    /// Writes an entry. Another one that was written by somebody else meanwhile stands before it.
    pub(super) async fn append(
        &self,
        what: EntryKind,
        time: DateTime<Utc>,
    ) -> std::result::Result<(), Fatal> {
        self.append_if(what, time, |_| true).await.map(drop)
    }

    /// The same, if `goes_on` when it would follow on the journal's end, with what others wrote and nobody has taken yet.
    /// Returns false if not.
    pub(super) async fn append_if(
        &self,
        what: EntryKind,
        time: DateTime<Utc>,
        goes_on: impl Fn(&[StoredEntry]) -> bool,
    ) -> std::result::Result<bool, Fatal> {
        let entry = self.entry(what, time);
        let mut end = self.end.lock().await;
        loop {
            // Under the lock: what is heard after this is written after the entry.
            if !goes_on(&self.heard()) {
                return Ok(false);
            }
            let next = self.next(&mut end, &entry).await.map_err(Fatal::Journal)?;
            match self.store.write_entry(&self.of, &next, end.sequence).await {
                Ok(sequence) => {
                    end.moved_to(&next, sequence);
                    return Ok(true);
                }
                Err(StorageError::LostRace { .. }) => {}
                Err(error) if error.retryable() => tokio::time::sleep(AGAIN).await,
                Err(error) => return Err(Fatal::Journal(error)),
            }
            // It may be stored all the same, and somebody else's before or after it.
            let mut others = self.others(&mut end).await?;
            let own = others.iter().position(|other| other.entry == next);
            own.map(|own| others.remove(own));
            self.hears(others);
            if own.is_some() {
                return Ok(true);
            }
        }
    }

    /// Looks if others have written something.
    pub(super) async fn look_on(&self) -> std::result::Result<(), Fatal> {
        let mut end = self.end.lock().await;
        let others = self.others(&mut end).await?;
        self.hears(others);
        Ok(())
    }

    fn hears(&self, others: Vec<StoredEntry>) {
        self.heard_of.fetch_add(others.len(), Ordering::Relaxed);
        self.heard().extend(others);
    }

    /// Number of the entries that others wrote, as far as they are known.
    pub(super) fn heard_of(&self) -> usize {
        self.heard_of.load(Ordering::Relaxed)
    }

    /// Takes the entries that others wrote since they were last taken.
    pub(super) fn take_heard(&self) -> Vec<StoredEntry> {
        std::mem::take(&mut self.heard())
    }

    fn heard(&self) -> std::sync::MutexGuard<'_, Vec<StoredEntry>> {
        // Nothing panics between the parts of one change, so it is whole.
        self.heard.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The entries after an end, which moves on to the last one.
    async fn others(&self, end: &mut JournalEnd) -> std::result::Result<Vec<StoredEntry>, Fatal> {
        let last = again(|| self.store.last_entry(&self.of)).await.map_err(Fatal::Journal)?;
        let last = match last {
            Some(last) if last.entry.claim > self.claim => return Err(Fatal::LeaseLost),
            Some(last) if Some(last.sequence) == end.sequence => return Ok(Vec::new()),
            Some(last) if last.entry.number > end.number => last,
            None if end.sequence.is_none() => return Ok(Vec::new()),
            _ => return Err(Fatal::Journal(self.broken("the log has gone back before it"))),
        };
        let now = JournalEnd::at(&last);
        let new = |all: &[LogSequence]| {
            let after = all.iter().copied().filter(|at| Some(*at) > end.sequence);
            after.collect::<Vec<_>>()
        };
        let wanted = last.entry.number - end.number;
        if wanted == 1 {
            *end = JournalEnd::at(&last);
            return Ok(vec![last]);
        }
        let mut recent = new(now.recent());
        if (recent.len() as u64) < wanted {
            let all = again(|| self.sequences(now.clone())).await.map_err(Fatal::Journal)?;
            recent = new(&all);
        }
        let others = again(|| self.store.entries_at(&self.of, &recent)).await;
        *end = now;
        others.map_err(Fatal::Journal)
    }

    /// An entry as the next one of the journal.
    async fn next(&self, end: &mut JournalEnd, entry: &JournalEntry) -> Result<JournalEntry> {
        if let Some(next) = end.followed_by(entry.clone()) {
            return Ok(next);
        }
        if let Some(page) = end.unread_page() {
            let page = [page];
            let found = again(|| self.store.entries_at(&self.of, &page)).await?;
            let page = found.first().ok_or_else(|| self.broken("a page of it is missing"))?;
            end.read_page(&page.entry);
        }
        end.followed_by(entry.clone()).ok_or_else(|| self.broken("a page of it can't be read"))
    }

    /// Reads all entries, in three rounds.
    async fn read(&self) -> Result<Vec<StoredEntry>> {
        let end = self.end.lock().await.clone();
        let all = self.sequences(end).await?;
        self.store.entries_at(&self.of, &all).await
    }

    /// The sequences of all entries up to an end.
    async fn sequences(&self, mut end: JournalEnd) -> Result<Vec<LogSequence>> {
        if let Some(page) = end.unread_page() {
            for page in self.store.entries_at(&self.of, &[page]).await? {
                end.read_page(&page.entry);
            }
        }
        let pages = self.store.entries_at(&self.of, &end.pages().unwrap_or_default()).await?;
        let of_pages = pages.iter().flat_map(|page| &page.entry.recent);
        let mut all: Vec<LogSequence> = of_pages.chain(end.recent()).copied().collect();
        all.dedup();
        Ok(all)
    }

    fn broken(&self, reason: &str) -> StorageError {
        let JournalId { workflow, case, item } = &self.of;
        StorageError::Stream {
            stream: format!("the journal of item {item} of workflow {workflow}, case {case}"),
            reason: reason.to_owned(),
        }
    }
}

/// Asks until the store answers: whoever waits for it in vain is ended by the end of his lease.
async fn again<T, F: Future<Output = Result<T>>>(ask: impl Fn() -> F) -> Result<T> {
    loop {
        match ask().await {
            Err(error) if error.retryable() => tokio::time::sleep(AGAIN).await,
            answer => return answer,
        }
    }
}
