//! Arming of timers: a view, written after the append, and mended where its writer did not come to it.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use futures::{StreamExt, stream};

use crate::petrel::{Result, views::Views};
use crate::{
    models::{Case, CaseId, CaseStatus, Item, LogSequence, Record, Stored, Timer, WorkflowId},
    storage::{Arming, Consistency, StorageError},
};

/// Number of cases that are looked at at once.
const AT_ONCE: usize = 16;

/// The armings of timers after the record at a sequence, of those that have not come due, and of the waits
/// of work items.
fn armings(
    (workflow, case): (&WorkflowId, &CaseId),
    (timers, items): (&[Timer], &[Item]),
    sequence: LogSequence,
) -> Vec<Arming> {
    let arming = |timer: u64, armed: Option<LogSequence>, due: DateTime<Utc>| Arming {
        workflow: workflow.clone(),
        case: case.clone(),
        timer,
        armed: armed.unwrap_or(sequence),
        due,
    };
    let timers = timers.iter().filter(|timer| !timer.elapsed);
    let timers = timers.map(|timer| arming(timer.number, timer.armed, timer.due));
    let waits = items.iter().filter_map(|item| item.wait.as_ref());
    let waits = waits.filter_map(|wait| Some(arming(wait.timer?, wait.armed, wait.until)));
    timers.chain(waits).collect()
}

fn of_case(case: &Case) -> Vec<Arming> {
    armings((&case.workflow, &case.id), (&case.timers, &case.items), case.sequence)
}

fn of_head(Stored { value, sequence, .. }: &Stored<Record>) -> Vec<Arming> {
    armings((&value.workflow, &value.case), (&value.timers, &value.items), *sequence)
}

impl Views {
    /// Arms the timers that the last record of a case has set, and ends those that it has ended.
    /// `before` is the case before the record. In a paused case nothing is armed: its resume does that.
    pub(in crate::petrel) async fn write_timers(
        &self,
        before: Option<&Case>,
        case: &Case,
    ) -> std::result::Result<(), StorageError> {
        let (wanted, was) = (of_case(case), before.map(of_case).unwrap_or_default());
        let over: Vec<_> = was.into_iter().filter(|old| !wanted.contains(old)).collect();
        let is_new =
            |arming: &Arming| arming.armed == case.sequence && case.status == CaseStatus::Running;
        let new: Vec<_> = wanted.into_iter().filter(is_new).collect();
        let storage = &self.reader.storage;
        let arm = async {
            if new.is_empty() {
                return Ok(());
            }
            self.soon.pass(&new, self.reader.clock.now());
            storage.arm(&new).await
        };
        let disarm = async {
            // One that comes due though it is over fires nothing.
            if !over.is_empty()
                && let Err(error) = storage.disarm(&over).await
            {
                let (workflow, id) = (&case.workflow, &case.id);
                tracing::debug!(%workflow, case = %id, %error, "timers that are over stay armed");
            }
        };
        let (armed, ()) = tokio::join!(arm, disarm);
        armed
    }

    /// Arms the timers of a running case that are not armed, offers its items that are not offered, and
    /// ends armings and offers of none. Returns the number of those that it armed and offered.
    pub(in crate::petrel) async fn mend_waiting(
        &self,
        workflow: &WorkflowId,
        case: &CaseId,
    ) -> Result<u64> {
        let storage = &self.reader.storage;
        let last = storage.last_sequence().await?;
        let head = storage.head(workflow, case, Consistency::Strong).await?;
        match head {
            Some(head) => self.mend_waiting_of(&head, last).await,
            None => Ok(0),
        }
    }

    /// The same of the case with this last record, of a log that ended at `last` before it was read.
    pub(in crate::petrel) async fn mend_waiting_of(
        &self,
        head: &Stored<Record>,
        last: Option<LogSequence>,
    ) -> Result<u64> {
        let (timers, items) = (head.value.timers_made > 0, head.value.items_made > 0);
        let armed = if timers { self.mend_timers_of(head, last).await? } else { 0 };
        let offered = if items { self.mend_work_of(head, None).await? } else { 0 };
        self.note_all_of(head).await?;
        Ok(armed + offered)
    }

    async fn mend_timers_of(
        &self,
        head: &Stored<Record>,
        last: Option<LogSequence>,
    ) -> Result<u64> {
        let (storage, record) = (&self.reader.storage, &head.value);
        let there = storage.armed_in(&record.workflow, &record.case).await?;
        let wanted = of_head(head);
        // What a later record has armed is not known here. What no record of this log's did came from another.
        let known = last.max(Some(head.sequence));
        let is_over = |arming: &&Arming| Some(arming.armed) <= known && !wanted.contains(arming);
        let over: Vec<_> = there.iter().filter(is_over).cloned().collect();
        let runs = record.status == CaseStatus::Running;
        let is_missing = |arming: &Arming| runs && !there.contains(arming);
        let missing: Vec<_> = wanted.iter().filter(|one| is_missing(one)).cloned().collect();
        if !over.is_empty() {
            storage.disarm(&over).await?;
        }
        if !missing.is_empty() {
            storage.arm(&missing).await?;
        }
        Ok(missing.len() as u64)
    }

    /// The same of several cases. A case that can't be looked at is told, and hinders no other.
    pub(in crate::petrel) async fn mend_waiting_in(
        &self,
        cases: BTreeSet<(WorkflowId, CaseId)>,
    ) -> Result<()> {
        let mended = cases.into_iter().map(|(workflow, case)| async move {
            let mended = self.mend_waiting(&workflow, &case).await;
            ((workflow, case), mended)
        });
        let mut mended = std::pin::pin!(stream::iter(mended).buffer_unordered(AT_ONCE));
        while let Some(((workflow, case), mended)) = mended.next().await {
            match mended {
                Ok(0) => {}
                Ok(mended) => {
                    tracing::info!(%workflow, %case, mended, "timers or work items were not in the store");
                }
                Err(error) if error.retryable() => return Err(error),
                Err(error) => {
                    tracing::warn!(%workflow, %case, %error, "its timers and work can't be looked at");
                }
            }
        }
        Ok(())
    }

    /// Offers the open items of a running case that are not offered, also one whose message the caller has
    /// taken away.
    pub(in crate::petrel) async fn put_back(
        &self,
        workflow: &WorkflowId,
        case: &CaseId,
        taken: u64,
    ) -> Result<u64> {
        match self.reader.storage.head(workflow, case, Consistency::Strong).await? {
            Some(head) => self.mend_work_of(&head, Some(taken)).await,
            None => Ok(0),
        }
    }
}
