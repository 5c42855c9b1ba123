//! Streams beside the log and its view of tokens: kept, filled, published to, purged and read through.

use async_nats::HeaderMap;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, future::join_all, stream};
use serde_json::{Value, json};

use super::{
    direct::{Asked, Many, Query, RawMessage},
    leader::led,
    refusal::NOT_FOUND,
    settings,
    store::{Inner, OtherStream},
    streams,
};
use crate::storage::{Cursor, Filling, MAX_PAGE, Page, PageOf, Result, StorageError};

/// Number of requests for items of one call that are made at once.
const AT_ONCE: usize = 256;

/// Number of filters whose messages are listed at once.
const LISTED_AT_ONCE: usize = 16;

/// Every subject of a stream.
pub(super) const EVERYTHING: &str = ">";

impl Inner {
    /// Makes the stream again where it is missing and this process may. Returns true if it was.
    pub(super) async fn keep_other(&self, stream: &OtherStream) -> Result<bool> {
        match stream.may_be_made {
            true => Box::pin(streams::keep_other(&self.link, &self.config, stream.role)).await,
            false => Ok(false),
        }
    }

    /// The fault of the stream, for people. Whoever only looks needs none: a system of an earlier version
    /// does not have it.
    pub(super) async fn problem_of(&self, stream: &OtherStream) -> Option<String> {
        let (name, role) = (&stream.name, stream.role);
        match self.link.call_leader(&format!("STREAM.INFO.{name}"), &Value::Null).await {
            Ok(Err(error)) if error.err_code == NOT_FOUND => {
                stream.may_be_made.then(|| streams::missing_other(&self.config, role).to_string())
            }
            Ok(Err(error)) => Some(error.of_stream(name).to_string()),
            Ok(Ok(info)) => match led(name, &info) {
                Ok(()) => settings::differing_other(&self.config, role, &info),
                Err(error) => Some(error.to_string()),
            },
            Err(error) => Some(error.to_string()),
        }
    }

    /// The life of the stream, if it is to be filled; makes it where it is missing.
    pub(super) async fn life_to_be_filled(&self, stream: &OtherStream) -> Result<Option<String>> {
        self.keep_other(stream).await?;
        let created = self.read(|| streams::to_be_filled_since(&self.link, &stream.name)).await?;
        Ok(created.map(|created| created.to_string()))
    }

    /// Notes that the stream is filled, if this is still its life.
    pub(super) async fn life_is_filled(&self, stream: &OtherStream, life: &str) -> Result<()> {
        // What is no JSON is no life of this store's.
        let created = serde_json::from_str(life).unwrap_or_default();
        self.read(|| streams::note_filled(&self.link, &stream.name, &created)).await
    }

    /// Does something for each of these, many at once; makes the stream again if it is missing, and does all
    /// again then.
    pub(super) async fn for_each<'a, T: Sync, F: Future<Output = Result<()>>>(
        &'a self,
        stream: &OtherStream,
        all: &'a [T],
        act: impl Fn(&'a T) -> F,
    ) -> Result<()> {
        match self.for_each_once(all, &act).await {
            Err(StorageError::Stream { .. }) if self.keep_other(stream).await? => {
                self.for_each_once(all, &act).await.map(drop)
            }
            done => done.map(drop),
        }
    }

    pub(super) async fn for_each_once<'a, T: Sync, A, F: Future<Output = Result<A>>>(
        &'a self,
        all: &'a [T],
        act: impl Fn(&'a T) -> F,
    ) -> Result<Vec<A>> {
        let mut answers = Vec::with_capacity(all.len());
        for some in all.chunks(AT_ONCE) {
            let acts = some.iter().map(|one| self.read(|| act(one)));
            // All to their ends: one of them may be what finds out that the server is back.
            answers.extend(join_all(acts).await.into_iter().collect::<Result<Vec<_>>>()?);
        }
        Ok(answers)
    }

