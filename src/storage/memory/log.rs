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
        CaseId, JournalId, LogSequence, Record, RecordKind, Stored, StoredDefinition, StoredEntry,
        WorkflowDefinition, WorkflowId, hex,
    },
    storage::{
        AppendOptions, Appended, DefinitionVersion, Lifecycle, LogRange, LogScope, PutOptions,
        Result, StorageError, WatchOptions,
    },
};

#[derive(Debug)]
pub(super) struct Log {
    state: Mutex<State>,
    last: watch::Sender<usize>,
    pub max_message: usize,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub entries: Vec<Entry>,
    cases: BTreeMap<(WorkflowId, CaseId), LogSequence>,
    definitions: BTreeMap<WorkflowId, LogSequence>,
    /// The last entry of each journal.
    pub journals: BTreeMap<JournalId, LogSequence>,
}

#[derive(Debug, Clone)]
pub(super) enum Entry {
    Definition(Box<StoredDefinition>),
    Record(Box<Stored<Record>>),
    Journal(Box<(JournalId, StoredEntry)>),
}

impl Default for Log {
    fn default() -> Self {
        Self::with_max_message(MAX_MESSAGE)
    }
}

impl State {
    fn last_sequence(&self) -> Option<LogSequence> {
        LogSequence::new(self.entries.len() as u64)
    }

    pub(super) fn next_sequence(&self) -> LogSequence {
        self.last_sequence().map_or(LogSequence::FIRST, LogSequence::next)
    }

    pub(super) fn entry(&self, sequence: LogSequence) -> Option<&Entry> {
        self.entries.get(index(sequence))
    }

    fn record(&self, sequence: LogSequence) -> Option<&Stored<Record>> {
        match self.entry(sequence)? {
            Entry::Record(record) => Some(record),
            Entry::Definition(_) | Entry::Journal(_) => None,
        }
    }
}

/// Place of a message in the list of all.
fn index(sequence: LogSequence) -> usize {
    usize::try_from(sequence.get() - 1).unwrap_or(usize::MAX)
}

fn stored_bytes(record: &Record) -> Result<Vec<u8>> {
    serde_json::to_vec(record).map_err(|error| StorageError::Unwritable {
        subject: format!("memory.workflows.{}.events.{}", record.workflow, record.case),
        reason: error.to_string(),
    })
}

