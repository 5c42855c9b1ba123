//! Storage in memory, with the same preconditions and errors: for tests, simulations and
//! embedding without a server. Nothing survives the process.

mod view;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use chrono::Utc;
use futures::{StreamExt, stream, stream::BoxStream};
use sha2::{Digest, Sha256};
use tokio::sync::watch;

use self::view::View;
use super::{
    Appended, Consistency, DefinitionVersion, Health, Lifecycle, LogScope, Outline, Page, PageOf,
    ReadPath, Register, Result, Storage, StorageError, TokenScope, ViewOutcome, ViewWrite,
};
use crate::models::{
    CaseId, PlaceId, Record, RecordKind, Stored, StoredDefinition, Token, TokenId,
    WorkflowDefinition, WorkflowId, hex,
};

/// Storage in memory. A clone shares the store.
#[derive(Debug, Clone)]
pub struct MemoryStorage {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    state: Mutex<State>,
    last: watch::Sender<u64>,
    max_message: usize,
}

#[derive(Debug, Default)]
struct State {
    log: Vec<Entry>,
    cases: BTreeMap<(WorkflowId, CaseId), u64>,
    definitions: BTreeMap<WorkflowId, u64>,
    view: View,
}

#[derive(Debug, Clone)]
enum Entry {
    Definition(StoredDefinition),
    Record(Box<Stored<Record>>),
}

impl Default for MemoryStorage {
    fn default() -> Self {
        Self::with_max_message(MAX_MESSAGE)
    }
}

