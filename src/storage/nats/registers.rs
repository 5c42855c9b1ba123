//! Reads of many registers of the marking stream at once, some of them without their bodies.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use futures::{
    StreamExt,
    future::try_join_all,
    stream::{self, BoxStream},
};
use serde_json::Value;

use super::{
    codec::{decode_lifecycle, decode_outline, decode_register},
    decoding::decoded,
    direct::{Asked, Many, Query, RawMessage},
    feed::{Feed, FeedRequest},
    marking::SUBJECTS_AT_ONCE,
    store::Inner,
};
use crate::{
    models::{LogSequence, PlaceId, TokenId, WorkflowId},
    storage::{Lifecycle, LogScope, Outline, Register, Result},
};

/// The most registers that are asked for one by one: an answer of one message needs no
/// subscription of its own.
const ONE_BY_ONE: usize = 4;

/// Most difference between the clocks of two servers, one with the log and one with the view.
const CLOCKS_DIFFER: TimeDelta = TimeDelta::seconds(10);

impl Inner {
    pub(super) async fn registers_of(
        &self,
        workflow: &WorkflowId,
        wanted: &[(TokenId, PlaceId)],
    ) -> Result<Vec<Register>> {
        if wanted.len() <= ONE_BY_ONE {
            let reads = wanted.iter().map(|(token, place)| self.register(workflow, place, token));
            return try_join_all(reads).await;
        }
        let mut registers = Vec::with_capacity(wanted.len());
        for wanted in wanted.chunks(SUBJECTS_AT_ONCE) {
            let subject = |(token, place): &_| self.subjects.token(workflow, place, token);
            let subjects: Vec<_> = wanted.iter().map(subject).collect();
            let found = self.last_of_all(&subjects).await?;
            for ((token, place), subject) in wanted.iter().zip(subjects) {
                registers.push(match found.get(&subject).cloned() {
                    Some(message) => {
                        let subjects = self.subjects.clone();
                        decoded(message, move |message| decode_register(message, &subjects)).await?
                    }
                    None => Register::empty(workflow, place, token),
                });
            }
        }
        Ok(registers)
    }

    /// The last message of each of these subjects that has one. A subject that is written
    /// during this comes a second time, with its newer message.
    async fn last_of_all(&self, subjects: &[String]) -> Result<HashMap<String, RawMessage>> {
        let (mut found, mut from) = (HashMap::new(), 1);
        loop {
            let request = self.link.last_of_each(self.marking(), subjects, from, subjects.len());
            let Many::Some { messages, more } = request.await? else {
                return Err(self.too_many(subjects.len()));
            };
            let last = messages.last().map(|message| message.sequence);
            found.extend(messages.into_iter().map(|message| (message.subject.clone(), message)));
            match last {
                Some(last) if more => from = last + 1,
                _ => return Ok(found),
            }
        }
    }

    pub(super) async fn outlines(
        &self,
        since: Option<LogSequence>,
    ) -> Result<BoxStream<'static, Result<Outline>>> {
        let filter = self.subjects.all_tokens();
        let from = match self.written_since(since).await? {
            Some(time) => self.link.first_since(self.marking(), &filter, time).await?,
            None => Some(1),
        };
        let Some(from) = from else { return Ok(stream::empty().boxed()) };
        let (feed, subjects) =
            (self.headers(self.marking(), filter, from).await?, self.subjects.clone());
        let decode = move |message: Result<RawMessage>| decode_outline(&message?, &subjects);
        Ok(feed.into_stream().map(decode).boxed())
    }

    pub(super) async fn lifecycles(&self) -> Result<BoxStream<'static, Result<Lifecycle>>> {
        let filter = self.subjects.records(&LogScope::Lifecycles(None));
        let (feed, subjects) = (self.headers(self.log(), filter, 1).await?, self.subjects.clone());
        let decode = move |message: Result<RawMessage>| decode_lifecycle(&message?, &subjects);
        Ok(feed.into_stream().map(decode).boxed())
    }

    /// The messages that a stream has now, without their bodies.
    async fn headers(&self, stream: &str, filter: String, from: u64) -> Result<Feed> {
        let request = FeedRequest {
            stream: stream.to_owned(),
            filter,
            from,
            last_of_each: false,
            headers_only: true,
            replicated: self.seen.replicated(),
            until: Some(self.last_of(stream).await?),
            batch: self.config.scan_batch.max(SUBJECTS_AT_ONCE),
            tries: self.config.deliveries,
        };
        Ok(Feed::new(&self.link, &self.jetstream, request))
    }

    /// Time from which on the view has the messages that come from the log's record at `since`
    /// or a later one. `None` if they may be anywhere: the log is no longer than that, or has
    /// been made anew.
    async fn written_since(&self, since: Option<LogSequence>) -> Result<Option<DateTime<Utc>>> {
        let record = match since {
            None => None,
            Some(since) => self.link.get(self.log(), Query::At(since.get()), Asked::Any).await?,
        };
        let Some(record) = record else { return Ok(None) };
        let (log, view) =
            (self.stream_state(self.log()).await?, self.stream_state(self.marking()).await?);
        let is_older = match (first_time(&log), first_time(&view)) {
            (Some(log), Some(view)) => view < log,
            _ => false,
        };
        Ok((!is_older).then(|| record.timestamp - CLOCKS_DIFFER))
    }
}

/// Time at which the first message that a stream still has was stored; `None` if it has none.
fn first_time(state: &Value) -> Option<DateTime<Utc>> {
    let time = state["first_ts"].as_str()?.parse().ok()?;
    (state["messages"].as_u64()? > 0).then_some(time)
}
