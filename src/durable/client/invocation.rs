//! Handles on invocations.

use std::{sync::Arc, time::Duration};

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::InvokeError;
use crate::{
    durable::{
        function::{ERROR, OUTPUT},
        journal::Journal,
    },
    models::{
        Case, CaseId, CaseStatus, EntryKind, Failure, Incident, IncidentAbout, JournalEntry,
        JournalId, OperationEnd, OperationKind, WorkflowId,
    },
    petrel::{Change, Changed, Error, Petrel},
    storage::Journals,
};

/// Number of the item of a function's case.
const ITEM: u64 = 1;

/// A handle on an invocation of a durable function. A clone is the same.
#[derive(Debug, Clone)]
pub struct Invocation {
    petrel: Petrel,
    function: WorkflowId,
    case: CaseId,
    repeated: bool,
}

/// Standing of an invocation.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvocationStatus {
    /// It waits for a worker.
    Waiting,
    /// A worker carries it out.
    Running {
        /// Name of the worker.
        worker: Option<String>,
    },
    /// It waits for a time, or for an answer, without a worker.
    Suspended,
    /// Its case is paused.
    Paused,
    /// It has failed, and waits for a person.
    Failed {
        /// Number of the incident.
        incident: u64,
    },
    /// It has returned, or somebody has ended it as failed.
    Completed,
    /// It was cancelled.
    Cancelled,
}

impl Invocation {
    pub(super) fn of(petrel: &Petrel, function: WorkflowId, case: CaseId, repeated: bool) -> Self {
        Self { petrel: petrel.clone(), function, case, repeated }
    }

    /// The function.
    pub fn function(&self) -> &WorkflowId {
        &self.function
    }

    /// Its id, by which any process has a handle on it: [`Petrel::invocation`].
    pub fn id(&self) -> &CaseId {
        &self.case
    }

    /// Returns true if it had been begun before, with the same id and input.
    pub fn is_repeated(&self) -> bool {
        self.repeated
    }

    /// Waits for its result.
    ///
    /// # Errors
    ///
    /// [`InvokeError::StillRunning`] if that takes longer than `limit`; [`InvokeError::Failed`] with the error of its
    /// handler; [`InvokeError::Cancelled`].
    pub async fn result<O: DeserializeOwned>(&self, limit: Duration) -> Result<O, InvokeError> {
        let Self { petrel, function, case: id, .. } = self;
        let case = petrel.await_case_or_incident(function, id, limit).await?;
        let (of, id) = (function.clone(), id.clone());
        let mut result = match case.status {
            CaseStatus::Cancelled => return Err(InvokeError::Cancelled { function: of, id }),
            CaseStatus::Completed => case.result().unwrap_or_default(),
            _ => {
                return Err(match stopped(&case) {
                    Some(open) => {
                        let failure = Box::new(self.failure(open).await?);
                        let incident = Some(open.number);
                        InvokeError::Failed { function: of, id, failure, incident }
                    }
                    None => InvokeError::StillRunning { function: of, id },
                });
            }
        };
        if let Some(error) = result.get(ERROR).and_then(|list| list.get(0)) {
            let text = |name: &str| error.get(name).and_then(Value::as_str).unwrap_or_default();
            let (code, message) = (text("code").to_owned(), text("message").to_owned());
            let failure = Failure { code, message, is_final: true, ..Failure::default() };
            let failure = Box::new(failure);
            return Err(InvokeError::Failed { function: of, id, failure, incident: None });
        }
        let output = result.get_mut(OUTPUT).and_then(|list| list.get_mut(0)).map(Value::take);
        self.typed("result", output.unwrap_or_default())
    }

    fn typed<O: DeserializeOwned>(
        &self,
        what: &'static str,
        value: Value,
    ) -> Result<O, InvokeError> {
        serde_json::from_value(value).map_err(|error| InvokeError::Type {
            function: self.function.to_string(),
            what,
            reason: error.to_string(),
        })
    }

