//! Check of a head's place in its case's log.

use futures::StreamExt;

use crate::petrel::{
    Result,
    read::{Reader, load::broken},
};
use crate::{
    models::{Case, Fence, LogSequence, Record, RecordKind, Stored},
    storage::{CaseLogExt, LogRange, LogScope, StorageError},
};

impl Reader {
    /// Refuses a head that does not follow from the case's record before it: any record after it
    /// would have to be put aside with it. The server compared this where the head was appended
    /// under the case's fence. A head that a newer version wrote is refused, too: a change upon it
    /// would drop, or contradict, what this one does not know.
    pub(crate) async fn follows(&self, head: &Stored<Record>) -> Result<()> {
        self.is_linked(head).await?;
        Ok(known(head)?)
    }

    async fn is_linked(&self, head: &Stored<Record>) -> Result<()> {
        let Record { workflow, case, previous, previous_hash, .. } = &head.value;
        let last = last_before(&head.value);
        let reason = match head.fence {
            Fence::Unchecked => self.is_between(head, last).await?,
            Fence::After(fence) if Some(fence) != last => Some(between(last, fence)),
            Fence::First if last.is_some() => {
                Some(format!("{}, and is the case's first", follows(last)))
            }
            Fence::After(_) | Fence::First => None,
        };
        let reason = match (reason, previous) {
            (Some(reason), _) => reason,
            (None, None) => return Ok(()),
            (None, Some(previous)) => match self.storage.record_before(&head.value).await {
                Ok(Some(before)) if Some(&before.hash) == previous_hash.as_ref() => return Ok(()),
                // What can't be read blocks no more than itself.
                Err(StorageError::Corrupt { .. }) => return Ok(()),
                Err(error) => return Err(error.into()),
                Ok(Some(_)) => format!("its hash of record {previous} is not that record's"),
                Ok(None) => format!("it follows record {previous}, which is not in the log"),
            },
        };
        let reason = format!("{reason}; `petrel case quarantine` puts it aside");
        Err(broken(workflow, case, head.sequence, reason))
    }

    /// Says which message of the case is between a head and the one that it says to follow.
    async fn is_between(
        &self,
        head: &Stored<Record>,
        last: Option<LogSequence>,
    ) -> Result<Option<String>> {
        let scope = LogScope::Case(head.value.workflow.clone(), head.value.case.clone());
        let range = LogRange::from(LogSequence::after(last));
        let next = self.storage.history(scope, range).await?.next().await;
        let next = match next {
            Some(Ok(next)) => next.sequence,
            Some(Err(StorageError::Corrupt { sequence, .. })) => sequence,
            Some(Err(error)) => return Err(error.into()),
            // Somebody has taken it out of the log.
            None => head.sequence,
        };
        Ok((next != head.sequence).then(|| between(last, next)))
    }
}

/// Refuses a record with a kind or with fields that this version does not know.
pub(crate) fn known(record: &Stored<Record>) -> std::result::Result<(), StorageError> {
    must_be_none(record, &record.value.unknown)
}

/// Refuses a case with such a head, or with tokens that have such fields from an earlier record: a
/// change would drop them.
pub(crate) fn known_with(
    head: &Stored<Record>,
    case: &Case,
) -> std::result::Result<(), StorageError> {
    known(head)?;
    must_be_none(head, &case.unknown)
}

fn must_be_none(
    record: &Stored<Record>,
    unknown: &[String],
) -> std::result::Result<(), StorageError> {
    if unknown.is_empty() {
        return Ok(());
    }
    Err(StorageError::Corrupt {
        subject: record.subject.clone(),
        sequence: record.sequence,
        reason: format!(
            "this version does not know its {}; use a newer petrel",
            unknown.join(", ")
        ),
        newer: true,
    })
}

/// The message that a record says to follow.
fn follows(last: Option<LogSequence>) -> String {
    last.map_or_else(
        || "it begins the case".to_owned(),
        |last| format!("it follows message {last}"),
    )
}

fn between(last: Option<LogSequence>, other: LogSequence) -> String {
    format!("{}, and {other} is between", follows(last))
}

/// The case's message that a record was appended after.
fn last_before(record: &Record) -> Option<LogSequence> {
    match record.kind {
        // It follows the last good record, and whatever came after that is put aside.
        RecordKind::Quarantined => record.previous.max(record.unlisted),
        _ => record.previous,
    }
}
