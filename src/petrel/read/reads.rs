//! Reads. None of them consumes, and none of them changes anything.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use futures::{StreamExt, TryStreamExt, future::try_join_all};

use crate::petrel::{
    Error, Lookup, Petrel, Result,
    change::whole::Whole,
    read::{follows::known_with, in_log::is_version},
};
use crate::{
    engine::{self, Budget, Explanation},
    models::{
        Case, CaseId, LogPosition, LogSequence, Record, Stored, StoredDefinition, Token, TokenId,
        Transition, WorkflowId,
    },
    storage::{
        Consistency, Cursor, Filling, Health, MAX_PAGE, Page, PageOf, ReadOptions, ReadPath,
        RegisterState, StorageError, StorageExt, TokenScope,
    },
};

/// Number of look-ups of one call that are under way at once.
const AT_ONCE: usize = 16;

/// Number of records of a page that are read ahead, where each may be large.
const READ_AHEAD: usize = 16;

/// Memory of tokens, or of records, that are read together, in bytes.
const LIGHT: usize = 2 * 1024 * 1024;

/// Waits for a view that another process is about to write, before each further look at it: a
/// write takes as long as one publish.
const VIEW_WAITS: [Duration; 3] =
    [Duration::from_millis(1), Duration::from_millis(4), Duration::from_millis(16)];

impl Petrel {
    /// A live token by its id; across workflows if none is named. An eventual read is one
    /// request to the view; a strong one asks the log. A token that the view does not have is
    /// looked for in the log, so a token is never denied because of a view.
    pub async fn token(
        &self,
        workflow: Option<&WorkflowId>,
        token: &TokenId,
        consistency: Consistency,
    ) -> Result<Token> {
        let begun = Instant::now();
        let (workflow, case) = self.inner.reader.locate(workflow, token).await?;
        let inner = &self.inner;
        let found = match consistency {
            Consistency::Strong => inner.strong_token(&workflow, &case, token).await?,
            Consistency::Eventual => {
                let seen = match inner
                    .reader
                    .storage
                    .token(&workflow, token, ReadOptions::default())
                    .await
                {
                    Err(error @ StorageError::CorruptView { .. }) => {
                        tracing::warn!(%error, "read from the log; `petrel rebuild` mends the view");
                        None
                    }
                    seen => seen?,
                };
                match seen {
                    Some(token) => Some(token),
                    None => inner.token_in_log(&workflow, &case, token).await?,
                }
            }
        };
        inner.metrics.read(begun.elapsed());
        found.ok_or_else(|| Error::no_token(token))
    }

    /// Time at which the server stored the message that holds just this version of a token:
    /// [`Token::nats_timestamp`], asked of the view for a token that was not read from it, as
    /// in the answer to a change. `None` if the token is not alive in this version any more.
    /// `None` too if the view still lags behind the log after some 20 ms: then the process
    /// that changed the token died, and the reconciler will mend the view.
    pub async fn stored_at(&self, token: &Token) -> Result<Option<DateTime<Utc>>> {
        if token.nats_timestamp.is_some() {
            return Ok(token.nats_timestamp);
        }
        let storage = &self.inner.reader.storage;
        let mut waits = VIEW_WAITS.iter();
        loop {
            let state = match storage.read_path() {
                ReadPath::Direct => {
                    storage.register(&token.workflow, &token.place, &token.id).await?.state
                }
                path => match storage.token(&token.workflow, &token.id, path.into()).await? {
                    Some(seen) => RegisterState::Live(Box::new(seen)),
                    None => RegisterState::Empty,
                },
            };
            match state {
                RegisterState::Live(seen) if is_version(&seen, token) => {
                    return Ok(seen.nats_timestamp);
                }
                state if state.revision() > token.nats_sequence => {
                    return Ok(None);
                }
                _ => {}
            }
            let Some(wait) = waits.next() else { return Ok(None) };
            if !self.inner.is_current(token).await? {
                return Ok(None);
            }
            tokio::time::sleep(*wait).await;
        }
    }

