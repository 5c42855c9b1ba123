//! Walks from each message of a filter to the next one by direct gets, at the cost of the
//! messages read. A batch and a new consumer make the server count all that are left first.

use std::{
    collections::{BTreeMap, VecDeque},
    mem,
};

use futures::{Stream, future::join_all, stream};

use super::{
    Link,
    direct::{Asked, Query, RawMessage},
    feed::Feed,
};
use crate::storage::{Result, StorageError};

/// Number of direct gets for the next message that are under way at once.
const MOST_AT_ONCE: u64 = 32;

/// Number of them at first: a short page takes two steps, where one at first took four.
const FIRST_AT_ONCE: u64 = 4;

/// The number of messages after which a consumer is worth making.
const FEW: usize = 64;

/// The filter of all messages of a stream.
const EVERYTHING: &str = ">";

/// The messages of a filter from a sequence on.
pub(super) struct Walk {
    link: Link,
    stream: String,
    filter: String,
    /// Sequence that the next step begins at.
    from: u64,
    at_once: u64,
    has_begun: bool,
    is_over: bool,
    /// Who is believed that nothing comes any more.
    says_the_end: Asked,
}

impl Walk {
    pub(super) fn new(
        link: &Link,
        stream: &str,
        filter: &str,
        from: u64,
        says_the_end: Asked,
    ) -> Self {
        Self {
            link: link.clone(),
            stream: stream.to_owned(),
            filter: filter.to_owned(),
            from,
            at_once: FIRST_AT_ONCE,
            has_begun: false,
            is_over: false,
            says_the_end,
        }
    }

    /// True if the server has said that nothing comes after the messages that were given.
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    /// The next messages, in order: none or more. After an error the same step can be tried again.
    pub(super) async fn step(&mut self) -> Result<Vec<RawMessage>> {
        if !mem::replace(&mut self.has_begun, true) {
            return self.begin().await.inspect_err(|_| self.has_begun = false);
        }
        let asked = (self.from..self.from.saturating_add(self.at_once))
            .map(|from| self.link.get(&self.stream, Query::Next(&self.filter, from), Asked::Any));
        // To their ends, all of them: one may be what finds out that the server is back.
        let found = join_all(asked).await.into_iter().collect::<Result<Vec<_>>>()?;
        let asked = found.len();
        let found: Vec<_> = without_a_gap(found).collect();
        let mut is_over = found.len() < asked;
        let mut messages: BTreeMap<_, _> =
            found.into_iter().map(|message| (message.sequence, message)).collect();
        let came = messages.len() as u64;
        let next = |messages: &BTreeMap<u64, RawMessage>| {
            messages.last_key_value().map_or(self.from, |(last, _)| last + 1)
        };
        if is_over && let Some(missed) = self.missed(&self.filter, next(&messages)).await? {
            messages.insert(missed.sequence, missed);
            is_over = false;
        }
        // Nothing of the step is noted before it can't fail any more.
        self.from = next(&messages);
        self.is_over = is_over;
        // One more question beside others costs a tenth of one after them.
        self.at_once = match self.at_once {
            asked if came * 4 > asked => (asked * 2).min(MOST_AT_ONCE),
            asked if came * 8 < asked => (asked / 2).max(1),
            asked => asked,
        };
        Ok(messages.into_values().collect())
    }

    /// The next message that only the leader has, where only its word counts that there is none.
    async fn missed(&self, filter: &str, from: u64) -> Result<Option<RawMessage>> {
        match self.says_the_end {
            Asked::Any => Ok(None),
            Asked::Leader => {
                self.link.get(&self.stream, Query::Next(filter, from), Asked::Leader).await
            }
        }
    }

    /// The first messages. At a stream's beginning the server is asked for any message: asked
    /// for one of a filter there, it looks at all subjects that match.
    async fn begin(&mut self) -> Result<Vec<RawMessage>> {
        let next = Query::Next(EVERYTHING, self.from);
        let first = match self.link.get(&self.stream, next, Asked::Any).await? {
            None => self.missed(EVERYTHING, self.from).await?,
            first => first,
        };
        let Some(first) = first else {
            self.is_over = true;
            return Ok(Vec::new());
        };
        self.from = first.sequence + 1;
        Ok(if matches(&self.filter, &first.subject) { vec![first] } else { Vec::new() })
    }
}

/// The answers up to the first one that says that there is no more, of those asked for the next message
/// from one sequence on, from the one after it, and so on. Each may come from another replica: one that
/// lags says so of a sequence at which others have a message, and the answers behind it skip that.
fn without_a_gap<T>(answers: Vec<Option<T>>) -> impl Iterator<Item = T> {
    answers.into_iter().map_while(|answer| answer)
}

/// Returns true if a filter, which may have `*` for a word, matches a subject.
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

/// The messages of a walk up to the sequence `until`: the first ones step by step, and all
/// others, if there are more, by a feed. A step without an answer is left to the feed too,
/// which asks again as often as the settings say. A replica that lags may answer a walk, so
/// the end of a walk counts only for a stream that is not `replicated`.
pub(super) fn walked_first(
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
    fn what_is_behind_the_answer_of_a_replica_that_lags_is_asked_for_again() {
        let answers = |answers: &[Option<u64>]| without_a_gap(answers.to_vec()).collect::<Vec<_>>();
        assert_eq!(answers(&[Some(10), Some(11)]), [10, 11]);
        assert_eq!(answers(&[Some(10), None, Some(12)]), [10], "11 is somewhere else");
        assert_eq!(answers(&[None, Some(11)]), [0; 0]);
    }

    #[test]
    fn a_star_stands_for_one_word() {
        let filter = "cb.workflows.w.places.*.tokens.*";
        assert!(matches(filter, "cb.workflows.w.places.p.tokens.t"));
        assert!(!matches(filter, "cb.workflows.v.places.p.tokens.t"));
        assert!(!matches(filter, "cb.workflows.w.places.p.tokens"));
        assert!(!matches(filter, "cb.workflows.w.places.p.tokens.t.u"));
    }
}
