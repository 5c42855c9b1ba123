//! Reasons that nothing is done with a work item.

use std::fmt;

use super::WorkId;
use crate::petrel::{Error, Lookup};
use crate::{
    engine::Refused,
    models::{Case, CaseStatus},
};

/// A request about a work item that the case's state forbids; nothing was stored.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct WorkRefused {
    /// The item.
    pub work: WorkId,
    /// The reason.
    pub reason: Refused,
}

impl WorkRefused {
    /// The error for a refusal.
    pub(super) fn error(work: &WorkId, case: &Case, reason: Refused) -> Error {
        let (case, status) = (case.id.clone(), case.status);
        match reason {
            Refused::NotMade(not) => not.into(),
            Refused::Unknown { .. } => Error::NotFound(Lookup::Work(work.clone())),
            Refused::Ended(CaseStatus::Cancelled) => {
                Error::WrongStatus { case, status, reason: "its work was withdrawn" }
            }
            Refused::Ended(_) => Error::WrongStatus { case, status, reason: "its work is over" },
            Refused::Paused => {
                let reason = "no work begins before it is resumed";
                Error::WrongStatus { case, status, reason }
            }
            Refused::Outcome { outcomes } if outcomes.is_empty() => {
                Error::argument("outcome", "the activity has no outcomes; name none")
            }
            Refused::Outcome { outcomes } => {
                let known: Vec<_> = outcomes.iter().map(|of| of.as_str()).collect();
                let reason = format!("must be one of the activity's: {}", known.join(", "));
                Error::argument("outcome", reason)
            }
            reason => Error::Work(Box::new(Self { work: work.clone(), reason })),
        }
    }

    /// A stable name of the reason, for programs: `LEASE_LOST`, `WORK_OVER`, `WORK_TAKEN`, `WORK_STOPPED`
    /// or `NOT_DUE`.
    pub fn code(&self) -> &'static str {
        match &self.reason {
            Refused::LeaseLost { .. } => "LEASE_LOST",
            Refused::Taken { .. } => "WORK_TAKEN",
            Refused::NotYet { .. } => "NOT_DUE",
            Refused::Stopped(_) => "WORK_STOPPED",
            _ => "WORK_OVER",
        }
    }
}

impl fmt::Display for WorkRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let work = &self.work;
        match &self.reason {
            Refused::LeaseLost { claim: 0, .. } => {
                write!(f, "{work} has not begun; only what has begun is answered by a claim")
            }
            Refused::LeaseLost { claim, is_over: false } => write!(
                f,
                "{work} was begun anew: claim {claim} is the present one, and the answer of another \
                 counts no more"
            ),
            Refused::LeaseLost { claim, is_over: true } => {
                write!(
                    f,
                    "the attempt of claim {claim} at {work} has ended; its answer counts no more"
                )
            }
            Refused::Taken { claim } => {
                write!(f, "somebody else has begun {work}, with claim {claim}")
            }
            Refused::NotYet { until } => {
                let until = until.to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
                write!(f, "{work} is not tried again before {until}")
            }
            Refused::Stopped(incident) => write!(
                f,
                "{work} is stopped by incident {} ({}); retry the incident, or complete the item",
                incident.number,
                incident.code.as_str()
            ),
            Refused::Done => {
                write!(f, "{work} has its answer, and its activity fires as soon as it can")
            }
            _ => write!(
                f,
                "{work} is not open any more: its tokens were taken, or somebody has completed it; see \
                 the case's history"
            ),
        }
    }
}