impl MemoryStorage {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty store in which a record may have so many bytes as JSON.
    pub fn with_max_message(max_message: usize) -> Self {
        let (last, _) = watch::channel(0);
        Self { inner: Arc::new(Inner { state: Mutex::default(), last, max_message }) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics between the parts of one change, so the state is whole.
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The record at `sequence` or after it that is in `scope`.
    fn next_record(&self, scope: &LogScope, from: u64) -> Option<Stored<Record>> {
        let state = self.state();
        let start = usize::try_from(from.max(1) - 1).unwrap_or(usize::MAX);
        let records = state.log.get(start..).unwrap_or_default().iter();
        records
            .filter_map(|entry| match entry {
                Entry::Record(record) => Some(record.as_ref()),
                Entry::Definition(_) => None,
            })
            .find(|record| match scope {
                LogScope::All => true,
                LogScope::Workflow(workflow) => record.value.workflow == *workflow,
                LogScope::Lifecycles(workflow) => {
                    record.value.kind != RecordKind::Fired
                        && workflow.as_ref().is_none_or(|only| record.value.workflow == *only)
                }
                LogScope::Case(workflow, case) => {
                    record.value.workflow == *workflow && record.value.case == *case
                }
                LogScope::Lifecycle(workflow, case) => {
                    record.value.kind != RecordKind::Fired
                        && record.value.workflow == *workflow
                        && record.value.case == *case
                }
            })
            .cloned()
    }
}

impl State {
    fn next_sequence(&self) -> u64 {
        self.log.len() as u64 + 1
    }

    fn entry(&self, sequence: u64) -> Option<&Entry> {
        let index = usize::try_from(sequence.checked_sub(1)?).ok()?;
        self.log.get(index)
    }

    fn record(&self, sequence: u64) -> Option<&Stored<Record>> {
        match self.entry(sequence)? {
            Entry::Record(record) => Some(record),
            Entry::Definition(_) => None,
        }
    }
}

fn subject(workflow: &WorkflowId, place: &PlaceId, token: &TokenId) -> String {
    format!("memory.workflows.{workflow}.places.{place}.tokens.{token}")
}

/// Most bytes of a message, as a nats-server has it without other settings.
const MAX_MESSAGE: usize = 1024 * 1024;

fn stored_bytes(record: &Record) -> Result<Vec<u8>> {
    serde_json::to_vec(record).map_err(|error| StorageError::Corrupt {
        subject: format!("memory.workflows.{}.events.{}", record.workflow, record.case),
        sequence: 0,
        reason: error.to_string(),
        newer: false,
    })
}

#[async_trait]
impl Storage for MemoryStorage {
    fn token_subject(&self, workflow: &WorkflowId, place: &PlaceId, token: &TokenId) -> String {
        subject(workflow, place, token)
    }

    fn late_after(&self) -> Duration {
        Duration::MAX
    }

    fn marker_kept(&self) -> Duration {
        Duration::MAX
    }

    fn reconnects(&self) -> u64 {
        0
    }

    fn max_message(&self) -> usize {
        self.inner.max_message
    }

    async fn generation(&self) -> Result<u64> {
        Ok(0)
    }

    async fn put_definition(
        &self,
        definition: &WorkflowDefinition,
        version: u64,
        expected: u64,
    ) -> Result<StoredDefinition> {
        let mut state = self.state();
        let last = state.definitions.get(&definition.id).copied().unwrap_or_default();
        if last != expected {
            let subject = format!("memory.workflows.{}.definition", definition.id);
            return Err(StorageError::LostRace { subject, expected });
        }
        let sequence = state.next_sequence();
        let stored = StoredDefinition {
            definition: definition.clone(),
            version,
            sequence,
            stored_at: Utc::now(),
        };
        state.log.push(Entry::Definition(stored.clone()));
        state.definitions.insert(definition.id.clone(), sequence);
        self.inner.last.send_replace(sequence);
        Ok(stored)
    }

    async fn definition(
        &self,
        workflow: &WorkflowId,
        version: DefinitionVersion,
    ) -> Result<Option<StoredDefinition>> {
        let state = self.state();
        let sequence = match version {
            DefinitionVersion::Latest => state.definitions.get(workflow).copied(),
            DefinitionVersion::Sequence(sequence) => Some(sequence),
        };
        Ok(match sequence.and_then(|sequence| state.entry(sequence)) {
            Some(Entry::Definition(stored)) if stored.definition.id == *workflow => {
                Some(stored.clone())
            }
            _ => None,
        })
    }

    async fn versions(&self, workflow: &WorkflowId) -> Result<Vec<Result<StoredDefinition>>> {
        let state = self.state();
        let versions = state.log.iter().filter_map(|entry| match entry {
            Entry::Definition(stored) if stored.definition.id == *workflow => {
                Some(Ok(stored.clone()))
            }
            _ => None,
        });
        Ok(versions.collect())
    }

    async fn workflow_ids(&self) -> Result<Vec<WorkflowId>> {
        Ok(self.state().definitions.keys().cloned().collect())
    }

    async fn last_definition(&self) -> Result<u64> {
        Ok(self.state().definitions.values().max().copied().unwrap_or_default())
    }

    async fn append(&self, record: &Record, expected: u64) -> Result<Appended> {
        let bytes = stored_bytes(record)?;
        let subject = format!("memory.workflows.{}.events.{}", record.workflow, record.case);
        let (size, limit) = (bytes.len(), self.inner.max_message);
        if size > limit {
            return Err(StorageError::TooLarge { subject, size, limit });
        }
        let hash = hex(&Sha256::digest(bytes));
        let mut state = self.state();
        let key = (record.workflow.clone(), record.case.clone());
        if state.cases.get(&key).copied().unwrap_or_default() != expected {
            return Err(StorageError::LostRace { subject, expected });
        }
        let sequence = state.next_sequence();
        let stored = Stored {
            value: record.clone(),
            sequence,
            fence: Some(expected),
            timestamp: Utc::now(),
            subject,
            hash: hash.clone(),
        };
        state.log.push(Entry::Record(Box::new(stored)));
        state.cases.insert(key, sequence);
        self.inner.last.send_replace(sequence);
        Ok(Appended { sequence, hash })
    }

    async fn head(
        &self,
        workflow: &WorkflowId,
        case: &CaseId,
        _: Consistency,
    ) -> Result<Option<Stored<Record>>> {
        let state = self.state();
        let sequence = state.cases.get(&(workflow.clone(), case.clone()));
        Ok(sequence.and_then(|sequence| state.record(*sequence)).cloned())
    }

    async fn record(
        &self,
        workflow: &WorkflowId,
        case: &CaseId,
        sequence: u64,
    ) -> Result<Option<Stored<Record>>> {
        let state = self.state();
        let ours = |record: &&Stored<Record>| {
            record.value.workflow == *workflow && record.value.case == *case
        };
        Ok(state.record(sequence).filter(ours).cloned())
    }

    async fn history(
        &self,
        scope: LogScope,
        from: u64,
    ) -> Result<BoxStream<'static, Result<Stored<Record>>>> {
        let until = self.last_sequence().await?;
        let records = stream::unfold((self.clone(), scope, from), move |(store, scope, from)| {
            let found = store.next_record(&scope, from).filter(|record| record.sequence <= until);
            async move {
                let record = found?;
                let next = record.sequence + 1;
                Some((Ok(record), (store, scope, next)))
            }
        });
        Ok(records.boxed())
    }

    async fn lifecycles(&self) -> Result<BoxStream<'static, Result<Lifecycle>>> {
        let records = self.history(LogScope::Lifecycles(None), 1).await?;
        let lifecycle = |record: Result<Stored<Record>>| {
            record.map(|record| Lifecycle {
                workflow: record.value.workflow,
                case: record.value.case,
                sequence: record.sequence,
            })
        };
        Ok(records.map(lifecycle).boxed())
    }

