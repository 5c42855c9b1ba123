//! A workflow's whole history by case, the source of an event log.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
};

use futures::StreamExt;

use crate::petrel::{
    Error, Inner, Petrel, Result,
    export::by_case::{ByCase, Records, case_of},
};
use crate::{
    models::{
        Aside, CaseId, LogSequence, Record, RecordKind, Stored, StoredDefinition, WorkflowId,
    },
    storage::{CaseLogExt, LogRange, LogScope, StorageError},
};

/// A workflow's history up to some moment, read and put together by case.
#[derive(Debug)]
#[non_exhaustive]
pub struct Gathered {
    /// The versions of the definition that the cases run. One that can't be read is left out.
    pub definitions: Vec<StoredDefinition>,
    /// The cases that have a record that can't be read, with the first such error. None of
    /// their records is given: a history with a hole in it says things that did not happen.
    pub unreadable: BTreeMap<CaseId, StorageError>,
    /// Number of records, those of unreadable cases included.
    pub total: u64,
    by_case: ByCase,
    /// The messages put aside, by case.
    aside: BTreeMap<CaseId, Vec<Aside>>,
    /// Errors of messages that can't be read, put aside or not.
    errors: Vec<(CaseId, StorageError)>,
}

impl Petrel {
    /// Reads the history of a workflow, or of some of its cases, as it is when this begins. At
    /// any length, some 32 MiB of it are in memory; the rest is in a temporary file.
    /// `progress` is called with the part of the log that has been read, and the whole.
    pub async fn gather_history(
        &self,
        workflow: &WorkflowId,
        cases: &[CaseId],
        progress: &(dyn Fn(u64, u64) + Send + Sync),
    ) -> Result<Gathered> {
        let inner = &self.inner;
        inner.reader.must_exist(workflow).await?;
        let mut gathered = Gathered {
            definitions: Vec::new(),
            unreadable: BTreeMap::new(),
            total: 0,
            by_case: ByCase::new(),
            aside: BTreeMap::new(),
            errors: Vec::new(),
        };
        let mut versions = BTreeSet::new();
        if cases.is_empty() {
            let last = inner.reader.storage.last_sequence().await?.map_or(0, LogSequence::get);
            let read = |position| progress(position, last);
            let scope = LogScope::Workflow(workflow.clone());
            gathered.read(inner, scope, &mut versions, &read).await?;
            progress(last, last);
        }
        for (done, case) in (1..).zip(cases.iter().collect::<BTreeSet<_>>()) {
            let before = (gathered.total, gathered.errors.len());
            let scope = LogScope::Case(workflow.clone(), case.clone());
            gathered.read(inner, scope, &mut versions, &|_| ()).await?;
            if before == (gathered.total, gathered.errors.len()) {
                return Err(Error::no_case(case));
            }
            progress(done, cases.len() as u64);
        }
        gathered.judge_errors();
        for version in versions {
            match inner.reader.storage.definition_at(workflow, version).await {
                Ok(definition) => gathered.definitions.extend(definition),
                Err(error @ StorageError::Corrupt { .. }) => {
                    tracing::warn!(%error, "its transitions go by their ids");
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(gathered)
    }
}

impl Gathered {
    /// The records, by the cases' ids. They have neither markings nor tokens' data and
    /// metadata.
    pub fn into_records(self) -> io::Result<impl Iterator<Item = io::Result<Stored<Record>>>> {
        let (unreadable, aside) = (self.unreadable, self.aside);
        let records: Records = self.by_case.into_records()?;
        Ok(records.filter(move |record| {
            let Ok(record) = record else { return true };
            let aside = aside.get(&record.value.case).map_or(&[][..], Vec::as_slice);
            !unreadable.contains_key(&record.value.case) && !Aside::any(aside, record.sequence)
        }))
    }

    async fn read(
        &mut self,
        inner: &Inner,
        scope: LogScope,
        versions: &mut BTreeSet<LogSequence>,
        progress: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<()> {
        let mut records = inner.reader.storage.history(scope, LogRange::ALL).await?;
        while let Some(record) = records.next().await {
            let record = match record {
                Ok(record) => record,
                Err(error @ StorageError::Corrupt { .. }) => {
                    self.total += 1;
                    self.unreadable(error)?;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            self.total += 1;
            progress(record.sequence.get());
            versions.insert(record.value.definition);
            if record.value.kind == RecordKind::Quarantined {
                let (case, aside) = (record.value.case.clone(), record.value.aside.clone());
                self.aside.insert(case, aside);
            }
            let by_case = std::mem::replace(&mut self.by_case, ByCase::new());
            self.by_case = by_case.keep(slim(record)).await?;
        }
        Ok(())
    }

    /// Notes the case of a record that can't be read.
    fn unreadable(&mut self, error: StorageError) -> Result<()> {
        let StorageError::Corrupt { subject, .. } = &error else { return Err(error.into()) };
        match case_of(subject) {
            Some((_, case)) => self.errors.push((case, error)),
            // No case has that id, so nothing is left out of one.
            None => tracing::warn!(%error, "a message that belongs to no case is left out"),
        }
        Ok(())
    }

    /// Drops the errors of messages that are put aside; such a message comes before the record
    /// that says so.
    fn judge_errors(&mut self) {
        for (case, error) in std::mem::take(&mut self.errors) {
            let aside = self.aside.get(&case).map_or(&[][..], Vec::as_slice);
            let put_aside = matches!(&error, StorageError::Corrupt { sequence, .. }
                if Aside::any(aside, *sequence));
            if !put_aside {
                self.unreadable.entry(case).or_insert(error);
            }
        }
    }
}

/// A record without the parts that no event log has.
fn slim(mut record: Stored<Record>) -> Stored<Record> {
    record.value.marking.0.clear();
    for token in &mut record.value.produced {
        token.data = serde_json::Value::Null;
        token.metadata.clear();
    }
    record
}
