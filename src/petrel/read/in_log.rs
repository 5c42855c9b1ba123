//! A single token as the log has it.

use std::sync::Arc;

use crate::petrel::{
    Inner, Result,
    read::turn::{Loaded, Loading},
    thread::by_itself,
};
use crate::{
    engine::{history_bases, take_produced},
    models::{CaseId, Token, TokenId, WorkflowId},
    storage::{Consistency, ReadOptions},
};

impl Inner {
    /// A token as the log has it: from the case's head, or from the record that the head's
    /// marking names.
    pub(super) async fn token_in_log(
        self: &Arc<Self>,
        workflow: &WorkflowId,
        case: &CaseId,
        token: &TokenId,
    ) -> Result<Option<Token>> {
        let mut loading = self.reader.loading_small();
        match self.look_in_log(workflow, case, token, &mut loading).await? {
            Loaded::Whole(found) => return Ok(found),
            Loaded::Large => drop(loading),
        }
        let (inner, workflow, case, token) =
            (Arc::clone(self), workflow.clone(), case.clone(), token.clone());
        by_itself(async move {
            let mut loading = inner.reader.loading();
            loop {
                loading.wait().await?;
                let found = inner.look_in_log(&workflow, &case, &token, &mut loading).await?;
                if let Loaded::Whole(found) = found {
                    return Ok(found);
                }
            }
        })
        .await
    }

    /// The same, unless its record is large and there is no turn for it.
    async fn look_in_log(
        &self,
        workflow: &WorkflowId,
        case: &CaseId,
        token: &TokenId,
        loading: &mut Loading<'_>,
    ) -> Result<Loaded<Option<Token>>> {
        let none = Ok(Loaded::Whole(None));
        let Some(head) = self.reader.storage.head(workflow, case, Consistency::Strong).await?
        else {
            return none;
        };
        let Some(entry) = head.value.marking.entry(token) else { return none };
        // What this process knows of the case is right if the log ends with the same record.
        if let Some(known) = self.slots.known(workflow, case)
            && known.head_hash == head.hash
            && let Some(token) = known.tokens.get(token)
        {
            drop(head);
            loading.add(token.memory());
            return Ok(match loading.may_read(0).await {
                true => Loaded::Whole(Some(Token::clone(token))),
                false => Loaded::Large,
            });
        }
        let mut record = match entry.sequence_in(head.sequence) {
            sequence if sequence == head.sequence => head,
            sequence => {
                drop(head);
                match self.reader.storage.record(workflow, case, sequence).await? {
                    Some(record) => record,
                    None => return none,
                }
            }
        };
        loading.add(record.memory());
        if !loading.may_read(0).await {
            return Ok(Loaded::Large);
        }
        let bases = history_bases(&record).collect();
        let found = take_produced(&mut record, |produced| produced == token).pop();
        let Some(mut token) = found else { return none };
        self.reader.complete(std::slice::from_mut(&mut token), &bases, &[]).await?;
        Ok(Loaded::Whole(Some(self.reader.with_subject(token))))
    }

    /// A token as the log has it, and the time from the view if that has the same version.
    /// Both are asked at once; the view decides nothing, so that it can't be read is no error.
    pub(super) async fn strong_token(
        self: &Arc<Self>,
        workflow: &WorkflowId,
        case: &CaseId,
        token: &TokenId,
    ) -> Result<Option<Token>> {
        let seen = async {
            let seen = self.reader.storage.token(workflow, token, ReadOptions::default()).await;
            // Nothing else of it is kept while the log is read: it may be large.
            seen.ok().flatten().map(|seen| (seen.nats_sequence, seen.place, seen.nats_timestamp))
        };
        let (found, seen) = tokio::join!(self.token_in_log(workflow, case, token), seen);
        let Some(found) = found? else { return Ok(None) };
        let is_version = |(sequence, place, _): &(_, _, _)| {
            (sequence, place) == (&found.nats_sequence, &found.place)
        };
        let nats_timestamp = seen.filter(is_version).and_then(|(.., timestamp)| timestamp);
        Ok(Some(Token { nats_timestamp, ..found }))
    }

    /// Returns true if the log says that a token is alive in just this version.
    pub(super) async fn is_current(self: &Arc<Self>, token: &Token) -> Result<bool> {
        let Some((case, _)) = token.id.case() else { return Ok(false) };
        let now = self.token_in_log(&token.workflow, &case, &token.id).await?;
        Ok(now.is_some_and(|now| is_version(&now, token)))
    }
}

/// Returns true if the one is the version of the token that the other is.
pub(super) fn is_version(one: &Token, other: &Token) -> bool {
    one.nats_sequence == other.nats_sequence && one.place == other.place
}