    /// Takes away what is at a subject, which may have wildcards.
    pub(super) async fn purge(&self, stream: &OtherStream, filter: &str) -> Result<()> {
        let (name, body) = (&stream.name, json!({ "filter": filter }));
        match self.link.call(&format!("STREAM.PURGE.{name}"), &body).await? {
            Err(error) if error.err_code != NOT_FOUND => Err(error.of_stream(name)),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// All messages of some filters, where a subject has one at most. One that leaves its place meanwhile and is
    /// put at the end is found there.
    pub(super) async fn all_of(&self, stream: &str, filters: &[String]) -> Result<Vec<RawMessage>> {
        if filters.is_empty() {
            return Ok(Vec::new());
        }
        if let Some(found) = self.all_at_once(stream, filters).await? {
            return Ok(found);
        }
        let each = (0..filters.len()).map(|at| self.all_of_one(stream, &filters[at..=at]));
        let found: Vec<_> = stream::iter(each).buffered(LISTED_AT_ONCE).try_collect().await?;
        Ok(found.into_iter().flatten().collect())
    }

    /// The same of one filter.
    async fn all_of_one(&self, stream: &str, filter: &[String]) -> Result<Vec<RawMessage>> {
        if let Some(found) = self.all_at_once(stream, filter).await? {
            return Ok(found);
        }
        let (mut found, mut from) = (Vec::new(), Some(1));
        while let (Some(filter), Some(at)) = (filter.first(), from) {
            let (messages, next) = self.following(stream, filter, at, MAX_PAGE).await?;
            found.extend(messages);
            from = next;
        }
        Ok(found)
    }

    /// The same where they fit into one answer; `None` if they do not, or it may be a replica's that lags: that
    /// may lack some of the last ones, and not tell.
    async fn all_at_once(
        &self,
        stream: &str,
        filters: &[String],
    ) -> Result<Option<Vec<RawMessage>>> {
        if self.seen.replicated() {
            return Ok(None);
        }
        let (end, mut found) = (self.last_of(stream).await?, Vec::new());
        for from in [1, end + 1] {
            let many = self.link.last_of_each(stream, filters, from, MAX_PAGE).await?;
            let Many::Some { messages, more: false } = many else { return Ok(None) };
            found.extend(messages);
        }
        Ok(Some(found))
    }

    /// A page of what the messages of a stream's filter mean. What has no meaning is left out.
    pub(super) async fn page_of<T>(
        &self,
        stream: &str,
        filter: &str,
        page: Page,
        bytes: usize,
        meaning: impl Fn(&RawMessage) -> Option<T>,
    ) -> Result<PageOf<T>> {
        let mut filling = Filling::new(page.first);
        let after = page.after.map_or(0, |Cursor(after)| after);
        let Some(mut from) = after.checked_add(1) else { return Ok(filling.page()) };
        loop {
            // One more tells that there is another page.
            let most = filling.room() + 1;
            let (messages, next) = self.following(stream, filter, from, most).await?;
            for message in messages {
                let Some(item) = meaning(&message) else { continue };
                if !filling.add(Cursor(message.sequence), item, bytes) {
                    return Ok(filling.page());
                }
            }
            match next {
                Some(next) => from = next,
                None => return Ok(filling.page()),
            }
        }
    }

    /// Messages of a filter from a sequence on, in order, up to `most`; and the sequence to go on from,
    /// unless it was said that there are no more.
    async fn following(
        &self,
        stream: &str,
        filter: &str,
        from: u64,
        most: usize,
    ) -> Result<(Vec<RawMessage>, Option<u64>)> {
        // Before the read: what the leader has then is reached at the end.
        let end = match self.seen.replicated() {
            true => Some(self.last_of(stream).await?),
            false => None,
        };
        let (mut messages, more) = self.link.next_batch(stream, filter, from, most).await?;
        let next = |messages: &[RawMessage]| messages.last().map_or(from, |last| last.sequence + 1);
        if more {
            let next = next(&messages);
            return Ok((messages, Some(next)));
        }
        let Some(end) = end else { return Ok((messages, None)) };
        let missed = Query::Next(filter, next(&messages));
        match self.link.get(stream, missed, Asked::Leader).await? {
            Some(missed) => {
                messages.push(missed);
                let next = next(&messages);
                Ok((messages, Some(next)))
            }
            None => self.link.must_reach(stream, end).await.map(|()| (messages, None)),
        }
    }

    /// Stores a message on the condition that the last one at its subject, or at those of the filter, is
    /// this one.
    pub(super) async fn store_other(
        &self,
        stream: &OtherStream,
        subject: &str,
        expected: super::publish::Expected<'_>,
        headers: impl Fn() -> HeaderMap,
        payload: Bytes,
    ) -> Result<u64> {
        // The condition is of what was stored, so it may wait for the next connection.
        self.link.breaker.connected_within(self.link.timeout()).await?;
        self.link.publish(&stream.name, subject, expected, headers, payload).await
    }
}
