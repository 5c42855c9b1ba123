//! Refusals of the engine as errors.

use crate::petrel::{Error, Lookup, WorkId, WorkRefused};
use crate::{
    engine::Refused,
    models::{Case, CaseStatus},
};

/// The error for a refusal.
pub(super) fn error_of(work: &WorkId, case: &Case, reason: Refused) -> Error {
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
        reason => Error::Work(Box::new(WorkRefused { work: work.clone(), reason })),
    }
}
