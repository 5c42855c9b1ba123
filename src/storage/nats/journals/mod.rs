//! Journals in the log's stream, each under the fence of its own subject.

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, stream};

use super::{
    NatsStorage,
    append::Append,
    codec,
    direct::{Query, RawMessage},
    store::Inner,
};
use crate::{
    models::{JOURNAL_FORMAT, JournalEntry, JournalId, LogSequence, StoredEntry},
    storage::{Journals, Result, StorageError},
};

/// Number of entries that are asked for at once.
const AT_ONCE: usize = 64;

impl Inner {
    async fn write_entry(
        &self,
        of: &JournalId,
        entry: &JournalEntry,
        expected: Option<LogSequence>,
    ) -> Result<LogSequence> {
        let subject = self.subjects.journal(of);
        let payload = serde_json::to_vec(entry).map_err(|error| StorageError::Unwritable {
            subject: subject.clone(),
            reason: error.to_string(),
        })?;
        let hash = codec::hash(&payload);
        let expected = expected.map_or(0, LogSequence::get);
        let seen = self.seen.highest();
        let append = Append { fence: subject.clone(), subject, expected, payload: payload.into() };
        self.appended(seen, self.group.append(append).await?, &hash)
    }
}

#[async_trait]
impl Journals for NatsStorage {
    async fn write_entry(
        &self,
        of: &JournalId,
        entry: &JournalEntry,
        expected: Option<LogSequence>,
    ) -> Result<LogSequence> {
        self.inner().write_entry(of, entry, expected).await
    }

    async fn last_entry(&self, of: &JournalId) -> Result<Option<StoredEntry>> {
        let (inner, subject) = (self.inner(), self.inner().subjects.journal(of));
        inner.read(|| inner.last_strong(&subject, decode)).await
    }

    async fn entries_at(&self, of: &JournalId, at: &[LogSequence]) -> Result<Vec<StoredEntry>> {
        let (inner, subject) = (self.inner(), self.inner().subjects.journal(of));
        let at = at.iter().map(|at| at.get()).collect::<Vec<_>>();
        let found = stream::iter(at).map(|at| {
            let subject = subject.clone();
            let ours = move |message: &RawMessage| {
                (message.subject == subject).then(|| decode(message)).transpose()
            };
            inner.read(move || inner.stays(Query::At(at), ours.clone()))
        });
        let found: Vec<_> = found.buffered(AT_ONCE).try_collect().await?;
        Ok(found.into_iter().flatten().flatten().collect())
    }
}

fn decode(message: &RawMessage) -> Result<StoredEntry> {
    codec::in_log(message, |sequence| {
        let entry: JournalEntry = codec::decode(message)?;
        codec::readable_up_to(JOURNAL_FORMAT, entry.format)?;
        Ok(StoredEntry { entry, sequence, timestamp: message.timestamp })
    })
}
