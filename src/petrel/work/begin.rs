//! Starts of work items.

use std::sync::{Arc, Mutex, PoisonError};

use chrono::TimeDelta;
use serde_json::{Map, Value};

use super::{ItemActivity, StartWork, Started, refused::error_of};
use crate::petrel::{
    Change, Error, Petrel, Result, WorkId,
    change::decided::{Decide, Decided},
    change::operations::record_of,
    change::repeat::Asked,
};
use crate::{
    engine::{self, Begin, Begun, Bounds, Refused},
    models::{
        Case, CaseStatus, EntryKind, FiringId, Item, JournalId, RecordKind, StoredEntry,
        TransitionId,
    },
    storage::{Consistency, Hint},
};

impl Petrel {
    /// Begins an attempt at a work item: the record is the claim, which the answer has to name.
    ///
    /// # Errors
    ///
    /// [`Error::Work`] if it is not to begin: somebody else has it, it is over, not due or stopped by
    /// an incident; also if its input can't be evaluated or its workers were lost too often, which is
    /// an incident from now on.
    pub async fn begin_work(&self, request: StartWork) -> Result<Started> {
        match self.begin_if(request.clone(), false).await {
            Err(Error::Work(refused))
                if matches!(refused.reason, Refused::NotYet { answers: true, .. }) =>
            {
                match self.inner.views.is_answered(&request.work).await? {
                    true => self.begin_if(request, true).await,
                    false => Err(Error::Work(refused)),
                }
            }
            begun => begun,
        }
    }

    /// The same, of an item that waits for an answer if that is there.
    async fn begin_if(&self, request: StartWork, answered: bool) -> Result<Started> {
        let StartWork { work, over, worker, lease, start } = request;
        let lease = TimeDelta::from_std(lease).ok();
        let got_on = match over {
            Some(claim) => self.got_on(&work, claim).await?,
            None => false,
        };
        let limits = self.inner.reader.limits();
        let (of, input) = (work.clone(), Arc::new(Mutex::new(None)));
        let kept = Arc::clone(&input);
        let decide: Decide = Arc::new(move |compiled, existing, act, budget| {
            let case = existing.ok_or_else(|| Error::no_case(&of.case))?;
            let bounds = Bounds { limits, budget };
            let begin = Begin { item: of.item, over, got_on, answered, lease };
            let begun = engine::begin(&compiled.net, case, begin, act, bounds);
            let Begun { record, input } = begun.map_err(|refused| error_of(&of, case, refused))?;
            *kept.lock().unwrap_or_else(PoisonError::into_inner) = input;
            Ok(Decided::Append(Box::new(record)))
        });
        let change = Change {
            by: Some(worker),
            firing: Some(FiringId::of_start(work.item, start)),
            views_later: true,
            ..Change::default()
        };
        let asked = Asked { data: Some(work.item.into()), ..Asked::to("begin", &Map::new()) };
        let changed =
            self.inner.commit(record_of(&work.workflow, &work.case, change, asked, decide)).await?;
        let (case, record) = (&changed.case, &changed.record.value);
        let refused = |refused| error_of(&work, case, refused);
        if record.kind != RecordKind::Begun {
            let number = record.raised.last().map(|raised| raised.number);
            let incident = case.incidents.iter().find(|open| Some(open.number) == number);
            return Err(refused(incident.cloned().map_or(Refused::Over, Refused::Stopped)));
        }
        let claim = record.work.as_ref().and_then(|work| work.claim);
        // Of a start whose answer was lost for a while, others may have come after.
        let item = case.items.iter().find(|item| item.number == work.item);
        let Some(item) = item else { return Err(refused(Refused::Over)) };
        if Some(item.claim) != claim || item.running.is_none() {
            return Err(refused(Refused::Taken { claim: item.claim }));
        }
        let known = input.lock().unwrap_or_else(PoisonError::into_inner).take();
        let input = match known.filter(|_| !changed.repeated) {
            Some(input) => input,
            None => self.input_of(case, item).await?,
        };
        Ok(Started { item: item.clone(), input, changed })
    }

    /// Returns true if the run of a durable handler under a claim stored something that the next one need not do again.
    async fn got_on(&self, of: &WorkId, claim: u64) -> Result<bool> {
        let WorkId { workflow, case, item } = of.clone();
        let of = JournalId { workflow, case, item };
        let last = match self.storage().last_entry(&of).await {
            Err(error) if error.retryable() => return Err(error.into()),
            // The next run says what is wrong with it.
            last => last.ok().flatten(),
        };
        let is_answer = |last: &StoredEntry| matches!(last.entry.what, EntryKind::Resolved { .. });
        let last = match last {
            // The run's own last entry is before it.
            Some(last) if is_answer(&last) => {
                let before = self.storage().entries_at(&of, &last.entry.recent).await;
                match before {
                    Err(error) if error.retryable() => return Err(error.into()),
                    before => {
                        before.unwrap_or_default().into_iter().rev().find(|of| !is_answer(of))
                    }
                }
            }
            last => last,
        };
        let is_new = |what: &EntryKind| {
            what.operation().is_some() || matches!(what, EntryKind::Parked { .. })
        };
        let last = last.filter(|last| last.entry.claim == claim);
        Ok(last.is_some_and(|last| is_new(&last.entry.what)))
    }

