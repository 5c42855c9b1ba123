//! The logs of cases: the last record against the one before it, or all of them from the start.

use std::collections::BTreeMap;

use futures::StreamExt;

use super::{
    Auditor, Finding, FindingKind, Suspects,
    invariants::Sums,
    marking::Fault,
    replay::{Replay, begins, finding, follows},
};
use crate::{
    models::{
        Aside, Case, CaseId, CaseStatus, LogSequence, PlaceId, Record, RecordKind, Stored,
        WorkflowId,
    },
    petrel::{
        Error, Result,
        export::by_case::{ByCase, Records, case_of},
        read::follows::known,
        read::turn::Purpose,
        thread::off_thread,
    },
    storage::{CaseLogExt, LogRange, LogScope, StorageError},
};

/// Number of records that are taken out of a temporary file at once.
const CHUNK: usize = 1_024;

/// Number of suspects up to which they are read one by one. The server looks through the log
/// for each; for more of them it is read once.
const FEW: usize = 16;

impl Auditor<'_> {
    /// Fires the last record of a case again and counts its invariants; a fault there leads to
    /// a replay of the whole log. `given` has the places of the tokens that were put into it.
    pub(super) async fn check_head(
        &self,
        head: &Stored<Record>,
        state: &Case,
        given: &[PlaceId],
    ) -> Result<()> {
        if let Some(odd) = self.oddity(head, state, given).await? {
            self.suspect(&state.workflow, &state.id, Some(odd));
        }
        Ok(())
    }

    async fn oddity(
        &self,
        head: &Stored<Record>,
        state: &Case,
        given: &[PlaceId],
    ) -> Result<Option<Finding>> {
        let (workflow, case, record) = (&state.workflow, &state.id, &head.value);
        let odd = |fault| Ok(Some(finding(head, fault)));
        let compiled = self.reader.compiled(workflow, record.definition).await?;
        if record.previous.is_none() {
            if let Some(fault) = begins(&compiled.net, head).into_iter().next() {
                return odd(fault);
            }
        } else {
            let before = self.reader.storage.record_before(record).await?;
            let Some(before) = before else {
                let before = record.previous.map_or(0, LogSequence::get);
                let message = format!("it follows record {before}, which is not there");
                return odd(Fault::of(FindingKind::RecordMissing, message));
            };
            if record.previous_hash.as_ref() != Some(&before.hash) {
                let message =
                    format!("its hash of record {} is not that record's", before.sequence);
                return odd(Fault::of(FindingKind::RecordChanged, message));
            }
            let before = self.reader.restore(&before, Purpose::Upkeep).await?;
            if let Some(fault) = follows(&compiled.net, &before, head).into_iter().next() {
                return odd(fault);
            }
        }
        let unlisted = state.chain.unlisted;
        let is_mixed = unlisted.is_some_and(|unlisted| unlisted < head.sequence);
        if is_mixed || self.reader.may_have_doubled(state).await? {
            // Two ids may have one hash, and those that no list names are known by reading them.
            self.suspect(workflow, case, None);
        }
        if state.status == CaseStatus::Cancelled {
            return Ok(None);
        }
        match self.sums(workflow, record.definition, &state.marking.0, given).await? {
            Sums::Hold => Ok(None),
            Sums::Broken(fault) => odd(fault),
            // What can't be counted is fired again from the start.
            Sums::Unknown => {
                self.suspect(workflow, case, None);
                Ok(None)
            }
        }
    }

    /// Notes that a case's log is to be replayed, if it has not been. If that finds nothing,
    /// the finding is `otherwise`: an odd sum may only come from tokens that somebody has put
    /// into the case.
    pub(super) fn suspect(&self, workflow: &WorkflowId, case: &CaseId, otherwise: Option<Finding>) {
        if self.begin(workflow, case) {
            self.state().suspects.insert((workflow.clone(), case.clone()), otherwise);
        }
    }

    /// Replays the cases that are to be.
    pub(super) async fn replay_suspects(&self) -> Result<()> {
        let suspects = std::mem::take(&mut self.state().suspects);
        if suspects.len() > FEW {
            return self.replay_log(Some(suspects)).await;
        }
        for ((workflow, case), otherwise) in suspects {
            self.replay_case(&workflow, &case, otherwise).await?;
        }
        Ok(())
    }

    async fn replay_case(
        &self,
        workflow: &WorkflowId,
        case: &CaseId,
        otherwise: Option<Finding>,
    ) -> Result<()> {
        let scope = LogScope::Case(workflow.clone(), case.clone());
        let mut records = self.reader.storage.history(scope, LogRange::ALL).await?;
        let mut log = CaseLog::default();
        let aside = self.reader.put_aside_in(workflow, case).await?;
        while let Some(record) = records.next().await {
            match record {
                Ok(record) if Aside::any(&aside, record.sequence) => {
                    log.replay.unreadable(record.sequence);
                }
                Ok(record) => self.replay(&mut log, &record).await?,
                Err(StorageError::Corrupt { sequence, .. }) if Aside::any(&aside, sequence) => {
                    log.replay.unreadable(sequence);
                }
                Err(StorageError::Corrupt { sequence, reason, .. }) => {
                    self.unreadable(workflow, case, sequence, reason);
                    log.unreadable(sequence);
                }
                Err(error) => return Err(error.into()),
            }
        }
        self.replayed_case(workflow, case, &log, otherwise).await
    }

    /// Replays cases in one pass over the log: those given, each with its suspicion, or all of
    /// the scope.
    pub(super) async fn replay_log(&self, mut only: Option<Suspects>) -> Result<()> {
        let scope = self.scope.workflow.clone().map_or(LogScope::All, LogScope::Workflow);
        let mut records = self.reader.storage.history(scope, LogRange::ALL).await?;
        let mut by_case = ByCase::new();
        let mut gaps = BTreeMap::<_, CaseLog>::new();
        let (mut aside, mut unreadable) = (BTreeMap::<_, Vec<Aside>>::new(), Vec::new());
        let wanted = |only: &Option<Suspects>, key: &(WorkflowId, CaseId)| {
            only.as_ref().is_none_or(|only| only.contains_key(key))
        };
        while let Some(record) = records.next().await {
            match record {
                Ok(record) => {
                    self.progress(record.sequence.get());
                    if record.value.kind == RecordKind::Quarantined {
                        aside.insert(key(&record), record.value.aside.clone());
                    }
                    if wanted(&only, &key(&record)) {
                        by_case = by_case.keep(record).await?;
                    }
                }
                Err(StorageError::Corrupt { subject, sequence, reason, .. }) => {
                    match case_of(&subject) {
                        Some(key) if wanted(&only, &key) => {
                            unreadable.push((key, sequence, reason));
                        }
                        None if only.is_none() => {
                            self.unchecked(format!("{subject} at sequence {sequence}: {reason}"));
                        }
                        _ => {}
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
        for (key, sequence, reason) in unreadable {
            let log = gaps.entry(key.clone()).or_default();
            if Aside::any(ranges(&aside, &key), sequence) {
                log.replay.unreadable(sequence);
                continue;
            }
            log.unreadable(sequence);
            self.unreadable(&key.0, &key.1, sequence, reason);
            self.begin(&key.0, &key.1);
            if only.is_none() {
                self.state().unmet.insert(key);
            }
        }
        let records = off_thread(move || by_case.into_records()).await;
        let mut records = records.map_err(Error::TemporaryFile)?;
        let mut now: Option<((WorkflowId, CaseId), CaseLog)> = None;
        loop {
            let chunk;
            (records, chunk) = next_chunk(records).await?;
            let is_last = chunk.is_empty();
            for record in chunk {
                let key = key(&record);
                if now.as_ref().is_none_or(|(case, _)| *case != key) {
                    let log = gaps.remove(&key).unwrap_or_default();
                    self.ended(now.replace((key, log)), &mut only).await?;
                }
                let Some((key, log)) = &mut now else { continue };
                if Aside::any(ranges(&aside, key), record.sequence) {
                    log.replay.unreadable(record.sequence);
                } else {
                    self.replay(log, &record).await?;
                }
            }
            if is_last {
                return self.ended(now, &mut only).await;
            }
        }
    }

    async fn ended(
        &self,
        log: Option<((WorkflowId, CaseId), CaseLog)>,
        only: &mut Option<Suspects>,
    ) -> Result<()> {
        let Some((key, log)) = log else { return Ok(()) };
        let otherwise = only.as_mut().and_then(|only| only.remove(&key)).flatten();
        self.replayed_case(&key.0, &key.1, &log, otherwise).await
    }

    /// A case's log is at its end.
    async fn replayed_case(
        &self,
        workflow: &WorkflowId,
        case: &CaseId,
        log: &CaseLog,
        otherwise: Option<Finding>,
    ) -> Result<()> {
        if log.unchecked {
            return Ok(());
        }
        if log.broken {
            self.begin(workflow, case);
            return Ok(());
        }
        let (Some(odd), Some(state)) = (otherwise, log.replay.state()) else { return Ok(()) };
        if odd.kind == FindingKind::InvariantBroken {
            if state.status == CaseStatus::Cancelled {
                return Ok(());
            }
            let (marking, given) = (&state.marking.0, log.replay.given());
            match self.sums(workflow, state.definition, marking, given).await {
                Ok(Sums::Broken(_)) => {}
                Ok(Sums::Hold | Sums::Unknown) => return Ok(()),
                Err(error) if error.is_of_one_case() => {
                    self.unchecked_case(workflow, case, &error.to_string());
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        self.found(odd);
        Ok(())
    }

    /// Takes the next record of a case's log.
    async fn replay(&self, log: &mut CaseLog, record: &Stored<Record>) -> Result<()> {
        let (workflow, case) = (&record.value.workflow, &record.value.case);
        if let Err(newer) = known(record)
            && !std::mem::replace(&mut log.unchecked, true)
        {
            self.unchecked_case(workflow, case, &newer.to_string());
        }
        if log.unchecked {
            return Ok(());
        }
        let compiled = match self.reader.compiled(workflow, record.value.definition).await {
            Ok(compiled) => compiled,
            Err(error) if error.is_of_one_case() => {
                // The other records of the case name the same definition.
                log.unchecked = true;
                self.unchecked_case(workflow, case, &error.to_string());
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let findings = log.replay.record(&compiled.net, record);
        self.replayed();
        log.broken |= !findings.is_empty();
        findings.into_iter().for_each(|finding| self.found(finding));
        Ok(())
    }
}

/// A case's log that is being replayed.
#[derive(Debug, Default)]
struct CaseLog {
    replay: Replay,
    /// True if something has been found.
    broken: bool,
    /// True if it has been told that its definition can't be read, or that a newer version wrote it.
    unchecked: bool,
}

impl CaseLog {
    /// Notes that a record can't be read, which has been found.
    fn unreadable(&mut self, sequence: LogSequence) {
        self.replay.unreadable(sequence);
        self.broken = true;
    }
}

/// The next records, none at the end. Reading may wait for the disk.
async fn next_chunk(mut records: Records) -> Result<(Records, Vec<Stored<Record>>)> {
    let taken = off_thread(move || {
        let chunk = records.by_ref().take(CHUNK).collect::<std::io::Result<Vec<_>>>();
        chunk.map(|chunk| (records, chunk))
    });
    taken.await.map_err(Error::TemporaryFile)
}

/// The messages put aside in a case's log.
fn ranges<'a>(
    aside: &'a BTreeMap<(WorkflowId, CaseId), Vec<Aside>>,
    key: &(WorkflowId, CaseId),
) -> &'a [Aside] {
    aside.get(key).map_or(&[], Vec::as_slice)
}

fn key(record: &Stored<Record>) -> (WorkflowId, CaseId) {
    (record.value.workflow.clone(), record.value.case.clone())
}
