//! From the store to the state of a case: the head, and the records that its tokens are in.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use futures::{StreamExt, TryStreamExt, stream};

use super::{Error, Inner, Result};
use crate::{
    engine::{history_bases, produced, restore},
    models::{Case, CaseId, Record, Stored, Token, TokenId, WorkflowId},
    storage::Consistency,
};

/// How many records are asked for at once.
const AT_ONCE: usize = 32;

impl Inner {
    /// The case as the log has it now; `None` if it does not exist.
    pub async fn load(
        &self,
        workflow: &WorkflowId,
        case: &CaseId,
    ) -> Result<Option<(Stored<Record>, Case)>> {
        let head = self.storage.head(workflow, case, Consistency::Strong).await?;
        let Some(head) = head else { return Ok(None) };
        let case = self.restore(&head).await?;
        Ok(Some((head, case)))
    }

    /// The state that a head stands for.
    pub async fn restore(&self, head: &Stored<Record>) -> Result<Case> {
        let (workflow, case) = (&head.value.workflow, &head.value.case);
        let marking = &head.value.marking.0;
        let elsewhere = |sequence: &u64| *sequence != 0 && *sequence != head.sequence;
        let sequences: BTreeSet<u64> =
            marking.iter().map(|entry| entry.sequence).filter(elsewhere).collect();
        let records: Vec<Stored<Record>> = stream::iter(sequences)
            .map(|sequence| self.named(workflow, case, sequence, head.sequence))
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await?;
        let mut alive = Vec::with_capacity(marking.len());
        let mut bases = HashMap::with_capacity(marking.len());
        for record in records.iter().chain([head]) {
            let here = |token: &TokenId| {
                marking.iter().any(|entry| {
                    entry.token == *token && entry.sequence_in(head.sequence) == record.sequence
                })
            };
            alive.extend(produced(record).filter(|token| here(&token.id)));
            bases.extend(history_bases(record).filter(|(token, _)| here(token)));
        }
        let at_hand: Vec<_> = records.iter().chain([head]).collect();
        self.complete(&mut alive, &bases, &at_hand).await?;
        let with_subject = |token: Token| (token.id.clone(), Arc::new(self.with_subject(token)));
        let tokens: HashMap<_, _> = alive.into_iter().map(with_subject).collect();
        let restored = restore(head, tokens, bases);
        restored.map_err(|reason| broken(workflow, case, head.sequence, reason))
    }

    /// The case that a head stands for, with no other tokens than these: however many it has, as
    /// many records are read as these are in.
    pub async fn restore_some(
        &self,
        mut head: Stored<Record>,
        only: &HashSet<TokenId>,
    ) -> Result<Case> {
        head.value.marking.0.retain(|entry| only.contains(&entry.token));
        self.restore(&head).await
    }

    /// Puts back the history that the tokens' records left out, from `at_hand` where it is
    /// there, and from the log otherwise.
    pub async fn complete(
        &self,
        tokens: &mut [Token],
        bases: &HashMap<TokenId, u64>,
        at_hand: &[&Stored<Record>],
    ) -> Result<()> {
        let base = |token: &Token| {
            let base = bases.get(&token.id).copied();
            base.filter(|base| *base != token.nats_sequence)
        };
        let missing: BTreeSet<_> = tokens
            .iter()
            .filter_map(|token| Some((base(token)?, token.workflow.clone(), token.case.clone())))
            .filter(|(base, ..)| !at_hand.iter().any(|record| record.sequence == *base))
            .collect();
        let fetched: Vec<Stored<Record>> = stream::iter(missing)
            .map(|(sequence, workflow, case)| async move {
                self.named(&workflow, &case, sequence, sequence).await
            })
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await?;
        for token in tokens {
            let Some(base) = base(token) else { continue };
            let mut records = at_hand.iter().copied().chain(&fetched);
            let record = records.find(|record| record.sequence == base);
            let known = record.and_then(|record| produced(record).find(|one| one.id == token.id));
            token.complete_history(base, known.as_ref().map_or(&[], |known| &known.history));
        }
        Ok(())
    }

    /// A record that another one of its case names.
    async fn named(
        &self,
        workflow: &WorkflowId,
        case: &CaseId,
        sequence: u64,
        by: u64,
    ) -> Result<Stored<Record>> {
        let record = self.storage.record(workflow, case, sequence).await?;
        record.ok_or_else(|| {
            let reason = format!("record {sequence} is named, and the log does not have it");
            broken(workflow, case, by, reason)
        })
    }

    /// A token with the subject at which the view keeps it.
    pub fn with_subject(&self, token: Token) -> Token {
        let nats_subject = self.storage.token_subject(&token.workflow, &token.place, &token.id);
        Token { nats_subject, ..token }
    }
}

pub(super) fn broken(workflow: &WorkflowId, case: &CaseId, sequence: u64, reason: String) -> Error {
    Error::BrokenLog { workflow: workflow.clone(), case: case.clone(), sequence, reason }
}
