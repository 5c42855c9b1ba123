//! Settlement of a step of which nobody knows if it had its effect: a person says what became of it.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{
    error::{NON_DETERMINISTIC, OUTCOME_UNKNOWN},
    finite,
    journal::Journal,
    past::Past,
    step::cut,
};
use crate::{
    engine::wrong_code,
    models::{
        CaseId, EntryKind, Failure, Incident, IncidentAbout, JournalEntry, JournalId, Operation,
        OperationEnd, WorkflowId,
    },
    petrel::{self, Change, Changed, Petrel},
    storage::{Journals, StorageError},
};

/// A person's word about a step whose worker was lost in it.
#[derive(Debug, Clone, PartialEq)]
pub enum Settlement {
    /// It had its effect, and this result.
    Done(Value),
    /// It failed, and no other attempt is made.
    Failed(Failure),
    /// It had no effect: it is carried out.
    NotDone,
}

impl Settlement {
    /// The end of the step, as an entry has it; the error says why none can have it.
    fn end(self) -> Result<Option<OperationEnd>, petrel::Error> {
        match self {
            Self::Done(result) => match finite::json(&result) {
                Ok(result) => Ok(Some(OperationEnd::Result(result))),
                Err(reason) => Err(petrel::Error::argument("result", reason)),
            },
            Self::Failed(failure) => match wrong_code(&failure.code) {
                None => Ok(Some(OperationEnd::Error(cut(failure)))),
                Some(reason) => Err(petrel::Error::argument("code", reason)),
            },
            Self::NotDone => Ok(None),
        }
    }
}

/// A settlement that was refused; nothing was stored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SettleError {
    /// The incident is not about a step of which nobody knows.
    #[error(
        "incident {incident} of case {case} is not about a step of which nobody knows if it had its effect"
    )]
    NothingUnknown {
        /// The case.
        case: CaseId,
        /// Number of the incident.
        incident: u64,
    },
    /// Somebody else has settled it.
    #[error("{of} was settled otherwise at {at} by {}", .by.as_deref().unwrap_or("somebody"))]
    Settled {
        /// The step.
        of: Operation,
        /// Who did it.
        by: Option<String>,
        /// Time of the entry.
        at: DateTime<Utc>,
    },
    /// A worker carries the item out.
    #[error("a worker carries item {item} of case {case} out")]
    Running {
        /// The case.
        case: CaseId,
        /// The item.
        item: u64,
    },
    /// The log refused it.
    #[error(transparent)]
    Petrel(#[from] petrel::Error),
}

impl From<StorageError> for SettleError {
    fn from(error: StorageError) -> Self {
        Self::Petrel(error.into())
    }
}

impl SettleError {
    /// Its code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NothingUnknown { .. } => "NOTHING_UNKNOWN",
            Self::Settled { .. } => "SETTLED",
            Self::Running { .. } => "RUNNING",
            Self::Petrel(error) => error.code(),
        }
    }
}

impl Petrel {
    /// Settles the step of a durable item that is an incident, `OUTCOME_UNKNOWN`: says what became of it, and has the
    /// item tried again. Who says it, and the change's metadata, are in the journal and in the case's log.
    ///
    /// The same again is taken, where the first answer was lost. A result that the code then can't read is another
    /// incident, `NON_DETERMINISTIC`, which is settled in the same way.
    ///
    /// # Errors
    ///
    /// [`SettleError::Settled`] if somebody else has said another thing, and [`SettleError::NothingUnknown`] if the
    /// incident is of another kind.
    pub async fn settle_step(
        &self,
        workflow: &WorkflowId,
        case: &CaseId,
        incident: u64,
        settlement: Settlement,
        change: Change,
    ) -> Result<Changed, SettleError> {
        // Nothing of it is stored if a part of it can't be.
        let (end, change) = (settlement.end()?, change.checked()?);
        let known = self.case(workflow, case).await?;
        let nothing = || SettleError::NothingUnknown { case: case.clone(), incident };
        let item = match known.incidents.iter().find(|open| open.number == incident) {
            // What was settled before is answered by its firing id, or refused.
            None => return Ok(self.retry_incident(workflow, case, incident, change).await?),
            Some(Incident { about: IncidentAbout::Item(item), .. }) => *item,
            Some(_) => return Err(nothing()),
        };
        if known.items.iter().any(|of| of.number == item && of.running.is_some()) {
            return Err(SettleError::Running { case: case.clone(), item });
        }
        self.must_be_triable(&known, incident, &change).await?;
        let of = JournalId { workflow: workflow.clone(), case: case.clone(), item };
        let store: Arc<dyn Journals> = self.storage().clone();
        let (journal, entries) = Journal::look(store, of).await?.ok_or_else(nothing)?;
        // Answers to other operations may have come since.
        let mut own = entries.iter().rev().map(|stored| &stored.entry);
        match own.find(|entry| !matches!(entry.what, EntryKind::Resolved { .. })).cloned() {
            // The incident is about the step at which the last run ended.
            Some(JournalEntry { what: EntryKind::Failed { of: Some(of), failure }, .. }) => {
                let past = Past::of(entries);
                let attempt = match failure.code.as_str() {
                    OUTCOME_UNKNOWN => past.unknown(&of),
                    // The code can't read what somebody has said.
                    NON_DETERMINISTIC => past.settled(&of),
                    _ => None,
                };
                let attempt = attempt.ok_or_else(nothing)?;
                let (by, notes) = (change.by.clone(), change.metadata.clone());
                let settled = EntryKind::Settled { of, attempt, end, incident, by, notes };
                journal.append_here(settled, self.now()).await?;
            }
            Some(JournalEntry {
                what: EntryKind::Settled { end: said, incident: of, .. }, ..
            }) if of == incident && said == end => {}
            Some(JournalEntry { what: EntryKind::Settled { of, by, .. }, time, .. }) => {
                return Err(SettleError::Settled { of, by, at: time });
            }
            _ => return Err(nothing()),
        }
        Ok(self.retry_incident(workflow, case, incident, change).await?)
    }
}