    /// The same for many tokens, in the order given, in few requests if the view is read by
    /// direct gets. Tokens left undecided by these are looked up one by one.
    pub async fn stored_at_each(&self, tokens: &[&Token]) -> Result<Vec<Option<DateTime<Utc>>>> {
        let storage = &self.inner.reader.storage;
        let mut times: Vec<Option<Option<DateTime<Utc>>>> =
            tokens.iter().map(|token| token.nats_timestamp.map(Some)).collect();
        if storage.read_path() == ReadPath::Direct {
            let mut by_workflow: HashMap<&WorkflowId, Vec<usize>> = HashMap::new();
            for (at, token) in tokens.iter().enumerate().filter(|(at, _)| times[*at].is_none()) {
                by_workflow.entry(&token.workflow).or_default().push(at);
            }
            for (workflow, mut wanted) in by_workflow {
                while !wanted.is_empty() {
                    let some = wanted.split_off(wanted.len() - light(tokens, &wanted));
                    let of = |at: &usize| (tokens[*at].id.clone(), tokens[*at].place.clone());
                    let keys: Vec<_> = some.iter().map(of).collect();
                    let registers = storage.registers_of(workflow, &keys).await?;
                    for (at, register) in some.into_iter().zip(registers) {
                        times[at] = match register.state {
                            RegisterState::Live(seen) if is_version(&seen, tokens[at]) => {
                                Some(seen.nats_timestamp)
                            }
                            state if state.revision() > tokens[at].nats_sequence => Some(None),
                            _ => None,
                        };
                    }
                }
            }
        }
        let unsettled: Vec<usize> = (0..times.len()).filter(|at| times[*at].is_none()).collect();
        for some in unsettled.chunks(AT_ONCE) {
            let mut found = Vec::new();
            for at in some {
                found.push(self.stored_at(tokens[*at]));
            }
            for (at, time) in some.iter().zip(try_join_all(found).await?) {
                times[*at] = Some(time);
            }
        }
        Ok(times.into_iter().map(Option::flatten).collect())
    }

    /// A record of a case as the log has it, with the server's time, which an append does not
    /// learn.
    pub async fn record(
        &self,
        workflow: &WorkflowId,
        case: &CaseId,
        sequence: LogSequence,
    ) -> Result<Stored<Record>> {
        let record = self.inner.reader.storage.record(workflow, case, sequence).await?;
        let missing = || Error::NotFound(Lookup::Record { case: case.clone(), sequence });
        Whole::new(self.inner.clone()).record(record.ok_or_else(missing)?).await
    }

    /// The live tokens of a workflow, of a place or of a case, from the view, a page at a
    /// time, ordered by their last change there. A page has fewer than asked for, and a next one,
    /// where they have more than [`PAGE_BYTES`](crate::storage::PAGE_BYTES).
    pub async fn tokens(&self, scope: &TokenScope, page: Page) -> Result<PageOf<Token>> {
        check(page)?;
        let begun = Instant::now();
        let (storage, scope) = (Arc::clone(&self.inner.reader.storage), scope.clone());
        let tokens = async move { Ok(storage.tokens_in(&scope, page.into()).await?) };
        let tokens = self.inner.reader.read_page(tokens).await?;
        self.inner.metrics.read(begun.elapsed());
        Ok(tokens)
    }

    /// A case as its log has it now.
    pub async fn case(&self, workflow: &WorkflowId, case: &CaseId) -> Result<Arc<Case>> {
        let loaded = self.inner.reader.load(workflow, case).await?;
        let (_, case) = loaded.ok_or_else(|| Error::no_case(case))?;
        Ok(Arc::new(case))
    }

    /// The present abilities of each transition in a case, with the reasons.
    pub async fn explain(&self, workflow: &WorkflowId, case: &CaseId) -> Result<Explanation> {
        let loaded = self.inner.reader.load(workflow, case).await?;
        let (head, case) = loaded.ok_or_else(|| Error::no_case(case))?;
        known_with(&head, &case)?;
        let _look = self.inner.reader.look(&case)?;
        let case = Arc::new(case);
        let compiled = self.inner.reader.compiled(workflow, case.definition).await?;
        let (now, limits) = (self.inner.reader.clock.now(), self.inner.reader.limits());
        let quick = |budget: &Budget| engine::explain(&compiled.net, &case, now, limits, budget);
        let costly = || {
            let (compiled, case) = (Arc::clone(&compiled), Arc::clone(&case));
            move |budget: &Budget| engine::explain(&compiled.net, &case, now, limits, budget)
        };
        let mut explanation = self.inner.decided(quick, costly).await?;
        self.tell_of_queues(&mut explanation).await;
        Ok(explanation)
    }

