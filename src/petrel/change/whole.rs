//! Whole records for readers: a stored record leaves out a part that another one has.

use std::{collections::HashMap, sync::Arc, time::Duration};

use crate::petrel::{Inner, Result};
use crate::{
    engine::produced,
    models::{Case, LogSequence, Passed, Record, Stored, Token, TokenId},
};

/// Wait before the server is asked again after it did not answer.
const RETRY_EVERY: Duration = Duration::from_millis(250);

/// Number of tokens whose histories are kept at hand.
const MOST_KNOWN: usize = 4_096;

/// Makes records whole that come in the order of the log.
pub(in crate::petrel) struct Whole {
    inner: Arc<Inner>,
    /// The history of tokens after the last of their records that passed here, with its
    /// sequence.
    known: HashMap<TokenId, (LogSequence, Arc<Vec<Passed>>)>,
}

impl Whole {
    pub(crate) fn new(inner: Arc<Inner>) -> Self {
        Self { inner, known: HashMap::new() }
    }

    /// The same as [`record`](Self::record), but waits for any absence of the server.
    pub(crate) async fn in_the_end(&mut self, record: Stored<Record>) -> Result<Stored<Record>> {
        // Only what another record has must be asked for.
        while !record.value.history_bases.is_empty() {
            match self.record(record.clone()).await {
                Err(error) if error.retryable() => tokio::time::sleep(RETRY_EVERY).await,
                done => return done,
            }
        }
        self.record(record).await
    }

    /// A record whose tokens have all of their history, and the subjects that the view keeps
    /// them at.
    pub(crate) async fn record(&mut self, mut record: Stored<Record>) -> Result<Stored<Record>> {
        let mut tokens: Vec<_> = produced(&record).collect();
        let mut bases = std::mem::take(&mut record.value.history_bases);
        for token in &mut tokens {
            if let Some(base) = bases.get(&token.id)
                && let Some((sequence, history)) = self.known.get(&token.id)
                && sequence >= base
            {
                token.complete_history(*base, history);
                bases.remove(&token.id);
            }
        }
        let bases = bases.into_iter().collect();
        self.inner.reader.complete(&mut tokens, &bases, &[]).await?;
        if self.known.len() + tokens.len() > MOST_KNOWN {
            self.known.clear();
        }
        for token in &tokens {
            let history = (record.sequence, token.history.clone());
            self.known.insert(token.id.clone(), history);
        }
        record.value.produced =
            tokens.into_iter().map(|token| self.inner.reader.with_subject(token)).collect();
        Ok(record)
    }
}

/// The tokens of a record that are there after it, which it has from now on as the case has them: with
/// their histories whole, and the facts about what is stored.
pub(in crate::petrel) fn tokens_after(record: &mut Record, case: &Case) -> Vec<Arc<Token>> {
    let mut tokens = Vec::with_capacity(record.produced.len());
    record.history_bases.clear();
    record.produced.retain_mut(|token| {
        let Some(known) = case.tokens.get(&token.id) else { return false };
        token.history = Arc::clone(&known.history);
        token.nats_sequence = known.nats_sequence;
        token.nats_subject.clone_from(&known.nats_subject);
        tokens.push(Arc::clone(known));
        true
    });
    tokens
}
