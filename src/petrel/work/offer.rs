//! Offers of open work items: a view, written after the append, and mended where its writer did not come
//! to it.

use chrono::{DateTime, TimeDelta, Utc};

use crate::petrel::{Result, WorkId, views::Views};
use crate::{
    engine::Net,
    models::{
        Case, CaseId, CaseStatus, EntryKind, Held, Incident, IncidentAbout, Item, JournalId,
        LogSequence, Record, RecordKind, Stored, WorkflowId,
    },
    storage::{Beat, Offer, StorageError},
};

/// Time after which an attempt without a message and without a beat is somebody else's to begin.
const UNHEARD: TimeDelta = TimeDelta::seconds(60);

/// A case as its open items are offered: by its head, or as it is known.
struct Open<'a> {
    workflow: &'a WorkflowId,
    case: &'a CaseId,
    incidents: &'a [Incident],
    sequence: LogSequence,
}

impl<'a> Open<'a> {
    fn of_case(case: &'a Case) -> Self {
        Self {
            workflow: &case.workflow,
            case: &case.id,
            incidents: &case.incidents,
            sequence: case.sequence,
        }
    }

    fn of_head(head: &'a Stored<Record>) -> Self {
        Self {
            workflow: &head.value.workflow,
            case: &head.value.case,
            incidents: &head.value.incidents,
            sequence: head.sequence,
        }
    }

    /// Returns true if an item needs no person, and no answer of its own is stored.
    fn is_workable(&self, item: &Item) -> bool {
        let about = IncidentAbout::Item(item.number);
        item.done.is_none() && !self.incidents.iter().any(|open| open.about == about)
    }

    /// The message of an item: its own, or that by which its worker holds it.
    fn offer(&self, net: &Net, item: &Item) -> Option<Offer> {
        let transition = net.transition(&item.transition)?;
        let activity = transition.activity.as_ref()?;
        Some(Offer {
            queue: activity.queue.clone(),
            class: item.class,
            workflow: self.workflow.clone(),
            case: self.case.clone(),
            item: item.lease().message,
            follows: self.sequence,
            kind: activity.kind.clone(),
            transition: item.transition.clone(),
        })
    }
}

impl Views {
    /// Offers the items that the last record of a case has opened, and withdraws those that it has ended.
    /// An item that its own worker ends, the worker acknowledges.
    pub(in crate::petrel) async fn write_work(
        &self,
        before: Option<&Case>,
        record: &Record,
        case: &Case,
    ) -> Result<()> {
        let compiled = Box::pin(self.reader.compiled(&case.workflow, case.definition)).await?;
        let (net, open) = (&compiled.net, Open::of_case(case));
        self.metrics.work().note(net, before, record);
        let is_resumed = record.kind == RecordKind::Resumed;
        let is_new = |item: &&Item| {
            let is_told = item.offered == Some(case.sequence) && item.running.is_none();
            let is_armed = item.wait.as_ref().is_some_and(|wait| wait.timer.is_some());
            open.is_workable(item) && !is_armed && (is_told || is_resumed)
        };
        let runs = case.status == CaseStatus::Running;
        let new = case.items.iter().filter(|item| runs && is_new(item));
        let offers: Vec<_> = new.filter_map(|item| open.offer(net, item)).collect();
        let storage = &self.reader.storage;
        let offered = async {
            match offers.is_empty() {
                true => Ok(()),
                false => storage.offer(&offers).await,
            }
        };
        let over = withdrawn(net, before, record, case);
        let withdrawn = async {
            // Who gets one that is over acknowledges it away.
            if !over.is_empty()
                && let Err(error) = storage.withdraw(&over).await
            {
                let (workflow, id) = (&case.workflow, &case.id);
                tracing::debug!(%workflow, case = %id, %error, "work that is over stays offered");
            }
        };
        self.tell_workers(before, record, case).await;
        // One that a person has taken from its worker is offered anew under the same subject.
        withdrawn.await;
        Ok(offered.await?)
    }

    /// Offers the items of a case whose wait is over by `until`.
    pub(in crate::petrel) async fn offer_waits(
        &self,
        case: &Case,
        until: DateTime<Utc>,
    ) -> Result<()> {
        let open = Open::of_case(case);
        let is_due = |item: &&Item| {
            let wait = item.wait.as_ref().filter(|wait| wait.timer.is_some());
            wait.is_some_and(|wait| wait.until <= until) && open.is_workable(item)
        };
        if case.status != CaseStatus::Running || !case.items.iter().any(|item| is_due(&item)) {
            return Ok(());
        }
        let compiled = Box::pin(self.reader.compiled(&case.workflow, case.definition)).await?;
        let due = case.items.iter().filter(is_due);
        let offers: Vec<_> = due.filter_map(|item| open.offer(&compiled.net, item)).collect();
        Ok(self.reader.storage.offer(&offers).await?)
    }

