//! Requests about work items, and the answers to them.

use std::time::Duration;

use serde_json::Value;

use crate::petrel::{Changed, Error, WorkId};
use crate::{
    engine::{Answered, PutOff},
    models::{Failure, Item, KindId},
};

/// A start of a work item, by a worker.
#[derive(Debug, Clone)]
pub struct StartWork {
    /// The item.
    pub work: WorkId,
    /// The claim whose worker is not heard of any more, if it has not ended: its attempt is lost.
    pub over: Option<u64>,
    /// Name of the worker.
    pub worker: String,
    /// The time for which the claim is left alone without a sign of life.
    pub lease: Duration,
    /// A number chosen at random, by which the start is known again if its answer was lost.
    pub start: u64,
}

/// A work item that has begun.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Started {
    /// The item after the record that began it; its [`claim`](Item::claim) is the right to answer.
    pub item: Item,
    /// The input of the attempt.
    pub input: Value,
    /// The record.
    pub changed: Changed,
}

/// The activity of a work item, as its worker needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemActivity {
    /// Kind of the work.
    pub kind: KindId,
    /// The longest time of one attempt.
    pub timeout: Option<Duration>,
}

/// The answer to a work item.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Answer {
    /// It is done.
    Done(Answered),
    /// It failed.
    Failed(Failure),
    /// It was not carried out to its end, and waits before anybody is to begin it.
    Released(Option<PutOff>),
}

impl Answer {
    /// Its name in a request.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Done(_) => "complete",
            Self::Failed(_) => "fail",
            Self::Released(_) => "release",
        }
    }

    /// The whole of it, by which the same answer is told from another.
    pub(super) fn as_json(&self, work: &WorkId) -> Value {
        let item = work.item;
        match self {
            Self::Done(Answered { outcome, result, .. }) => {
                serde_json::json!({ "item": item, "outcome": outcome, "result": result })
            }
            Self::Failed(failure) => serde_json::json!({ "item": item, "failure": failure }),
            Self::Released(None) => serde_json::json!({ "item": item }),
            Self::Released(Some(PutOff { until, answers: false })) => {
                serde_json::json!({ "item": item, "until": until })
            }
            Self::Released(Some(PutOff { until, answers })) => {
                serde_json::json!({ "item": item, "until": until, "answers": answers })
            }
        }
    }

    /// Refuses what can't be stored.
    pub(super) fn checked(&self) -> Result<(), Error> {
        match self {
            Self::Done(Answered { result, .. }) => {
                crate::petrel::limits::must_be_storable("result", result)
            }
            Self::Failed(failure) => match crate::engine::wrong_code(&failure.code) {
                None => Ok(()),
                Some(reason) => Err(Error::argument("code", reason)),
            },
            Self::Released(_) => Ok(()),
        }
    }
}
