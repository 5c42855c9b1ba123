//! Going along the messages of a filter by direct gets, which costs what is read: all messages in
//! batches where most are wanted, and else from each of the filter to the next one. A batch with a
//! filter, or a new consumer, makes the server count all that are left first.

use std::collections::{BTreeMap, VecDeque};

use futures::{Stream, future::join_all, stream};

use super::{Link, direct::RawMessage, feed::Feed};
use crate::storage::{Result, StorageError};

/// How many direct gets for the next message are under way at once.
const MOST_AT_ONCE: u64 = 32;

/// A batch of everything is read while one in so many of its messages is wanted.
const DENSE: usize = 4;

/// The most messages in a batch of everything.
const MOST_IN_A_BATCH: usize = 256;

/// The number of messages after which a consumer is worth making.
const FEW: usize = 64;

/// The filter of all messages of a stream.
const EVERYTHING: &str = ">";

/// The messages of a filter from a sequence on.
pub struct Walk {
    link: Link,
    stream: String,
    filter: String,
    /// Where the next step begins.
    from: u64,
    at_once: u64,
    /// How many messages a batch of everything has.
    batch: usize,
    /// Whether the filter's messages were no small part of all in the last batch.
    is_dense: bool,
    is_over: bool,
}

impl Walk {
    /// `wanted` says how many messages are probably enough.
    pub fn new(link: &Link, stream: &str, filter: &str, from: u64, wanted: usize) -> Self {
        Self {
            link: link.clone(),
            stream: stream.to_owned(),
            filter: filter.to_owned(),
            from,
            at_once: 1,
            batch: (wanted * DENSE).clamp(16, MOST_IN_A_BATCH),
            is_dense: true,
            is_over: false,
        }
    }

    /// True if the server has said that nothing comes after what was given.
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// The next messages, in order: none or more. After an error the same step can be tried again.
    pub async fn step(&mut self) -> Result<Vec<RawMessage>> {
        if self.is_dense { self.all_and_choose().await } else { self.one_by_one().await }
    }

    /// The next messages whatever they are, of which those of the filter are kept. A batch of
    /// everything makes the server count nothing, and at a stream's beginning it would look at
    /// all subjects that match a filter.
    async fn all_and_choose(&mut self) -> Result<Vec<RawMessage>> {
        let batch = self.link.next_batch(&self.stream, EVERYTHING, self.from, self.batch).await?;
        let (mut messages, more) = batch;
        self.is_over = !more;
        let all = messages.len();
        if let Some(last) = messages.last() {
            self.from = last.sequence + 1;
        }
        messages.retain(|message| matches(&self.filter, &message.subject));
        self.is_dense = messages.len() * DENSE >= all;
        Ok(messages)
    }

    async fn one_by_one(&mut self) -> Result<Vec<RawMessage>> {
        let asked = (self.from..self.from.saturating_add(self.at_once))
            .map(|from| self.link.next(&self.stream, &self.filter, from));
        let mut messages = BTreeMap::new();
        let mut is_over = false;
        // To their ends, all of them: one may be what finds out that the server is back.
        for found in join_all(asked).await {
            match found? {
                Some(message) => drop(messages.insert(message.sequence, message)),
                None => is_over = true,
            }
        }
        self.is_over = is_over;
        // Where the messages lie close together, as many are asked for as come.
        self.at_once = match messages.len() as u64 * 2 > self.at_once {
            true => (self.at_once * 2).min(MOST_AT_ONCE),
            false => (self.at_once / 2).max(1),
        };
        if let Some((last, _)) = messages.last_key_value() {
            self.from = last + 1;
        }
        Ok(messages.into_values().collect())
    }
}

/// Whether a filter, which may have `*` for a word, matches a subject.
fn matches(filter: &str, subject: &str) -> bool {
    let (mut filter, mut subject) = (filter.split('.'), subject.split('.'));
    loop {
        match (filter.next(), subject.next()) {
            (None, None) => return true,
            (Some(wanted), Some(word)) if wanted == "*" || wanted == word => {}
            _ => return false,
        }
    }
}

/// The messages of a walk up to the sequence `until`: the first ones step by step, and all others,
/// where there are more, by a feed. What has no answer is left to the feed too, which asks again
/// as often as the settings say. Whoever walks may be answered by a replica that lags, so only of
/// a stream that is not `replicated` the end of a walk is the end.
pub fn walked_first(
    walk: Walk,
    feed: Feed,
    until: u64,
    replicated: bool,
) -> impl Stream<Item = Result<RawMessage>> + Send + 'static {
    let state = (Some(walk), feed, VecDeque::new(), 0);
    stream::try_unfold(state, move |(mut walking, mut feed, mut read, mut given)| async move {
        while let Some(walk) = &mut walking
            && read.is_empty()
        {
            if walk.from > until || walk.is_over && !replicated {
                return Ok(None);
            }
            if !walk.is_over && given < FEW {
                match walk.step().await {
                    Ok(messages) => {
                        read.extend(messages);
                        continue;
                    }
                    Err(StorageError::Unavailable { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
            feed.begin_at(walk.from);
            walking = None;
        }
        let next = match read.pop_front() {
            Some(message) => Some(message),
            None => feed.next().await.transpose()?,
        };
        given += 1;
        let next = next.filter(|message| message.sequence <= until);
        Ok(next.map(|message| (message, (walking, feed, read, given))))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_one_word() {
        let filter = "cb.workflows.w.places.*.tokens.*";
        assert!(matches(filter, "cb.workflows.w.places.p.tokens.t"));
        assert!(!matches(filter, "cb.workflows.v.places.p.tokens.t"));
        assert!(!matches(filter, "cb.workflows.w.places.p.tokens"));
        assert!(!matches(filter, "cb.workflows.w.places.p.tokens.t.u"));
    }
}