    /// Offers the open items of the case with this last record that are not offered. Returns their number.
    /// `taken` is a message that the caller has taken away: nobody has it, also if an attempt is young.
    pub(in crate::petrel) async fn mend_work_of(
        &self,
        head: &Stored<Record>,
        taken: Option<u64>,
    ) -> Result<u64> {
        let (storage, record, now) = (&self.reader.storage, &head.value, self.reader.clock.now());
        let open = Open::of_head(head);
        // Of a short wait nothing else brings it back: whoever gets it before its time gives it back.
        let answered = match record.status {
            CaseStatus::Running => self.answered(&open, &record.items).await?,
            _ => Vec::new(),
        };
        let is_later = |item: &Item| {
            let armed = item.wait.as_ref().filter(|wait| wait.timer.is_some());
            armed.is_some_and(|wait| wait.until > now) && !answered.contains(&item.number)
        };
        let is_wanted = |item: &&Item| open.is_workable(item) && !is_later(item);
        if record.status != CaseStatus::Running || !record.items.iter().any(|of| is_wanted(&of)) {
            return Ok(0);
        }
        let compiled = Box::pin(self.reader.compiled(&record.workflow, record.definition)).await?;
        let wanted = record.items.iter().filter(is_wanted);
        let offer = |item| Some((item, open.offer(&compiled.net, item)?));
        let (wanted, offers): (Vec<_>, Vec<_>) = wanted.filter_map(offer).unzip();
        let there = storage.offered(&offers).await?;
        let mut missing = Vec::new();
        for ((item, offer), is_there) in wanted.into_iter().zip(offers).zip(there) {
            let is_taken = Some(offer.item) == taken;
            if !is_there
                && (is_taken || !self.is_heard_of(open.workflow, open.case, item, now).await?)
            {
                missing.push(offer);
            }
        }
        if !missing.is_empty() {
            storage.offer(&missing).await?;
        }
        Ok(missing.len() as u64)
    }

    /// Those of a case's items that wait for answers which have come.
    async fn answered(&self, open: &Open<'_>, items: &[Item]) -> Result<Vec<u64>> {
        let mut found = Vec::new();
        for item in items.iter().filter(|item| item.wait.as_ref().is_some_and(|of| of.answers)) {
            let (workflow, case) = (open.workflow.clone(), open.case.clone());
            if self.is_answered(&WorkId { workflow, case, item: item.number }).await? {
                found.push(item.number);
            }
        }
        Ok(found)
    }

    /// Returns true if an answer has come since the journal of an item that waits for one was left.
    pub(in crate::petrel) async fn is_answered(&self, of: &WorkId) -> Result<bool> {
        let WorkId { workflow, case, item } = of.clone();
        let last = self.reader.storage.last_entry(&JournalId { workflow, case, item }).await?;
        Ok(last.is_some_and(|last| matches!(last.entry.what, EntryKind::Resolved { .. })))
    }

    /// Returns true if somebody may have an item: its attempt is young, or its lease is alive.
    async fn is_heard_of(
        &self,
        workflow: &WorkflowId,
        case: &CaseId,
        item: &Item,
        now: DateTime<Utc>,
    ) -> std::result::Result<bool, StorageError> {
        let Some(running) = &item.running else { return Ok(false) };
        // Its record counts as the first sign of life.
        let first = running.lease.map_or(UNHEARD, TimeDelta::milliseconds);
        if now - running.since < first {
            return Ok(true);
        }
        let lease = item.lease();
        let beat = self.reader.storage.last_beat(workflow, case, lease.message).await?;
        Ok(beat.is_some_and(|last| is_of(&last.beat, &lease)))
    }
}

/// Returns true if a beat is one of a lease.
pub(crate) fn is_of(beat: &Beat, lease: &Held) -> bool {
    beat.claim == lease.claim && beat.holder == lease.item.to_string()
}

/// The offers of items that a record has ended, but for the one whose worker has ended it.
fn withdrawn(net: &Net, before: Option<&Case>, record: &Record, case: &Case) -> Vec<Offer> {
    let Some(before) = before else { return Vec::new() };
    let by_worker = record.work.as_ref().filter(|work| work.claim.is_some()).map(|work| work.item);
    let open = Open::of_case(before);
    let left: Vec<_> = case.items.iter().map(|item| item.lease().message).collect();
    let by_person = record.work.as_ref().filter(|work| work.claim.is_none()).map(|work| work.item);
    let is_taken = |item: &&Item| Some(item.number) == by_person && item.running.is_some();
    let is_over = |item: &&Item| {
        !case.items.iter().any(|left| left.number == item.number)
            && Some(item.number) != by_worker
            && !left.contains(&item.lease().message)
    };
    let over = before.items.iter().filter(|item| is_over(item) || is_taken(item));
    over.filter_map(|item| open.offer(net, item)).collect()
}
