//! The index of what is open, beside the offers in their stream: an entry is a message that no consumer
//! takes. It stays until it is struck out.

use async_nats::HeaderMap;
use async_trait::async_trait;
use bytes::Bytes;

use crate::storage::{
    Open, OpenIndex, OpenScope, Page, PageOf, Result, StorageError,
    nats::{
        NatsStorage,
        direct::{Asked, Query},
        publish::Expected,
        store::Inner,
    },
};

/// Bytes that an entry of a page takes, by a rough estimate.
const BYTES: usize = 256;

impl Inner {
    async fn note_one(&self, open: &Open) -> Result<()> {
        let (stream, subject) = (&self.work.stream, self.subjects.open(open));
        let expected = Expected { sequence: 0, filter: None };
        match self.store_other(stream, &subject, expected, HeaderMap::new, Bytes::new()).await {
            Ok(_) | Err(StorageError::LostRace { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

#[async_trait]
impl OpenIndex for NatsStorage {
    async fn note_open(&self, open: &[Open]) -> Result<()> {
        let inner = self.inner();
        inner.for_each(&inner.work.stream, open, |open| inner.note_one(open)).await
    }

    async fn strike_open(&self, over: &[Open]) -> Result<()> {
        let inner = self.inner();
        let strike = |open| async move {
            let subject = inner.subjects.open(open);
            inner.purge(&inner.work.stream, &subject).await
        };
        inner.for_each_once(over, strike).await.map(drop)
    }

    async fn is_noted(&self, open: &[Open]) -> Result<Vec<bool>> {
        let inner = self.inner();
        let look = |open| async move {
            let (stream, subject) = (&inner.work.stream.name, inner.subjects.open(open));
            let found = inner.link.get(stream, Query::Last(&subject), Asked::Leader).await?;
            Ok(found.is_some())
        };
        inner.for_each_once(open, look).await
    }

    async fn open(&self, scope: &OpenScope, page: Page) -> Result<PageOf<Open>> {
        let inner = self.inner();
        let (stream, filter) = (&inner.work.stream.name, inner.subjects.all_open(scope));
        let meaning = |message: &crate::storage::nats::direct::RawMessage| {
            inner.subjects.parse_open(&message.subject)
        };
        inner.read(|| inner.page_of(stream, &filter, page, BYTES, meaning)).await
    }
}
