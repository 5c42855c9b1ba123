//! Reads. None of them consumes, and none of them changes anything.

use std::{sync::Arc, time::Instant};

use chrono::Utc;
use futures::{StreamExt, TryStreamExt, stream::BoxStream};

use super::{Cases, Error, Inner, Result};
use crate::{
    engine::{self, Explanation, produced},
    models::{
        Case, CaseId, CaseStatus, Record, RecordKind, Stored, Token, TokenId, Transition,
        WorkflowId,
    },
    storage::{
        Consistency, Cursor, Health, LogScope, MAX_PAGE, Page, PageOf, ReadPath, StorageError,
        TokenScope,
    },
};

/// How many heads are asked for at once.
const AT_ONCE: usize = 32;

impl Cases {
    /// A live token by its id; across workflows where none is named. An eventual read is one
    /// request to the view; a strong one asks the log. What the view does not have is looked
    /// for in the log, so a token is never denied because of a view.
    pub async fn token(
        &self,
        workflow: Option<&WorkflowId>,
        token: &TokenId,
        consistency: Consistency,
    ) -> Result<Token> {
        let begun = Instant::now();
        let (workflow, case) = self.inner.locate(workflow, token).await?;
        let seen = match consistency {
            Consistency::Eventual => {
                match self.inner.storage.token(&workflow, token, ReadPath::Direct).await {
                    Err(error @ StorageError::Corrupt { .. }) => {
                        tracing::warn!(%error, "read from the log; `petrel rebuild` mends the view");
                        None
                    }
                    seen => seen?,
                }
            }
            Consistency::Strong => None,
        };
        let found = match seen {
            Some(token) => Some(token),
            None => self.inner.token_in_log(&workflow, &case, token).await?,
        };
        self.inner.metrics.read(begun.elapsed());
        found.ok_or_else(|| Error::no_token(token))
    }

    /// The live tokens of a workflow, of a place or of a case, from the view, a page at a
    /// time, ordered by their last change there.
    pub async fn tokens(&self, scope: &TokenScope, page: Page) -> Result<PageOf<Token>> {
        check(page)?;
        let begun = Instant::now();
        let tokens = self.inner.storage.tokens(scope, page, ReadPath::Direct).await?;
        self.inner.metrics.read(begun.elapsed());
        Ok(tokens)
    }

    /// A case as its log has it now.
    pub async fn case(&self, workflow: &WorkflowId, case: &CaseId) -> Result<Arc<Case>> {
        let loaded = self.inner.load(workflow, case).await?;
        let (_, case) = loaded.ok_or_else(|| Error::no_case(case))?;
        Ok(Arc::new(case))
    }

    /// The cases of a workflow in the order of their creation, a page at a time. A cursor is
    /// the log sequence of the record that created the case. Cases that can't be read are
    /// logged and left out; asking for one by its id says why.
    pub async fn cases(
        &self,
        workflow: &WorkflowId,
        status: Option<CaseStatus>,
        page: Page,
    ) -> Result<PageOf<Arc<Case>>> {
        check(page)?;
        let from = page.after.map_or(1, |Cursor(after)| after + 1);
        let scope = LogScope::Lifecycles(Some(workflow.clone()));
        let records = self.inner.storage.history(scope, from).await?;
        let created = records.filter_map(|record| async move {
            match record {
                Ok(record) if record.value.kind == RecordKind::Created => Some(Ok(record)),
                Ok(_) => None,
                Err(error @ StorageError::Corrupt { .. }) => {
                    tracing::warn!(%error, "left out of a listing");
                    None
                }
                Err(error) => Some(Err(error)),
            }
        });
        let cases = created.map(|record| async move {
            let record = record?;
            let loaded = self.inner.load(workflow, &record.value.case).await;
            match loaded {
                Ok(case) => Ok(case.map(|(_, case)| (Cursor(record.sequence), Arc::new(case)))),
                Err(error) if error.retryable() => Err(error),
                Err(error) => {
                    tracing::warn!(%error, "left out of a listing");
                    Ok(None)
                }
            }
        });
        let mut cases = std::pin::pin!(cases.buffered(AT_ONCE));
        let mut items = Vec::new();
        while let Some(case) = cases.try_next().await? {
            let Some((cursor, case)) = case else { continue };
            if status.is_some_and(|status| case.status != status) {
                continue;
            }
            if items.len() == page.first {
                return Ok(PageOf { items, has_next: true });
            }
            items.push((cursor, case));
        }
        Ok(PageOf { items, has_next: false })
    }

