//! Answers to work items.

use std::sync::Arc;

use super::{Answer, refused::error_of};
use crate::petrel::{
    Change, Changed, Error, Petrel, Result, WorkId,
    change::decided::{Decide, Decided},
    change::operations::record_of,
    change::repeat::Asked,
};
use crate::{
    engine::{self, Answered, Bounds, Claim, PutOff},
    models::{Failure, FiringId},
};

impl Petrel {
    /// Ends a work item with its result: its activity fires, and what follows it, in one record. A worker
    /// names its claim. A person names none, and may end an item that nobody or somebody else has begun.
    ///
    /// The answer of a claim happens once: the same again is answered as the first was, and another one
    /// is [`Error::IdTaken`]. A person's is known by the change's firing id.
    ///
    /// # Errors
    ///
    /// [`Error::Work`] if the item is over, or the claim is not the present one.
    pub async fn complete_work(
        &self,
        work: &WorkId,
        claim: Option<u64>,
        answer: Answered,
        change: Change,
    ) -> Result<Changed> {
        self.answer_work(work, claim, Answer::Done(answer), change).await
    }

    /// Ends an attempt at a work item as failed. The activity's definition says what follows: an
    /// outcome, another attempt, or an incident.
    ///
    /// # Errors
    ///
    /// As [`complete_work`](Self::complete_work).
    pub async fn fail_work(
        &self,
        work: &WorkId,
        claim: Option<u64>,
        failure: Failure,
        change: Change,
    ) -> Result<Changed> {
        self.answer_work(work, claim, Answer::Failed(failure), change).await
    }

    /// Gives a work item back that was begun and not carried out; no attempt is counted.
    ///
    /// # Errors
    ///
    /// As [`complete_work`](Self::complete_work).
    pub async fn release_work(
        &self,
        work: &WorkId,
        claim: Option<u64>,
        change: Change,
    ) -> Result<Changed> {
        self.answer_work(work, claim, Answer::Released(None), change).await
    }

    /// Gives a work item back that waits: nobody begins it before, no attempt is counted, and none is lost.
    ///
    /// # Errors
    ///
    /// As [`complete_work`](Self::complete_work).
    pub async fn put_off_work(
        &self,
        work: &WorkId,
        claim: u64,
        put_off: PutOff,
        change: Change,
    ) -> Result<Changed> {
        self.answer_work(work, Some(claim), Answer::Released(Some(put_off)), change).await
    }

    async fn answer_work(
        &self,
        work: &WorkId,
        claim: Option<u64>,
        answer: Answer,
        change: Change,
    ) -> Result<Changed> {
        answer.checked()?;
        let mut change = self.signed(change.checked()?);
        if let Some(claim) = claim {
            change.firing = Some(FiringId::of_answer(work.item, claim));
        }
        let asked = Asked {
            data: Some(answer.as_json(work)),
            ..Asked::to(answer.kind(), &change.metadata)
        };
        let limits = self.inner.reader.limits();
        let (of, claim) = (work.clone(), Claim { item: work.item, number: claim });
        let decide: Decide = Arc::new(move |compiled, existing, act, budget| {
            let case = existing.ok_or_else(|| Error::no_case(&of.case))?;
            let (net, bounds) = (&compiled.net, Bounds { limits, budget });
            let record = match &answer {
                Answer::Done(answer) => {
                    engine::complete(net, case, claim, answer.clone(), act, bounds)
                }
                Answer::Failed(failure) => {
                    engine::fail(net, case, claim, failure.clone(), act, bounds)
                }
                Answer::Released(put_off) => {
                    engine::give_back(net, case, (claim, *put_off), act, bounds)
                }
            };
            let record = record.map_err(|refused| error_of(&of, case, refused))?;
            Ok(Decided::Append(Box::new(record)))
        });
        self.inner.commit(record_of(&work.workflow, &work.case, change, asked, decide)).await
    }
}