    /// The failure for which an incident stands.
    async fn failure(&self, open: &Incident) -> Result<Failure, InvokeError> {
        let case = self.petrel.case(&self.function, &self.case).await?;
        let at = open.sequence.unwrap_or(case.sequence);
        let record = self.petrel.record(&self.function, &self.case, at).await?;
        let failure = record.value.work.as_ref().and_then(|work| work.failure.clone());
        Ok(failure.unwrap_or_else(|| Failure {
            code: open.code.as_str().to_owned(),
            ..Failure::default()
        }))
    }

    /// Its standing.
    pub async fn status(&self) -> Result<InvocationStatus, InvokeError> {
        let case = self.petrel.case(&self.function, &self.case).await?;
        let item = case.items.first();
        Ok(match case.status {
            CaseStatus::Completed => InvocationStatus::Completed,
            CaseStatus::Cancelled => InvocationStatus::Cancelled,
            CaseStatus::Paused => InvocationStatus::Paused,
            _ => match (stopped(&case), item) {
                (Some(open), _) => InvocationStatus::Failed { incident: open.number },
                (None, Some(item)) if item.wait.is_some() => InvocationStatus::Suspended,
                (None, Some(item)) => match &item.running {
                    Some(running) => InvocationStatus::Running { worker: running.worker.clone() },
                    None => InvocationStatus::Waiting,
                },
                (None, None) => InvocationStatus::Waiting,
            },
        })
    }

    /// The entries of its journal, in order: none before a worker has begun it.
    pub async fn journal(&self) -> Result<Vec<JournalEntry>, InvokeError> {
        let (workflow, case) = (self.function.clone(), self.case.clone());
        let store: Arc<dyn Journals> = self.petrel.storage().clone();
        let found = Journal::look(store, JournalId { workflow, case, item: ITEM }).await;
        let found = found.map_err(Error::from)?;
        let entries = found.map(|(_, entries)| entries).unwrap_or_default();
        Ok(entries.into_iter().map(|stored| stored.entry).collect())
    }

    /// The result of the last step of a name that has ended well; `None` if none has.
    pub async fn step<O: DeserializeOwned>(&self, name: &str) -> Result<Option<O>, InvokeError> {
        let result = self.journal().await?.into_iter().rev().find_map(|entry| match entry.what {
            EntryKind::Ended { of, end: OperationEnd::Result(result), .. }
            | EntryKind::Settled { of, end: Some(OperationEnd::Result(result)), .. }
                if of.kind == OperationKind::Step && of.name == name =>
            {
                Some(result)
            }
            _ => None,
        });
        result.map(|result| self.typed("result", result)).transpose()
    }

    /// Pauses it: a step that runs comes to its end, and nothing else begins.
    pub async fn pause(&self, change: Change) -> Result<Changed, InvokeError> {
        Ok(self.petrel.pause(&self.function, &self.case, change).await?)
    }

    /// Has it go on after a pause.
    pub async fn resume(&self, change: Change) -> Result<Changed, InvokeError> {
        Ok(self.petrel.resume(&self.function, &self.case, change).await?)
    }

    /// Cancels it: nothing of it counts from now on.
    pub async fn cancel(&self, change: Change) -> Result<Changed, InvokeError> {
        Ok(self.petrel.cancel(&self.function, &self.case, change).await?)
    }

    /// Has it tried again where it has failed: it goes on at the operation whose error its handler handed on.
    ///
    /// # Errors
    ///
    /// `INVALID_ARGUMENT` if it has not failed.
    pub async fn retry(&self, change: Change) -> Result<Changed, InvokeError> {
        let case = self.petrel.case(&self.function, &self.case).await?;
        let Some(open) = stopped(&case) else {
            let reason = format!("{} {} has not failed", self.function, self.case);
            return Err(Error::argument("id", reason).into());
        };
        let number = open.number;
        Ok(self.petrel.retry_incident(&self.function, &self.case, number, change).await?)
    }
}

/// The incident for which the handler waits.
fn stopped(case: &Case) -> Option<&Incident> {
    case.incidents.iter().find(|open| matches!(open.about, IncidentAbout::Item(_)))
}