impl Log {
    pub(super) fn with_max_message(max_message: usize) -> Self {
        let (last, _) = watch::channel(0);
        Self { state: Mutex::default(), last, max_message }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics between the parts of one change, so the state is whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells those who wait that there are so many entries.
    pub(super) fn has_grown(&self, entries: usize) {
        self.last.send_replace(entries);
    }

    /// The record at `sequence` or after it that is in `scope`.
    fn next_record(&self, scope: &LogScope, from: LogSequence) -> Option<Stored<Record>> {
        let state = self.state();
        let records = state.entries.get(index(from)..).unwrap_or_default().iter();
        records
            .filter_map(|entry| match entry {
                Entry::Record(record) => Some(record.as_ref()),
                Entry::Definition(_) | Entry::Journal(_) => None,
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

    pub(super) fn put_definition(
        &self,
        definition: &WorkflowDefinition,
        options: PutOptions,
    ) -> Result<StoredDefinition> {
        let mut state = self.state();
        if state.definitions.get(&definition.id).copied() != options.expected {
            let subject = format!("memory.workflows.{}.definition", definition.id);
            return Err(StorageError::LostRace { subject, expected: options.expected });
        }
        let sequence = state.next_sequence();
        let stored = StoredDefinition {
            definition: definition.clone(),
            version: options.version,
            sequence,
            stored_at: Utc::now(),
        };
        state.entries.push(Entry::Definition(Box::new(stored.clone())));
        state.definitions.insert(definition.id.clone(), sequence);
        self.last.send_replace(state.entries.len());
        Ok(stored)
    }

    pub(super) fn definition(
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
                Some(StoredDefinition::clone(stored))
            }
            _ => None,
        }
    }

    pub(super) fn versions(&self, workflow: &WorkflowId) -> Vec<Result<StoredDefinition>> {
        let state = self.state();
        let versions = state.entries.iter().filter_map(|entry| match entry {
            Entry::Definition(stored) if stored.definition.id == *workflow => {
                Some(Ok(StoredDefinition::clone(stored)))
            }
            _ => None,
        });
        versions.collect()
    }

    pub(super) fn workflow_ids(&self) -> Vec<WorkflowId> {
        self.state().definitions.keys().cloned().collect()
    }

    pub(super) fn last_definition(&self) -> Option<LogSequence> {
        self.state().definitions.values().max().copied()
    }

    pub(super) fn append(&self, record: &Record, options: AppendOptions) -> Result<Appended> {
        let bytes = stored_bytes(record)?;
        let subject = format!("memory.workflows.{}.events.{}", record.workflow, record.case);
        let (size, limit) = (bytes.len(), self.max_message);
        if size > limit {
            return Err(StorageError::TooLarge { subject, size, limit });
        }
        let hash = hex(&Sha256::digest(bytes));
        let mut state = self.state();
        let key = (record.workflow.clone(), record.case.clone());
        if state.cases.get(&key).copied() != options.expected {
            return Err(StorageError::LostRace { subject, expected: options.expected });
        }
        let sequence = state.next_sequence();
        let stored = Stored {
            value: record.clone(),
            sequence,
            fence: options.expected.into(),
            timestamp: Utc::now(),
            subject: subject.clone(),
            hash: hash.clone(),
        };
        state.entries.push(Entry::Record(Box::new(stored)));
        state.cases.insert(key, sequence);
        self.last.send_replace(state.entries.len());
        Ok(Appended { sequence, subject, hash })
    }

    pub(super) fn head(&self, workflow: &WorkflowId, case: &CaseId) -> Option<Stored<Record>> {
        let state = self.state();
        let sequence = state.cases.get(&(workflow.clone(), case.clone()));
        sequence.and_then(|sequence| state.record(*sequence)).cloned()
    }

    pub(super) fn record(
        &self,
        workflow: &WorkflowId,
        case: &CaseId,
        sequence: LogSequence,
    ) -> Option<Stored<Record>> {
        let state = self.state();
        let ours = |record: &&Stored<Record>| {
            record.value.workflow == *workflow && record.value.case == *case
        };
        state.record(sequence).filter(ours).cloned()
    }

    pub(super) fn history(
        self: &Arc<Self>,
        scope: LogScope,
        range: LogRange,
    ) -> BoxStream<'static, Result<Stored<Record>>> {
        let last = self.last_sequence();
        let until = range.until.map_or(last, |until| last.min(Some(until.sequence)));
        let start =
            (Arc::clone(self), scope, range.from.map_or(LogSequence::FIRST, |from| from.sequence));
        let records = stream::unfold(start, move |(log, scope, from)| {
            let found = log.next_record(&scope, from);
            async move {
                let record = found.filter(|record| Some(record.sequence) <= until)?;
                let next = record.sequence.next();
                Some((Ok(record), (log, scope, next)))
            }
        });
        records.boxed()
    }

    pub(super) fn lifecycles(self: &Arc<Self>) -> BoxStream<'static, Result<Lifecycle>> {
        let records = self.history(LogScope::Lifecycles(None), LogRange::ALL);
        let lifecycle = |record: Stored<Record>| {
            let Stored { value: Record { workflow, case, .. }, sequence, .. } = record;
            Lifecycle { workflow, case, sequence }
        };
        records.map(move |record| record.map(lifecycle)).boxed()
    }

    pub(super) fn watch(
        self: &Arc<Self>,
        scope: LogScope,
        options: WatchOptions,
    ) -> BoxStream<'static, Result<Stored<Record>>> {
        let changes = self.last.subscribe();
        let from = options.from.map_or(LogSequence::FIRST, |from| from.sequence);
        let start = (Arc::clone(self), scope, from, changes);
        let records = stream::unfold(start, |(log, scope, from, mut changes)| async move {
            loop {
                // Marked as seen before the look, so that no append falls between the two.
                changes.borrow_and_update();
                if let Some(record) = log.next_record(&scope, from) {
                    let next = record.sequence.next();
                    return Some((Ok(record), (log, scope, next, changes)));
                }
                // The sender lives in `log`, so this ends only with a change.
                changes.changed().await.ok()?;
            }
        });
        records.boxed()
    }

    pub(super) fn last_sequence(&self) -> Option<LogSequence> {
        self.state().last_sequence()
    }
}
