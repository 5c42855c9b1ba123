//! Arming of timers: a view, written after the append, and mended where its writer did not come to it.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use crate::petrel::{Result, views::Views};
use crate::{
    models::{Case, CaseId, CaseStatus, Item, LogSequence, Record, Stored, Timer, WorkflowId},
    storage::{Arming, Consistency, StorageError},
};

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

/// Armings that there were.
pub(in crate::petrel) struct Armed {
    /// The log's last sequence before they were read.
    last: Option<LogSequence>,
    cases: HashMap<CaseId, Vec<Arming>>,
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
        let known = self.armed_now(workflow, std::slice::from_ref(case)).await?;
        match self.reader.storage.head(workflow, case, Consistency::Strong).await? {
            Some(head) => self.mend_waiting_of(&head, &known).await,
            None => Ok(0),
        }
    }

    /// The armings that there are of these cases. Their last records are to be read after it.
    pub(in crate::petrel) async fn armed_now(
        &self,
        workflow: &WorkflowId,
        cases: &[CaseId],
    ) -> Result<Armed> {
        let storage = &self.reader.storage;
        let mut armed = Armed { last: storage.last_sequence().await?, cases: HashMap::new() };
        for arming in storage.armed_in(workflow, cases).await? {
            armed.cases.entry(arming.case.clone()).or_default().push(arming);
        }
        Ok(armed)
    }

    /// The same of the case with this last record, whose armings were `armed` before it was read.
    pub(in crate::petrel) async fn mend_waiting_of(
        &self,
        head: &Stored<Record>,
        armed: &Armed,
    ) -> Result<u64> {
        let (timers, items) = (head.value.timers_made > 0, head.value.items_made > 0);
        let armed = if timers { self.mend_timers_of(head, armed).await? } else { 0 };
        let offered = if items { self.mend_work_of(head, None).await? } else { 0 };
        self.note_all_of(head).await?;
        Ok(armed + offered)
    }

    /// Does the same for those who look at many cases: a case whose timers and work can't be looked at is told,
    /// and hinders no other.
    pub(in crate::petrel) async fn look_at_waiting(
        &self,
        head: &Stored<Record>,
        armed: &Armed,
    ) -> Result<()> {
        let (workflow, case) = (&head.value.workflow, &head.value.case);
        match self.mend_waiting_of(head, armed).await {
            Ok(0) => {}
            Ok(mended) => {
                tracing::info!(%workflow, %case, mended, "timers or work items were not in the store");
            }
            Err(error) if error.retryable() => return Err(error),
            Err(error) => {
                tracing::warn!(%workflow, %case, %error, "its timers and work can't be looked at");
            }
        }
        Ok(())
    }

    async fn mend_timers_of(&self, head: &Stored<Record>, armed: &Armed) -> Result<u64> {
        let (storage, record) = (&self.reader.storage, &head.value);
        let there = armed.cases.get(&record.case).map_or(&[][..], Vec::as_slice);
        let wanted = of_head(head);
        // What a later record has armed is not known here. What no record of this log's did came from another.
        let known = armed.last.max(Some(head.sequence));
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
