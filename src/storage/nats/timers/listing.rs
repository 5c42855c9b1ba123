//! Lists of timers that are armed, or have come due and are not settled.

use std::collections::BTreeMap;

use super::codec;
use crate::{
    models::{CaseId, WorkflowId},
    storage::{
        Arming, Cursor, Filling, MAX_PAGE, Page, PageOf, Result,
        nats::{
            direct::{Asked, Many, Query, RawMessage},
            store::Inner,
        },
    },
};

/// Every subject of the stream.
const EVERYTHING: &str = ">";

/// Bytes that an item of a page takes, by a rough estimate.
const BYTES: usize = 256;

impl Inner {
    /// The timers of a case. One that comes due meanwhile leaves its place and is put at the end, so the
    /// end is read last.
    pub(super) async fn armed_in(
        &self,
        workflow: &WorkflowId,
        case: &CaseId,
    ) -> Result<Vec<Arming>> {
        let (stream, filter) = (&self.timers.name, self.subjects.timers_of(workflow, case));
        let mut found = BTreeMap::new();
        let mut add = |messages: Vec<RawMessage>| {
            for message in messages {
                if let Some(arming) = self.timer_of(&message) {
                    found.insert((arming.timer, arming.armed), arming);
                }
            }
        };
        let mut from = 1;
        // A replica that lags may lack some of the last ones, and not tell.
        if !self.seen.replicated() {
            let end = self.last_of(stream).await?;
            let filters = std::slice::from_ref(&filter);
            let many = self.link.last_of_each(stream, filters, 1, MAX_PAGE).await?;
            if let Many::Some { messages, more: false } = many {
                add(messages);
                from = end + 1;
            }
        }
        loop {
            let (messages, next) = self.following(&filter, from, MAX_PAGE).await?;
            add(messages);
            match next {
                Some(next) => from = next,
                None => return Ok(found.into_values().collect()),
            }
        }
    }

    pub(super) async fn armed(&self, page: Page) -> Result<PageOf<Arming>> {
        let mut filling = Filling::new(page.first);
        let after = page.after.map_or(0, |Cursor(after)| after);
        let Some(mut from) = after.checked_add(1) else { return Ok(filling.page()) };
        loop {
            // One more tells that there is another page.
            let (messages, next) = self.following(EVERYTHING, from, filling.room() + 1).await?;
            for message in messages {
                let Some(arming) = self.timer_of(&message) else { continue };
                if !filling.add(Cursor(message.sequence), arming, BYTES) {
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
        filter: &str,
        from: u64,
        most: usize,
    ) -> Result<(Vec<RawMessage>, Option<u64>)> {
        let stream = &self.timers.name;
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

    /// The timer of a message; what has none is told of and left out.
    fn timer_of(&self, message: &RawMessage) -> Option<Arming> {
        let refused = |reason: &String| {
            let (stream, subject, sequence) =
                (&self.timers.name, &message.subject, message.sequence);
            tracing::warn!(stream, subject, sequence, reason, "this is no timer");
        };
        codec::decode(message, &self.subjects).inspect_err(refused).ok()
    }
}
