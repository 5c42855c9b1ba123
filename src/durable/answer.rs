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

/// Number of lost races after which the worker is told of an answer that can't be stored, and the longest pause between
/// two, in milliseconds.
const TELLS_AFTER: u32 = 8;
const LONGEST_PAUSE: u32 = 20;

/// Longest time in which a sender looks for what is new.
const LOOKS_FOR: Duration = Duration::from_secs(5);

/// An answer that was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Answered {
    /// True if the same one had been taken before.
    pub repeated: bool,
}

/// An answer that was refused. Nothing was stored, unless the case was cancelled at the same moment; after an error of
/// the log it may be stored, and the same again says so.
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
    /// It may be waited for, up to a time.
    Open(Option<DateTime<Utc>>),
    Answered {
        end: OperationEnd,
        by: Option<String>,
        at: DateTime<Utc>,
    },
    Over,
}

impl Standing {
    fn of(entries: &[StoredEntry], operation: &Operation) -> Self {
        let (mut standing, mut left_out) = (Self::Open(None), None);
        for StoredEntry { entry, .. } in entries {
            let at = entry.time;
            let is_answered = matches!(standing, Self::Answered { .. });
            match &entry.what {
                EntryKind::Retried { of } | EntryKind::Settled { of, end: None, .. }
                    if of == operation =>
                {
                    standing = Self::Open(None);
                }
                // What was chosen because of a failure is chosen anew.
                EntryKind::Retried { of } => {
                    let is_anew = |(by, chosen): &(Operation, OperationEnd)| {
                        is_in(of, by, chosen, Chosen::takes)
                    };
                    if left_out.as_ref().is_some_and(is_anew) {
                        (standing, left_out) = (Self::Open(None), None);
                    }
                }
                EntryKind::Awaits { of, until } if of == operation && !is_answered => {
                    standing = Self::Open(Some(*until));
                }
                // The handler has seen its answer.
                EntryKind::Ended { of, .. } if of == operation && is_answered => {}
                EntryKind::Ended { of, .. } if of == operation => standing = Self::Over,
                EntryKind::Ended { of, end, .. }
                    if is_in(operation, of, end, Chosen::leaves_out) =>
                {
                    (standing, left_out) = (Self::Over, Some((of.clone(), end.clone())));
                }
                EntryKind::Resolved { of, end, by, .. }
                | EntryKind::Settled { of, end: Some(end), by, .. }
                    if of == operation && !matches!(standing, Self::Over) =>
                {
                    standing = Self::Answered { end: end.clone(), by: by.clone(), at };
                }
                _ => {}
            }
        }
        standing
    }
}

/// Returns true if an operation is in a branch of another operation that this one has taken, or left out, by its end.
fn is_in(
    operation: &Operation,
    by: &Operation,
    end: &OperationEnd,
    which: fn(&Chosen, u64) -> bool,
) -> bool {
    let Some(chosen) = Chosen::by(by, end) else { return false };
    let (mut round, at) = (places(by), places(operation));
    // The branches are beside it.
    round.pop();
    let number = at.strip_prefix(round.as_slice()).and_then(|rest| rest.first());
    number.is_some_and(|number| which(&chosen, *number))
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
        let mut lost = 0_u32;
        'look: loop {
            let store: Arc<dyn Journals> = self.storage().clone();
            let found = Journal::look(store, item.clone()).await?;
            let (journal, mut entries) = found.ok_or(AnswerError::Unknown)?;
            let seed = entries.iter().find_map(|stored| match &stored.entry.what {
                EntryKind::Begun { seed, .. } => seed.clone(),
                _ => None,
            });
            if !seed.is_some_and(|seed| id.is_of(&seed)) {
                return Err(AnswerError::Unknown);
            }
            loop {
                let repeated = match Standing::of(&entries, of) {
                    Standing::Over => return Err(AnswerError::TooLate),
                    Standing::Answered { end: said, .. } if said == *end => true,
                    Standing::Answered { by, at, .. } => {
                        return Err(AnswerError::Answered { by, at });
                    }
                    Standing::Open(until) => {
                        let is_late = until.is_some_and(|until| until <= self.now());
                        if is_late || !self.is_open(&work).await? {
                            return Err(AnswerError::TooLate);
                        }
                        false
                    }
                };
                if !repeated {
                    let (of, end) = (of.clone(), end.clone());
                    let (by, notes) = (change.by.clone(), change.metadata.clone());
                    let resolved = EntryKind::Resolved { of, end, by, notes };
                    match journal.append_here(resolved, self.now()).await {
                        Ok(()) => {}
                        // Its handler has got on, or somebody else has answered.
                        Err(StorageError::LostRace { .. }) => {
                            lost += 1;
                            // A worker that hears of it looks into the journal, and writes nothing meanwhile.
                            if lost.is_multiple_of(TELLS_AFTER) {
                                self.tell_of_answer(&work).await?;
                            }
                            // Of many who answer at once each has its turn.
                            let pause = u64::from(lost.min(LONGEST_PAUSE));
                            let pause = rand::random_range(0..=pause);
                            tokio::time::sleep(Duration::from_millis(pause)).await;
                            // Where the store is away, or another claim has begun, the whole look says what is so.
                            let looked = tokio::time::timeout(LOOKS_FOR, journal.look_on()).await;
                            match looked {
                                Ok(Ok(())) => entries.extend(journal.take_heard()),
                                Ok(Err(_)) | Err(_) => continue 'look,
                            }
                            continue;
                        }
                        Err(error) => return Err(error.into()),
                    }
                }
                return match self.tell_of_answer(&work).await? {
                    true => Ok(Answered { repeated }),
                    false => Err(AnswerError::TooLate),
                };
            }
        }
    }
}