    /// The input of an item's attempt, by the data that its tokens have now.
    pub async fn input_of(&self, case: &Case, item: &Item) -> Result<Value> {
        let compiled = self.inner.reader.compiled(&case.workflow, case.definition).await?;
        let now = self.inner.reader.clock.now();
        engine::input_of(&compiled.net, case, item, now)
            .map_err(|reason| Error::argument("input", reason))
    }

    /// The activity of an item: kind of its work, and the longest time of an attempt.
    pub async fn activity(&self, case: &Case, transition: &TransitionId) -> Result<ItemActivity> {
        let compiled = self.inner.reader.compiled(&case.workflow, case.definition).await?;
        let of = compiled.net.transition(transition);
        let activity = of
            .and_then(|of| of.activity.as_ref())
            .ok_or_else(|| Error::argument("transition", format!("{transition} is no activity")))?;
        let timeout = activity.timeout.and_then(|limit| limit.to_std().ok());
        Ok(ItemActivity { kind: activity.kind.clone(), timeout })
    }

    /// Returns true if a work item is open.
    pub(crate) async fn is_open(&self, of: &WorkId) -> Result<bool> {
        let head = self.storage().head(&of.workflow, &of.case, Consistency::Strong).await?;
        Ok(head.is_some_and(|head| head.value.items.iter().any(|item| item.number == of.item)))
    }

    /// Has a work item go on whose answer has come: by its worker, or by the next one. Returns false if its case was
    /// cancelled, or is not there.
    pub(crate) async fn tell_of_answer(&self, of: &WorkId) -> Result<bool> {
        let WorkId { workflow, case, item } = of.clone();
        let storage = self.storage();
        let Some(head) = storage.head(&workflow, &case, Consistency::Strong).await? else {
            return Ok(false);
        };
        match head.value.items.iter().find(|open| open.number == item) {
            None => return Ok(head.value.status != CaseStatus::Cancelled),
            // It looks into the journal at its next sign of life anyway.
            Some(open) if open.running.is_some() => {
                let told = storage.tell(&[Hint { workflow, case, item }]).await;
                if let Err(error) = told {
                    tracing::debug!(case = %of.case, item, %error, "heard of at the next beat");
                }
            }
            Some(_) => drop(self.inner.views.mend_work_of(&head, None).await?),
        }
        Ok(true)
    }

    /// Offers the open items of a case that are not offered, and arms its timers that are not armed, where
    /// the caller has taken the message of this item away. So the message that a resume has seen before it was gone comes back, and does not
    /// wait until its attempt is old.
    pub(crate) async fn put_back(&self, of: &WorkId) -> Result<u64> {
        let mended = self.inner.views.mend_waiting(&of.workflow, &of.case).await?;
        Ok(mended + self.inner.views.put_back(&of.workflow, &of.case, of.item).await?)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::{
        models::{CaseId, QueueId, WorkClass, WorkflowId},
        petrel::{ExpectedVersion, NewCase},
        storage::{MemoryStorage, Storage},
    };

    /// The case is resumed while a worker, who was told that it is paused, takes the message away.
    #[tokio::test]
    async fn a_message_that_a_resume_saw_before_it_was_gone_comes_back() {
        let storage = Arc::new(MemoryStorage::new());
        let petrel = Petrel::new(Arc::clone(&storage) as Arc<dyn Storage>);
        let net = json!({"id": "w", "initial_place": "a", "places": [{"id": "a"}, {"id": "b"}],
            "transitions": [{"id": "t", "from_places": ["a"], "to_place": "b", "activity": {}}]});
        let net = serde_json::from_value(net).unwrap();
        petrel.create_workflow(net, ExpectedVersion::Any).await.unwrap();
        let (workflow, case) = (WorkflowId::new("w").unwrap(), CaseId::new("a").unwrap());
        let new = NewCase { case: Some(case.clone()), ..NewCase::of(workflow.clone()) };
        petrel.create_case(new).await.unwrap();
        let work = WorkId { workflow: workflow.clone(), case: case.clone(), item: 1 };
        let (worker, lease) = ("dead".to_owned(), Duration::from_secs(1));
        let start = StartWork { work: work.clone(), over: None, worker, lease, start: 1 };
        petrel.begin_work(start).await.unwrap();

        petrel.pause(&workflow, &case, Change::default()).await.unwrap();
        let (queue, none) = (QueueId::new("default").unwrap(), Duration::ZERO);
        let taken = petrel.storage().take(&queue, WorkClass::Normal, 1, none).await.unwrap();
        petrel.resume(&workflow, &case, Change::default()).await.unwrap();
        petrel.storage().acknowledge(&taken[0]).await.unwrap();
        assert_eq!(petrel.put_back(&work).await.unwrap(), 1);
        assert_eq!(petrel.storage().offered_in(&workflow, &case).await.unwrap().len(), 1);
        assert_eq!(petrel.put_back(&work).await.unwrap(), 0, "it is there");
    }
}
