//! Work items by name, and the reasons that nothing is done with one.

use std::fmt;

use crate::{
    engine::Refused,
    models::{CaseId, WorkflowId},
};

/// Name of a work item.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WorkId {
    /// The workflow.
    pub workflow: WorkflowId,
    /// The case.
    pub case: CaseId,
    /// Number of the item in its case, counted from 1.
    pub item: u64,
}

impl fmt::Display for WorkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "work item {} of case {}", self.item, self.case)
    }
}

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
                "claim {claim} is the present one of {work}, and the answer of another one does not \
                 count"
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
            Refused::NotYet { until, .. } => {
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
