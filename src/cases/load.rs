//! From the store to the state of a case: the head, and the records that its tokens are in.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use futures::{StreamExt, TryStreamExt, stream};

use super::{Error, Inner, Result};
use crate::{
    engine::{produced, restore},
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
        let records: Vec<Vec<Token>> = stream::iter(sequences)
            .map(|sequence| self.tokens_of(workflow, case, sequence, head.sequence))
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await?;
        let mut tokens: HashMap<TokenId, Arc<Token>> = HashMap::with_capacity(marking.len());
        for token in records.into_iter().flatten().chain(produced(head)) {
            let alive = |entry: &&crate::models::MarkingEntry| {
                let sequence = if entry.sequence == 0 { head.sequence } else { entry.sequence };
                entry.token == token.id && sequence == token.nats_sequence
            };
            if marking.iter().any(|entry| alive(&entry)) {
                tokens.insert(token.id.clone(), Arc::new(self.with_subject(token)));
            }
        }
        restore(head, tokens).map_err(|reason| broken(workflow, case, head.sequence, reason))
    }

    async fn tokens_of(
        &self,
        workflow: &WorkflowId,
        case: &CaseId,
        sequence: u64,
        head: u64,
    ) -> Result<Vec<Token>> {
        let record = self.storage.record(workflow, case, sequence).await?;
        let missing = || {
            let reason =
                format!("its marking names record {sequence}, which the log does not have");
            broken(workflow, case, head, reason)
        };
        let record = record.ok_or_else(missing)?;
        Ok(produced(&record).collect())
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