    async fn watch(
        &self,
        scope: LogScope,
        from: u64,
    ) -> Result<BoxStream<'static, Result<Stored<Record>>>> {
        let changes = self.inner.last.subscribe();
        let start = (self.clone(), scope, from, changes);
        let records = stream::unfold(start, |(store, scope, from, mut changes)| async move {
            loop {
                // Marked as seen before the look, so that no append falls between the two.
                changes.borrow_and_update();
                if let Some(record) = store.next_record(&scope, from) {
                    let next = record.sequence + 1;
                    return Some((Ok(record), (store, scope, next, changes)));
                }
                // The sender lives in `store`, so this ends only with a change.
                changes.changed().await.ok()?;
            }
        });
        Ok(records.boxed())
    }

    async fn last_sequence(&self) -> Result<u64> {
        Ok(self.state().log.len() as u64)
    }

    async fn register(
        &self,
        workflow: &WorkflowId,
        place: &PlaceId,
        token: &TokenId,
    ) -> Result<Register> {
        Ok(self.state().view.register(workflow, place, token))
    }

    async fn registers_of(
        &self,
        workflow: &WorkflowId,
        wanted: &[(TokenId, PlaceId)],
    ) -> Result<Vec<Register>> {
        let state = self.state();
        let register = |(token, place): &_| state.view.register(workflow, place, token);
        Ok(wanted.iter().map(register).collect())
    }

    async fn write_views(&self, writes: Vec<ViewWrite>) -> Vec<Result<ViewOutcome>> {
        // One lock for all of them: no reader sees a token between two places.
        let mut state = self.state();
        writes.into_iter().map(|write| Ok(state.view.write(write))).collect()
    }

    async fn token(
        &self,
        workflow: &WorkflowId,
        token: &TokenId,
        _: ReadPath,
    ) -> Result<Option<Token>> {
        Ok(self.state().view.token(workflow, token).cloned())
    }

    async fn tokens(&self, scope: &TokenScope, page: Page, _: ReadPath) -> Result<PageOf<Token>> {
        Ok(self.state().view.tokens(scope, page))
    }

    async fn registers(&self) -> Result<BoxStream<'static, Result<Register>>> {
        let registers: Vec<_> = self.state().view.registers().cloned().map(Ok).collect();
        Ok(stream::iter(registers).boxed())
    }

    async fn outlines(&self, _: u64) -> Result<BoxStream<'static, Result<Outline>>> {
        let outlines: Vec<_> = self.state().view.outlines().map(Ok).collect();
        Ok(stream::iter(outlines).boxed())
    }

    async fn health(&self) -> Health {
        let state = self.state();
        Health {
            connected: true,
            round_trip_ms: Some(0.0),
            log_messages: Some(state.log.len() as u64),
            view_messages: Some(state.view.registers().len() as u64),
            ..Health::default()
        }
    }
}