    /// What each transition can do in a case, and why.
    pub async fn explain(&self, workflow: &WorkflowId, case: &CaseId) -> Result<Explanation> {
        let case = self.case(workflow, case).await?;
        let compiled = self.inner.compiled(workflow, case.definition).await?;
        Ok(engine::explain(&compiled.net, &case, Utc::now()))
    }

    /// The transitions that could fire now and would take this token.
    pub async fn available_transitions(
        &self,
        workflow: Option<&WorkflowId>,
        token: &TokenId,
    ) -> Result<Vec<Transition>> {
        let (workflow, case) = self.inner.locate(workflow, token).await?;
        let loaded = self.inner.load(&workflow, &case).await?;
        let alive = loaded.filter(|(_, case)| case.tokens.contains_key(token));
        let (_, case) = alive.ok_or_else(|| Error::no_token(token))?;
        let compiled = self.inner.compiled(&workflow, case.definition).await?;
        let ids = engine::available(&compiled.net, &case, token, Utc::now());
        let transitions = compiled.stored.definition.transitions.iter();
        Ok(transitions.filter(|transition| ids.contains(&transition.id)).cloned().collect())
    }

    /// A case's records in order, a page at a time; a cursor is a log sequence.
    pub async fn history(
        &self,
        workflow: &WorkflowId,
        case: &CaseId,
        page: Page,
    ) -> Result<PageOf<Stored<Record>>> {
        check(page)?;
        let from = page.after.map_or(1, |Cursor(after)| after + 1);
        let scope = LogScope::Case(workflow.clone(), case.clone());
        let mut records = self.inner.storage.history(scope, from).await?;
        let mut items = Vec::new();
        let mut has_next = false;
        while let Some(record) = records.try_next().await? {
            has_next = items.len() == page.first;
            if has_next {
                break;
            }
            items.push((Cursor(record.sequence), self.inner.with_subjects(record)));
        }
        if items.is_empty() {
            let head = self.inner.storage.head(workflow, case, Consistency::Strong).await?;
            head.ok_or_else(|| Error::no_case(case))?;
        }
        Ok(PageOf { items, has_next })
    }

    /// The records in `scope` from a log sequence on, and then each new one as it comes,
    /// without loss or repetition; without a sequence, only new ones.
    pub async fn watch(
        &self,
        scope: LogScope,
        from_sequence: Option<u64>,
    ) -> Result<BoxStream<'static, Result<Stored<Record>>>> {
        let from = match from_sequence {
            Some(sequence) => sequence,
            None => self.inner.storage.last_sequence().await? + 1,
        };
        let records = self.inner.storage.watch(scope, from).await?;
        let inner = self.inner.clone();
        Ok(records.map(move |record| Ok(inner.with_subjects(record?))).boxed())
    }

    /// Whether the store can be reached, and what it says of itself.
    pub async fn health(&self) -> Health {
        self.inner.storage.health().await
    }
}

impl Inner {
    /// A record whose tokens say at which subjects the view keeps them.
    fn with_subjects(&self, mut record: Stored<Record>) -> Stored<Record> {
        let tokens = std::mem::take(&mut record.value.produced);
        record.value.produced = tokens.into_iter().map(|token| self.with_subject(token)).collect();
        record
    }

    /// A token as the log has it: from the case's head, or from the record that the head's
    /// marking names.
    async fn token_in_log(
        &self,
        workflow: &WorkflowId,
        case: &CaseId,
        token: &TokenId,
    ) -> Result<Option<Token>> {
        let Some(head) = self.storage.head(workflow, case, Consistency::Strong).await? else {
            return Ok(None);
        };
        let Some(entry) = head.value.marking.entry(token) else { return Ok(None) };
        let record = match entry.sequence {
            0 => head,
            sequence if sequence == head.sequence => head,
            sequence => match self.storage.record(workflow, case, sequence).await? {
                Some(record) => record,
                None => return Ok(None),
            },
        };
        let timestamp = Some(record.timestamp);
        let found = produced(&record).find(|produced| produced.id == *token);
        Ok(found.map(|token| self.with_subject(Token { nats_timestamp: timestamp, ..token })))
    }
}

fn check(page: Page) -> Result<()> {
    match (1..=MAX_PAGE).contains(&page.first) {
        true => Ok(()),
        false => Err(Error::argument("first", format!("must be 1 to {MAX_PAGE}"))),
    }
}
