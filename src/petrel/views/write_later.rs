//! Views of what workers do: written a moment after their records, together.
//!
//! A worker waits for no view, and what it moves several times in that moment is written together. A
//! caller's own change writes what is left of others' before it is answered, and so does the end of a
//! case, a pause and an incident.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::petrel::{
    Inner, Result,
    cache::{
        slot::Slot,
        slots::{Held, Shared},
    },
    views::{Views, later::Later, unseen::touched},
};
use crate::{
    models::{Case, CaseId, CaseStatus, Record, WorkflowId},
    storage::RegisterVersion,
};

/// Time from a record to the write of its views: half of what is promised, since the write takes its time
/// too.
const WRITTEN_AFTER: Duration = Duration::from_millis(50);

/// Number of registers of one case that wait at most.
const MOST_LATER: usize = 256;

/// The tasks that write views later.
#[derive(Debug, Default)]
pub(in crate::petrel) struct LaterTasks {
    tasks: TaskTracker,
    closing: CancellationToken,
}

impl LaterTasks {
    pub(in crate::petrel) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task);
    }

    /// Waits until those that wait are to write at once.
    pub(in crate::petrel) async fn closing(&self) {
        self.closing.cancelled().await;
    }

    pub(in crate::petrel) fn is_closing(&self) -> bool {
        self.closing.is_cancelled()
    }

    /// Lets those that wait write at once, and waits for them.
    pub(in crate::petrel) async fn end(&self) {
        self.closing.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// Returns true if the views of a record may be written later: the case goes on, and needs nobody.
pub(super) fn may_wait(record: &Record, case: &Case) -> bool {
    case.status == CaseStatus::Running && record.raised.is_empty()
}

impl Slot {
    /// Puts the views of the case's last record off. Returns false if they would be too many, or wait for too long.
    pub(super) fn put_off(&mut self, record: &Record, read: Instant) -> bool {
        let waiting = self.later.as_ref().map_or(0, Later::len);
        let more = touched(record).count();
        // In a busy case nobody else may come to its turn.
        let is_late = self.later.as_ref().is_some_and(|of| of.since.elapsed() >= WRITTEN_AFTER);
        if is_late || waiting + more > MOST_LATER {
            return false;
        }
        for token in &record.produced {
            // Its write would expect nothing, too.
            if self.registers.expected(&token.id, &token.place).is_none() {
                self.registers.set(&token.id, &token.place, RegisterVersion::NOTHING);
            }
        }
        if more > 0 {
            self.later.get_or_insert_with(|| Later::new(read)).note(record, read);
        }
        true
    }
}

impl Views {
    /// Writes the views of a slot's case that were put off. `is_current`: it is the slot in which the
    /// case's next change looks.
    pub(super) async fn write_later(
        &self,
        slot: &mut Slot,
        (workflow, id): (&WorkflowId, &CaseId),
        is_current: bool,
    ) {
        let Some(later) = slot.later.take() else { return };
        // A log that went back, or is another one, may not have what is known here.
        let generation = self.reader.storage.generation().await;
        let is_same = generation.is_ok_and(|generation| generation == slot.generation);
        let is_known = is_current && is_same && slot.unseen.is_none();
        let case = slot.case.clone().filter(|_| is_known);
        let written: Result<()> = match &case {
            Some(case) => {
                let keys = (&later.keys[..], later.read);
                self.write_keys(slot, keys, case).await
            }
            None => {
                slot.registers.clear();
                self.repair(workflow, id, later.keys.clone()).await.map(drop)
            }
        };
        match written {
            Ok(()) => {
                let records = later.records.iter();
                records.for_each(|(at, reconnects)| self.confirmed.add(*at, *reconnects));
            }
            Err(error) => {
                slot.registers.clear();
                let left = slot.unseen.take().unwrap_or_default();
                slot.unseen = Some(left.and_failed(later.keys));
                self.metrics.view_failed();
                tracing::warn!(
                    %workflow, case = %id, %error,
                    "not all views of what workers did are written; the case's next change, or the \
                     reconciler, mends them"
                );
            }
        }
        self.metrics.viewed(later.since.elapsed());
    }
}

impl Inner {
    /// Sees to it that what was put off is written, if nobody does yet.
    pub(in crate::petrel) fn see_to_later(
        self: &Arc<Self>,
        (workflow, case): (&WorkflowId, &CaseId),
        slot: &mut Held<'_>,
    ) {
        if !slot.later.as_mut().is_some_and(Later::schedule) {
            return;
        }
        let (inner, shared, since) = (Arc::clone(self), slot.shared(), Instant::now());
        let (workflow, case) = (workflow.clone(), case.clone());
        self.metrics.view_put_off();
        self.later.spawn(async move {
            tokio::select! {
                () = inner.later.closing() => {}
                () = tokio::time::sleep_until((since + WRITTEN_AFTER).into()) => {}
            }
            inner.write_now((workflow, case), shared).await;
        });
    }

    async fn write_now(&self, key: (WorkflowId, CaseId), shared: Shared) {
        let mut slot = self.slots.turn_of(Arc::clone(&shared)).await;
        let is_current = self.slots.is_current(&key, &shared);
        let (workflow, case) = (&key.0, &key.1);
        self.views.write_later(&mut slot, (workflow, case), is_current).await;
    }
}
