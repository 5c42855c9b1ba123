//! Reads of many registers of the marking stream at once, some of them without their bodies, and of
//! the last records of many cases.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use futures::{
    StreamExt,
    future::try_join_all,
    stream::{self, BoxStream},
};
use serde_json::Value;

use super::{
    codec::{decode_lifecycle, decode_outline, decode_record, decode_register},
    decoding::decoded,
    direct::{Asked, Many, Query, RawMessage},
    feed::{Feed, FeedRequest},
    marking::SUBJECTS_AT_ONCE,
    store::Inner,
};
use crate::{
    models::{CaseId, LogSequence, PlaceId, TokenId, WorkflowId},
    storage::{Consistency, Heads, Lifecycle, LogScope, Outline, Register, Result},
};

/// The most registers that are asked for one by one: an answer of one message needs no
/// subscription of its own.
const ONE_BY_ONE: usize = 4;

/// Most difference between the clocks of two servers, one with the log and one with the view.
const CLOCKS_DIFFER: TimeDelta = TimeDelta::seconds(10);

/// Number of cases that one request names. Each has two subjects, and the server answers for at
/// most 1,024.
const CASES_AT_ONCE: usize = 256;

/// Number of cases that are asked for at once where each is asked for alone.
const HEADS_AT_ONCE: usize = 16;

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
        let from = match from {
            Some(from) => from,
            // A replica that lags has nothing of that time yet.
            None if self.seen.replicated() => 1,
            None => return Ok(stream::empty().boxed()),
        };
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

impl Inner {
    pub(super) fn heads<'a>(&'a self, workflow: &'a WorkflowId, cases: &'a [CaseId]) -> Heads<'a> {
        stream::iter(cases.chunks(CASES_AT_ONCE))
            .then(move |cases| self.some_heads(workflow, cases))
            .flatten()
            .boxed()
    }

    /// The heads of so many cases as one request names. They are decoded as they are taken, so that
    /// only their messages are in memory together.
    async fn some_heads<'a>(&'a self, workflow: &'a WorkflowId, cases: &'a [CaseId]) -> Heads<'a> {
        // What has gone wrong is told by those who are asked for alone.
        let Ok(Some(mut found)) = self.last_records(workflow, cases).await else {
            return self.heads_one_by_one(workflow, cases);
        };
        let heads = stream::iter(cases).then(move |case| {
            let found = found.remove(case.as_str());
            async move {
                let head = match found {
                    Some(message) => decoded(message, decode_record).await.map(Some),
                    // Nothing is denied by a batch.
                    None => self.read(|| self.head(workflow, case, Consistency::Strong)).await,
                };
                (case.clone(), head)
            }
        });
        heads.boxed()
    }

    fn heads_one_by_one<'a>(&'a self, workflow: &'a WorkflowId, cases: &'a [CaseId]) -> Heads<'a> {
        let heads = stream::iter(cases).map(move |case| async move {
            let ask = || self.head(workflow, case, Consistency::Strong);
            (case.clone(), self.read(ask).await)
        });
        heads.buffered(HEADS_AT_ONCE).boxed()
    }

    /// The last message of each of these cases that has one, by case. `None` if they do not fit into
    /// one answer, or a direct get may be answered by a replica that lags.
    async fn last_records(
        &self,
        workflow: &WorkflowId,
        cases: &[CaseId],
    ) -> Result<Option<HashMap<String, RawMessage>>> {
        self.seen.look().await?;
        if self.seen.replicated() {
            return Ok(None);
        }
        let filters: Vec<_> = cases.iter().map(|case| self.subjects.case(workflow, case)).collect();
        // What comes while nobody reads it must have room, or the client drops it.
        let room = self.config.request_buffer.max(2 * self.config.scan_batch) - 1;
        let most = room.min(4 * CASES_AT_ONCE);
        let answer = self.link.last_of_each(self.log(), &filters, 1, most).await?;
        let Many::Some { messages, more: false } = answer else { return Ok(None) };
        let mut found = HashMap::with_capacity(cases.len());
        // In the order of their sequences: the last one of a case is its head, on either branch.
        for message in messages {
            self.seen.read(message.sequence, message.timestamp);
            let case = message.subject.rsplit('.').next().unwrap_or_default().to_owned();
            found.insert(case, message);
        }
        Ok(Some(found))
    }
}

/// Time at which the first message that a stream still has was stored; `None` if it has none.
fn first_time(state: &Value) -> Option<DateTime<Utc>> {
    let time = state["first_ts"].as_str()?.parse().ok()?;
    (state["messages"].as_u64()? > 0).then_some(time)
}
