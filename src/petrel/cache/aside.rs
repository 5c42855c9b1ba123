//! The messages of a case's log that are put aside: readers pass over them.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Mutex, MutexGuard, PoisonError},
};

use futures::{StreamExt, future, stream::BoxStream};

use crate::petrel::{Result, export::by_case::case_of, read::Reader};
use crate::{
    models::{Aside, CaseId, LogSequence, Record, RecordKind, Stored, WorkflowId},
    storage::{Consistency, LogRange, LogScope, StorageError},
};

/// Number of cases whose messages put aside are remembered.
const REMEMBERED: usize = 4_096;

/// Messages put aside in cases whose last change an older version made, by the hash of that
/// record. They follow from the records before it, which are always the same.
#[derive(Debug, Default)]
pub(in crate::petrel) struct Asides(Mutex<HashMap<String, Vec<Aside>>>);

impl Asides {
    fn known(&self) -> MutexGuard<'_, HashMap<String, Vec<Aside>>> {
        // A cache: whatever is in it is whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, hash: String, aside: Vec<Aside>) {
        let mut known = self.known();
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(hash, aside);
    }
}

/// Returns true if a record has the list of messages put aside. That of an older version has
/// not.
fn says_it(record: &Record) -> bool {
    !record.aside.is_empty() || !record.is_without_lists()
}

impl Reader {
    /// The messages of a case's log that are put aside.
    pub(crate) async fn put_aside_in(
        &self,
        workflow: &WorkflowId,
        case: &CaseId,
    ) -> Result<Vec<Aside>> {
        match self.storage.head(workflow, case, Consistency::Strong).await {
            Ok(Some(head)) => self.put_aside_by(&head).await,
            Ok(None) => Ok(Vec::new()),
            // What was put aside before is said there.
            Err(StorageError::Corrupt { .. }) => self.put_aside_before(workflow, case).await,
            Err(error) => Err(error.into()),
        }
    }

    /// The messages put aside, by the head of its case. An older version has not carried the
    /// list on: then it is that of the last record with a list.
    pub(in crate::petrel) async fn put_aside_by(
        &self,
        head: &Stored<Record>,
    ) -> Result<Vec<Aside>> {
        let record = &head.value;
        match says_it(record) {
            true => Ok(record.aside.clone()),
            false => self.put_aside_before(&record.workflow, &record.case).await,
        }
    }

    /// The list of the last record of its lifecycle: a record that puts messages aside is no
    /// firing. If an older version wrote that too, the list is that of the last record before
    /// it that puts messages aside: all of the branch is read for it, once.
    async fn put_aside_before(&self, workflow: &WorkflowId, case: &CaseId) -> Result<Vec<Aside>> {
        let last = match self.storage.last_of_lifecycle(workflow, case).await {
            Ok(Some(last)) => last,
            Ok(None) => return Ok(Vec::new()),
            Err(StorageError::Corrupt { .. }) => return self.put_aside_along(workflow, case).await,
            Err(error) => return Err(error.into()),
        };
        if says_it(&last.value) {
            return Ok(last.value.aside);
        }
        if let Some(known) = self.asides.known().get(&last.hash) {
            return Ok(known.clone());
        }
        let aside = self.put_aside_along(workflow, case).await?;
        self.asides.note(last.hash, aside.clone());
        Ok(aside)
    }

    /// The list of the last record that put messages aside.
    async fn put_aside_along(&self, workflow: &WorkflowId, case: &CaseId) -> Result<Vec<Aside>> {
        let scope = LogScope::Lifecycle(workflow.clone(), case.clone());
        let mut records = self.storage.history(scope, LogRange::ALL).await?;
        let mut aside = Vec::new();
        while let Some(record) = records.next().await {
            match record {
                Ok(record) if record.value.kind == RecordKind::Quarantined => {
                    aside = record.value.aside;
                }
                Ok(_) | Err(StorageError::Corrupt { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(aside)
    }

    /// The errors among these that are not about messages put aside. Each case is asked once.
    pub(crate) async fn not_put_aside(
        &self,
        errors: Vec<StorageError>,
    ) -> Result<Vec<StorageError>> {
        let (mut asides, mut left) = (HashMap::new(), Vec::new());
        for error in errors {
            let StorageError::Corrupt { subject, sequence, .. } = &error else {
                left.push(error);
                continue;
            };
            let aside = match case_of(subject).map(|of| asides.entry(of)) {
                None => &Vec::new(),
                Some(Entry::Occupied(known)) => known.into_mut(),
                Some(Entry::Vacant(new)) => {
                    let (workflow, case) = new.key();
                    let aside = self.put_aside_in(workflow, case).await?;
                    new.insert(aside)
                }
            };
            if !Aside::any(aside, *sequence) {
                left.push(error);
            }
        }
        Ok(left)
    }

    /// A case's records from a sequence on, without the messages put aside.
    pub(in crate::petrel) async fn records(
        &self,
        workflow: &WorkflowId,
        case: &CaseId,
        from: LogSequence,
        aside: Vec<Aside>,
    ) -> Result<BoxStream<'static, std::result::Result<Stored<Record>, StorageError>>> {
        let scope = LogScope::Case(workflow.clone(), case.clone());
        let records = self.storage.history(scope, LogRange::from(from)).await?;
        if aside.is_empty() {
            return Ok(records);
        }
        let counts = move |record: &std::result::Result<Stored<Record>, StorageError>| {
            let sequence = match record {
                Ok(record) => Some(record.sequence),
                Err(StorageError::Corrupt { sequence, .. }) => Some(*sequence),
                Err(_) => None,
            };
            future::ready(!sequence.is_some_and(|sequence| Aside::any(&aside, sequence)))
        };
        Ok(records.filter(counts).boxed())
    }
}