    /// The transitions that could fire now and would take this token, of the version that its
    /// case runs.
    pub async fn available_transitions(
        &self,
        workflow: Option<&WorkflowId>,
        token: &TokenId,
    ) -> Result<(Arc<StoredDefinition>, Vec<Transition>)> {
        let (workflow, case) = self.inner.reader.locate(workflow, token).await?;
        let loaded = self.inner.reader.load(&workflow, &case).await?;
        let alive = loaded.filter(|(_, case)| case.tokens.contains_key(token));
        let (head, case) = alive.ok_or_else(|| Error::no_token(token))?;
        known_with(&head, &case)?;
        let _look = self.inner.reader.look(&case)?;
        let compiled = self.inner.reader.compiled(&workflow, case.definition).await?;
        let (now, limits) = (self.inner.reader.clock.now(), self.inner.reader.limits());
        let quick =
            |budget: &Budget| engine::available(&compiled.net, &case, token, now, limits, budget);
        let costly = || {
            let (compiled, case, token) = (Arc::clone(&compiled), case.clone(), token.clone());
            move |budget: &Budget| {
                engine::available(&compiled.net, &case, &token, now, limits, budget)
            }
        };
        let ids = self.inner.decided(quick, costly).await?;
        let ids = ids.map_err(|reasons| Error::not_enabled(Box::new(reasons)))?;
        let transitions = compiled.stored.definition.transitions.iter();
        let transitions = transitions.filter(|of| ids.contains(&of.id)).cloned().collect();
        Ok((Arc::clone(&compiled.stored), transitions))
    }

    /// A case's records in order, a page at a time; a cursor is a log sequence. Messages put
    /// aside are left out; the record that puts them aside names them. A page ends with
    /// [`PAGE_BYTES`](crate::storage::PAGE_BYTES), as one of tokens.
    pub async fn history(
        &self,
        workflow: &WorkflowId,
        case: &CaseId,
        page: Page,
    ) -> Result<PageOf<Stored<Record>>> {
        check(page)?;
        let (petrel, workflow, case) = (self.clone(), workflow.clone(), case.clone());
        let read = async move { petrel.page_of_history(&workflow, &case, page).await };
        self.inner.reader.read_page(read).await
    }

    async fn page_of_history(
        &self,
        workflow: &WorkflowId,
        case: &CaseId,
        page: Page,
    ) -> Result<PageOf<Stored<Record>>> {
        let from = after(page.after);
        let read_ahead = (page.first + 1).min(READ_AHEAD);
        let mut records =
            match self.inner.reader.storage.head(workflow, case, Consistency::Strong).await {
                Ok(Some(head)) => {
                    // The others are taken to be as large as the last one.
                    let some = (LIGHT / head.memory().max(1)).clamp(2, read_ahead.max(2));
                    self.inner.reader.records_from(&head, from, some).await?
                }
                Ok(None) => return Err(Error::no_case(case)),
                // What comes before it can be read all the same.
                Err(StorageError::Corrupt { .. }) => {
                    let aside = self.inner.reader.put_aside_in(workflow, case).await?;
                    let records = self.inner.reader.records(workflow, case, from, aside).await?;
                    records.map_err(Error::from).boxed()
                }
                Err(error) => return Err(error.into()),
            };
        let mut whole = Whole::new(self.inner.clone());
        let mut filling = Filling::new(page.first);
        while let Some(record) = records.try_next().await? {
            let at = LogPosition::from(record.sequence).into();
            let record = if filling.room() > 0 { whole.record(record).await? } else { record };
            let memory = record.memory();
            if !filling.add(at, record, memory) {
                break;
            }
        }
        Ok(filling.page())
    }

    /// State of the store, by its own word, and the definitions that this process has met that
    /// can't be read.
    pub async fn health(&self) -> Health {
        let mut health = self.inner.reader.storage.health().await;
        let complaints = self.inner.reader.definitions.complaints();
        if !complaints.is_empty() {
            health.problem.get_or_insert(complaints.join("\n"));
        }
        health
    }
}

/// The number of tokens at the end that are read together: more than one only where they are no
/// more than a few megabytes.
fn light(tokens: &[&Token], wanted: &[usize]) -> usize {
    let mut bytes = 0;
    let light = wanted.iter().rev().take_while(|at| {
        bytes += tokens[**at].memory();
        bytes <= LIGHT
    });
    light.count().max(1)
}

/// The first log sequence of a page whose positions are such.
pub(super) fn after(position: Option<Cursor>) -> LogSequence {
    LogSequence::after(position.and_then(Cursor::log_position).map(|after| after.sequence))
}

pub(in crate::petrel) fn check(page: Page) -> Result<()> {
    match (1..=MAX_PAGE).contains(&page.first) {
        true => Ok(()),
        false => Err(Error::argument("first", format!("must be 1 to {MAX_PAGE}"))),
    }
}
