//! The history of one case, from its two subjects.
//!
//! A filter with a wildcard makes the server look through every block of the log; of an exact
//! subject it knows the blocks.

use std::{collections::VecDeque, ops::RangeInclusive};

use futures::{Stream, future::join_all, stream};

use super::{
    Link,
    direct::{Asked, Query, RawMessage},
};
use crate::storage::Result;

/// The messages of one subject in a range of sequences, in batches of direct gets.
pub(crate) struct Branch {
    link: Link,
    stream: String,
    subject: String,
    /// Sequences that are still to be asked for.
    rest: Option<RangeInclusive<u64>>,
    batch: usize,
    /// True if a direct get may be answered by a replica that lags, so that only the leader's
    /// word counts that there is no more.
    replicated: bool,
    read: VecDeque<RawMessage>,
}

impl Branch {
    pub(crate) fn new(
        link: Link,
        stream: String,
        subject: String,
        range: RangeInclusive<u64>,
        batch: usize,
        replicated: bool,
    ) -> Self {
        let (rest, read) = (Some(range), VecDeque::new());
        Self { link, stream, subject, rest, batch, replicated, read }
    }

    /// Makes the next message ready, if there is one.
    async fn fill(&mut self) -> Result<()> {
        if !self.read.is_empty() {
            return Ok(());
        }
        let Some(range) = self.rest.clone().filter(|range| !range.is_empty()) else {
            return Ok(());
        };
        let (from, until) = range.into_inner();
        let (stream, subject) = (&self.stream, &self.subject);
        let (messages, more) = self.link.next_batch(stream, subject, from, self.batch).await?;
        let mut next = messages.last().map_or(from, |last| last.sequence + 1);
        self.read = messages.into();
        let mut is_over = !more;
        if is_over && self.replicated && next <= until {
            let missed = self.link.get(stream, Query::Next(subject, next), Asked::Leader).await?;
            match missed {
                None => self.link.must_reach(stream, until).await?,
                Some(missed) if missed.sequence > until => {}
                Some(missed) => {
                    (next, is_over) = (missed.sequence + 1, false);
                    self.read.push_back(missed);
                }
            }
        }
        self.read.retain(|message| message.sequence <= until);
        self.rest = (!is_over).then_some(next..=until);
        Ok(())
    }

    fn next_sequence(&self) -> u64 {
        self.read.front().map_or(u64::MAX, |message| message.sequence)
    }
}

/// All branches in the order of their sequences.
pub(crate) fn merged(
    branches: Vec<Branch>,
) -> impl Stream<Item = Result<RawMessage>> + Send + 'static {
    stream::try_unfold(branches, |mut branches| async move {
        // All to their ends: one of them may be what finds out that the server is back.
        let filled = join_all(branches.iter_mut().map(Branch::fill)).await;
        filled.into_iter().collect::<Result<Vec<()>>>()?;
        let first = branches.iter_mut().min_by_key(|branch| branch.next_sequence());
        let message = first.and_then(|branch| branch.read.pop_front());
        Ok(message.map(|message| (message, branches)))
    })
}
