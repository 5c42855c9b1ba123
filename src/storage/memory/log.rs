//! The log in memory.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use chrono::Utc;
use futures::{StreamExt, stream, stream::BoxStream};
use sha2::{Digest, Sha256};
use tokio::sync::watch;

use super::MAX_MESSAGE;
use crate::{
    models::{
        CaseId, Record, RecordKind, Stored, StoredDefinition, WorkflowDefinition, WorkflowId, hex,
    },
    storage::{Appended, DefinitionVersion, Lifecycle, LogScope, Result, StorageError},
};

#[derive(Debug)]
pub(super) struct Log {
    state: Mutex<State>,
    last: watch::Sender<u64>,
    pub max_message: usize,
}

#[derive(Debug, Default)]
struct State {
    entries: Vec<Entry>,
    cases: BTreeMap<(WorkflowId, CaseId), u64>,
    definitions: BTreeMap<WorkflowId, u64>,
}

#[derive(Debug, Clone)]
enum Entry {
    Definition(StoredDefinition),
    Record(Box<Stored<Record>>),
}

impl Default for Log {
    fn default() -> Self {
        Self::with_max_message(MAX_MESSAGE)
    }
}

impl State {
    fn next_sequence(&self) -> u64 {
        self.entries.len() as u64 + 1
    }

    fn entry(&self, sequence: u64) -> Option<&Entry> {
        let index = usize::try_from(sequence.checked_sub(1)?).ok()?;
        self.entries.get(index)
    }

    fn record(&self, sequence: u64) -> Option<&Stored<Record>> {
        match self.entry(sequence)? {
            Entry::Record(record) => Some(record),
            Entry::Definition(_) => None,
        }
    }
}

fn stored_bytes(record: &Record) -> Result<Vec<u8>> {
    serde_json::to_vec(record).map_err(|error| StorageError::Corrupt {
        subject: format!("memory.workflows.{}.events.{}", record.workflow, record.case),
        sequence: 0,
        reason: error.to_string(),
        newer: false,
    })
}

impl Log {
    pub fn with_max_message(max_message: usize) -> Self {
        let (last, _) = watch::channel(0);
        Self { state: Mutex::default(), last, max_message }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics between the parts of one change, so the state is whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The record at `sequence` or after it that is in `scope`.
    fn next_record(&self, scope: &LogScope, from: u64) -> Option<Stored<Record>> {
        let state = self.state();
        let start = usize::try_from(from.max(1) - 1).unwrap_or(usize::MAX);
        let records = state.entries.get(start..).unwrap_or_default().iter();
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

    pub fn put_definition(
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
        state.entries.push(Entry::Definition(stored.clone()));
        state.definitions.insert(definition.id.clone(), sequence);
        self.last.send_replace(sequence);
        Ok(stored)
    }

    pub fn definition(
        &self,
        workflow: &WorkflowId,
        version: DefinitionVersion,
    ) -> Option<StoredDefinition> {
        let state = self.state();
        let sequence = match version {
            DefinitionVersion::Latest => state.definitions.get(workflow).copied(),
            DefinitionVersion::Sequence(sequence) => Some(sequence),
        };
        match sequence.and_then(|sequence| state.entry(sequence)) {
            Some(Entry::Definition(stored)) if stored.definition.id == *workflow => {
                Some(stored.clone())
            }
            _ => None,
        }
    }

    pub fn versions(&self, workflow: &WorkflowId) -> Vec<Result<StoredDefinition>> {
        let state = self.state();
        let versions = state.entries.iter().filter_map(|entry| match entry {
            Entry::Definition(stored) if stored.definition.id == *workflow => {
                Some(Ok(stored.clone()))
            }
            _ => None,
        });
        versions.collect()
    }

    pub fn workflow_ids(&self) -> Vec<WorkflowId> {
        self.state().definitions.keys().cloned().collect()
    }

    pub fn last_definition(&self) -> u64 {
        self.state().definitions.values().max().copied().unwrap_or_default()
    }

    pub fn append(&self, record: &Record, expected: u64) -> Result<Appended> {
        let bytes = stored_bytes(record)?;
        let subject = format!("memory.workflows.{}.events.{}", record.workflow, record.case);
        let (size, limit) = (bytes.len(), self.max_message);
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
            timestamp: Utc::now(),
            subject,
            hash: hash.clone(),
        };
        state.entries.push(Entry::Record(Box::new(stored)));
        state.cases.insert(key, sequence);
        self.last.send_replace(sequence);
        Ok(Appended { sequence, hash })
    }

    pub fn head(&self, workflow: &WorkflowId, case: &CaseId) -> Option<Stored<Record>> {
        let state = self.state();
        let sequence = state.cases.get(&(workflow.clone(), case.clone()));
        sequence.and_then(|sequence| state.record(*sequence)).cloned()
    }

    pub fn record(
        &self,
        workflow: &WorkflowId,
        case: &CaseId,
        sequence: u64,
    ) -> Option<Stored<Record>> {
        let state = self.state();
        let ours = |record: &&Stored<Record>| {
            record.value.workflow == *workflow && record.value.case == *case
        };
        state.record(sequence).filter(ours).cloned()
    }

    pub fn history(
        self: &Arc<Self>,
        scope: LogScope,
        from: u64,
    ) -> BoxStream<'static, Result<Stored<Record>>> {
        let until = self.last_sequence();
        let start = (Arc::clone(self), scope, from);
        let records = stream::unfold(start, move |(log, scope, from)| {
            let found = log.next_record(&scope, from).filter(|record| record.sequence <= until);
            async move {
                let record = found?;
                let next = record.sequence + 1;
                Some((Ok(record), (log, scope, next)))
            }
        });
        records.boxed()
    }

    pub fn lifecycles(self: &Arc<Self>) -> BoxStream<'static, Result<Lifecycle>> {
        let records = self.history(LogScope::Lifecycles(None), 1);
        let lifecycle = |record: Result<Stored<Record>>| {
            record.map(|record| Lifecycle {
                workflow: record.value.workflow,
                case: record.value.case,
                sequence: record.sequence,
            })
        };
        records.map(lifecycle).boxed()
    }

    pub fn watch(
        self: &Arc<Self>,
        scope: LogScope,
        from: u64,
    ) -> BoxStream<'static, Result<Stored<Record>>> {
        let changes = self.last.subscribe();
        let start = (Arc::clone(self), scope, from, changes);
        let records = stream::unfold(start, |(log, scope, from, mut changes)| async move {
            loop {
                // Marked as seen before the look, so that no append falls between the two.
                changes.borrow_and_update();
                if let Some(record) = log.next_record(&scope, from) {
                    let next = record.sequence + 1;
                    return Some((Ok(record), (log, scope, next, changes)));
                }
                // The sender lives in `log`, so this ends only with a change.
                changes.changed().await.ok()?;
            }
        });
        records.boxed()
    }

    pub fn last_sequence(&self) -> u64 {
        self.state().entries.len() as u64
    }
}
