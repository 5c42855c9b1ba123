//! Answers from outside to handlers that wait for them.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{answer_id::AnswerId, beside::places, finite, journal::Journal, step::cut};
use crate::{
    engine::wrong_code,
    models::{Chosen, EntryKind, Failure, JournalId, Operation, OperationEnd, StoredEntry},
    petrel::{self, Change, Petrel, WorkId},
    storage::{Journals, StorageError},
};

/// Shortest time after which an id that nobody waits for is refused, so that the time does not tell why.
const REFUSED_AFTER: Duration = Duration::from_millis(100);

/// An answer that was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Answered {
    /// True if the same one had been taken before.
    pub repeated: bool,
}

/// An answer that was refused; nothing was stored, but for one that comes too late at the same moment as the end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AnswerError {
    /// No handler has given this id out.
    #[error("no handler has given this id out")]
    Unknown,
    /// Another answer was taken before.
    #[error("it was answered otherwise at {at} by {}", .by.as_deref().unwrap_or("somebody"))]
    Answered {
        /// Who gave it.
        by: Option<String>,
        /// Time of the entry.
        at: DateTime<Utc>,
    },
    /// The handler does not wait for it any more: its time limit was over, or the handler has ended.
    #[error("it is no longer waited for")]
    TooLate,
    /// The log refused it.
    #[error(transparent)]
    Petrel(#[from] petrel::Error),
}

impl From<StorageError> for AnswerError {
    fn from(error: StorageError) -> Self {
        Self::Petrel(error.into())
    }
}

impl AnswerError {
    /// Its code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unknown => "NO_AWAKEABLE",
            Self::Answered { .. } => "ANSWERED",
            Self::TooLate => "NO_LONGER_WAITED_FOR",
            Self::Petrel(error) => error.code(),
        }
    }
}

/// Standing of an operation that waits for an answer, by its journal.
enum Standing {
    Open,
    Answered { end: OperationEnd, by: Option<String>, at: DateTime<Utc> },
    Over,
}

impl Standing {
    fn of(entries: Vec<StoredEntry>, operation: &Operation) -> Self {
        let mut standing = Self::Open;
        for StoredEntry { entry, .. } in entries {
            let at = entry.time;
            standing = match entry.what {
                EntryKind::Retried { of } if of == *operation => Self::Open,
                EntryKind::Ended { of, .. } if of == *operation => Self::Over,
                EntryKind::Ended { of, end, .. } if is_left_out(operation, &of, &end) => Self::Over,
                EntryKind::Resolved { of, end, by, .. }
                | EntryKind::Settled { of, end: Some(end), by, .. }
                    if of == *operation && !matches!(standing, Self::Over) =>
                {
                    Self::Answered { end, by, at }
                }
                _ => standing,
            };
        }
        standing
    }
}

/// Returns true if an operation is in a branch that another operation has left out, by its end.
fn is_left_out(operation: &Operation, by: &Operation, end: &OperationEnd) -> bool {
    let Some(chosen) = Chosen::by(by, end) else { return false };
    let (mut round, at) = (places(by), places(operation));
    // The branches are beside it.
    round.pop();
    let number = at.strip_prefix(round.as_slice()).and_then(|rest| rest.first());
    number.is_some_and(|number| chosen.leaves_out(*number))
}

impl Petrel {
    /// Answers an awakeable of a durable handler with a result, by its id: the handler goes on with it, in a process that
    /// has a worker for it. Who answers, and the change's metadata, are in the journal. The same again is taken, where
    /// the first answer was lost.
    ///
    /// # Errors
    ///
    /// [`AnswerError::Unknown`] for an id that no handler has given out; [`AnswerError::Answered`] if there was another
    /// answer, and [`AnswerError::TooLate`] if the handler does not wait for it any more.
    pub async fn resolve_awakeable(
        &self,
        id: &str,
        result: Value,
        change: Change,
    ) -> Result<Answered, AnswerError> {
        let result = finite::json(&result);
        let result = result.map_err(|reason| petrel::Error::argument("result", reason))?;
        self.answer(id, OperationEnd::Result(result), change).await
    }

    /// Answers an awakeable of a durable handler with an error, which the handler sees.
    ///
    /// # Errors
    ///
    /// As [`resolve_awakeable`](Self::resolve_awakeable).
    pub async fn reject_awakeable(
        &self,
        id: &str,
        failure: Failure,
        change: Change,
    ) -> Result<Answered, AnswerError> {
        if let Some(reason) = wrong_code(&failure.code) {
            return Err(petrel::Error::argument("code", reason).into());
        }
        self.answer(id, OperationEnd::Error(cut(failure)), change).await
    }

    async fn answer(
        &self,
        id: &str,
        end: OperationEnd,
        change: Change,
    ) -> Result<Answered, AnswerError> {
        let change = change.checked()?;
        let unused = [
            ("firing id", change.firing.is_some()),
            ("expected revision", change.expected_revision.is_some()),
        ];
        if let Some((what, _)) = unused.iter().find(|(_, is_there)| *is_there) {
            let reason =
                format!("an answer has no {what}: its id and itself say if it is the same");
            return Err(petrel::Error::argument("change", reason).into());
        }
        let refused = tokio::time::Instant::now() + REFUSED_AFTER;
        let answered = match id.parse() {
            Ok(id) => self.answer_to(&id, &end, &change).await,
            Err(()) => Err(AnswerError::Unknown),
        };
        if matches!(answered, Err(AnswerError::Unknown)) {
            tokio::time::sleep_until(refused).await;
        }
        answered
    }

    async fn answer_to(
        &self,
        id: &AnswerId,
        end: &OperationEnd,
        change: &Change,
    ) -> Result<Answered, AnswerError> {
        let AnswerId { item, of, .. } = id;
        let JournalId { workflow, case, item: number } = item.clone();
        let work = WorkId { workflow, case, item: number };
        loop {
            let store: Arc<dyn Journals> = self.storage().clone();
            let found = Journal::look(store, item.clone()).await?;
            let (journal, entries) = found.ok_or(AnswerError::Unknown)?;
            let seed = entries.iter().find_map(|stored| match &stored.entry.what {
                EntryKind::Begun { seed, .. } => seed.clone(),
                _ => None,
            });
            if !seed.is_some_and(|seed| id.is_of(&seed)) {
                return Err(AnswerError::Unknown);
            }
            let repeated = match Standing::of(entries, of) {
                Standing::Over => return Err(AnswerError::TooLate),
                Standing::Answered { end: said, .. } if said == *end => true,
                Standing::Answered { by, at, .. } => return Err(AnswerError::Answered { by, at }),
                Standing::Open if !self.is_open(&work).await? => return Err(AnswerError::TooLate),
                Standing::Open => false,
            };
            if !repeated {
                let (of, end) = (of.clone(), end.clone());
                let (by, notes) = (change.by.clone(), change.metadata.clone());
                let resolved = EntryKind::Resolved { of, end, by, notes };
                match journal.append_here(resolved, self.now()).await {
                    Ok(()) => {}
                    // Its handler has got on, or somebody else has answered.
                    Err(StorageError::LostRace { .. }) => continue,
                    Err(error) => return Err(error.into()),
                }
            }
            // The item may have ended at the same moment, before its handler saw the answer.
            let is_open = self.tell_of_answer(&work).await?;
            return match is_open || repeated {
                true => Ok(Answered { repeated }),
                false => Err(AnswerError::TooLate),
            };
        }
    }
}
