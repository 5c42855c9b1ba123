//! The logs of cases: the last record against the one before it, or all of them from the start.

use futures::StreamExt;

use super::{
    Auditor, Finding, FindingKind,
    marking::Fault,
    replay::{Replay, begins, finding, follows},
};
use crate::{
    cases::{Error, Result, by_case::ByCase},
    models::{CaseId, CaseStatus, PlaceId, Record, Stored, WorkflowId},
    storage::{Consistency, LogScope, StorageError},
};

/// How many records are taken out of a temporary file at once.
const CHUNK: usize = 1_024;

impl Auditor<'_> {
    /// Fires the last record of a case again and counts its invariants; what is odd there leads to
    /// a replay of the whole log.
    /// `given` is the place of its first token.
    pub async fn check_head(
        &self,
        workflow: &WorkflowId,
        case: &CaseId,
        given: &[PlaceId],
    ) -> Result<()> {
        match self.oddity(workflow, case, given).await? {
            Some(finding) => self.replay_case(workflow, case, Some(finding)).await,
            None => Ok(()),
        }
    }

    async fn oddity(
        &self,
        workflow: &WorkflowId,
        case: &CaseId,
        given: &[PlaceId],
    ) -> Result<Option<Finding>> {
        let storage = &self.inner.storage;
        let Some(head) = storage.head(workflow, case, Consistency::Strong).await? else {
            return Ok(None);
        };
        let state = self.inner.restore(&head).await?;
        let record = &head.value;
        let odd = |fault| Ok(Some(finding(&head, fault)));
        let compiled = self.inner.compiled(workflow, record.definition).await?;
        if record.previous == 0 {
            if let Some(fault) = begins(&compiled.net, &head).into_iter().next() {
                return odd(fault);
            }
        } else {
            let Some(before) = storage.record(workflow, case, record.previous).await? else {
                let message = format!("it follows record {}, which is not there", record.previous);
                return odd(Fault::of(FindingKind::RecordMissing, message));
            };
            if record.previous_hash.as_ref() != Some(&before.hash) {
                let message =
                    format!("its hash of record {} is not that record's", before.sequence);
                return odd(Fault::of(FindingKind::RecordChanged, message));
            }
            let before = self.inner.restore(&before).await?;
            if let Some(fault) = follows(&compiled.net, &before, &head).into_iter().next() {
                return odd(fault);
            }
        }
        if state.status == CaseStatus::Cancelled {
            return Ok(None);
        }
        let broken = self.broken_invariant(workflow, record.definition, &state.marking.0, given);
        Ok(broken.await?.map(|fault| finding(&head, fault)))
    }

    /// Fires a case's log again from the start. If that finds nothing, `otherwise` is what was
    /// odd: a sum that is odd may only come from tokens that somebody has put into the case.
    pub async fn replay_case(
        &self,
        workflow: &WorkflowId,
        case: &CaseId,
        otherwise: Option<Finding>,
    ) -> Result<()> {
        if !self.begin(workflow, case) {
            return Ok(());
        }
        let scope = LogScope::Case(workflow.clone(), case.clone());
        let mut records = self.inner.storage.history(scope, 1).await?;
        let (mut replay, mut sound) = (Replay::default(), true);
        let mut definition = None;
        while let Some(record) = records.next().await {
            match record {
                Ok(record) => {
                    definition = Some(record.value.definition);
                    sound &= self.replay(&mut replay, &record).await?;
                }
                Err(StorageError::Corrupt { sequence, reason, .. }) => {
                    self.unreadable(workflow, case, sequence, reason);
                    replay.unreadable(sequence);
                    sound = false;
                }
                Err(error) => return Err(error.into()),
            }
        }
        let (true, Some(odd), Some(definition), Some(state)) =
            (sound, otherwise, definition, replay.state())
        else {
            return Ok(());
        };
        if odd.kind != FindingKind::InvariantBroken
            || self
                .broken_invariant(workflow, definition, &state.marking.0, replay.given())
                .await?
                .is_some()
        {
            self.found(odd);
        }
        Ok(())
    }

    /// Replays every case of the scope, in one pass over the log.
    pub async fn replay_all(&self, scope: LogScope) -> Result<()> {
        let storage = &self.inner.storage;
        let mut records = storage.history(scope, 1).await?;
        let mut by_case = ByCase::new();
        let mut unreadable = std::collections::BTreeMap::<_, Vec<u64>>::new();
        while let Some(record) = records.next().await {
            match record {
                Ok(record) => {
                    self.progress(record.sequence);
                    by_case = by_case.keep(record).await?;
                }
                Err(StorageError::Corrupt { subject, sequence, reason }) => {
                    let Some((workflow, case)) = case_of(&subject) else {
                        self.unchecked(format!("{subject} at sequence {sequence}: {reason}"));
                        continue;
                    };
                    self.unreadable(&workflow, &case, sequence, reason);
                    self.begin(&workflow, &case);
                    unreadable.entry((workflow, case)).or_default().push(sequence);
                }
                Err(error) => return Err(error.into()),
            }
        }
        let mut records = by_case.into_records().map_err(Error::TemporaryFile)?;
        let mut now: Option<((WorkflowId, CaseId), Replay)> = None;
        loop {
            let taken = tokio::task::spawn_blocking(move || {
                let chunk: Vec<_> = records.by_ref().take(CHUNK).collect();
                (records, chunk)
            });
            let (rest, chunk) =
                taken.await.map_err(|e| Error::TemporaryFile(std::io::Error::other(e)))?;
            records = rest;
            if chunk.is_empty() {
                return Ok(());
            }
            for record in chunk {
                let record = record.map_err(Error::TemporaryFile)?;
                let key = (record.value.workflow.clone(), record.value.case.clone());
                let replay = match &mut now {
                    Some((case, replay)) if *case == key => replay,
                    _ => {
                        let mut replay = Replay::default();
                        let gaps = unreadable.remove(&key).unwrap_or_default();
                        gaps.into_iter().for_each(|sequence| replay.unreadable(sequence));
                        &mut now.insert((key.clone(), replay)).1
                    }
                };
                if !self.replay(replay, &record).await? {
                    self.begin(&key.0, &key.1);
                }
            }
        }
    }

    /// Takes one record of a replay, and answers whether nothing is wrong with it.
    async fn replay(&self, replay: &mut Replay, record: &Stored<Record>) -> Result<bool> {
        let (workflow, case) = (&record.value.workflow, &record.value.case);
        let compiled = match self.inner.compiled(workflow, record.value.definition).await {
            Ok(compiled) => compiled,
            Err(error) if error.is_of_one_case() => {
                self.unchecked_case(workflow, case, &error.to_string());
                return Ok(true);
            }
            Err(error) => return Err(error),
        };
        let findings = replay.record(&compiled.net, record);
        self.replayed();
        let sound = findings.is_empty();
        findings.into_iter().for_each(|finding| self.found(finding));
        Ok(sound)
    }
}

/// Whose record a subject of the log is.
pub(super) fn case_of(subject: &str) -> Option<(WorkflowId, CaseId)> {
    let mut words = subject.rsplit('.');
    let case = CaseId::new(words.next()?).ok()?;
    Some((WorkflowId::new(words.nth(2)?).ok()?, case))
}
