//! The objects that operations look for, and may not find.

use std::fmt;

use super::work_refused::WorkId;
use crate::models::{CaseId, LogSequence, PlaceId, TokenId, WorkflowId};

/// The object that an operation looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Lookup {
    /// A workflow, in whatever version.
    Workflow(WorkflowId),
    /// A version of a workflow's definition.
    Definition {
        /// The workflow.
        workflow: WorkflowId,
        /// The version's sequence in the log.
        sequence: LogSequence,
    },
    /// A place of a workflow.
    Place(PlaceId),
    /// A case.
    Case(CaseId),
    /// A record of a case.
    Record {
        /// The case.
        case: CaseId,
        /// The record's sequence in the log.
        sequence: LogSequence,
    },
    /// A token that is in a place.
    Token(TokenId),
    /// A work item that the case has had.
    Work(WorkId),
}

impl Lookup {
    /// A stable name of its kind, for programs: `workflow`, `definition`, `place`, `case`, `record`,
    /// `token` or `work item`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Workflow(_) => "workflow",
            Self::Definition { .. } => "definition",
            Self::Place(_) => "place",
            Self::Case(_) => "case",
            Self::Record { .. } => "record",
            Self::Token(_) => "token",
            Self::Work(_) => "work item",
        }
    }

    /// Its id in words: of what has none of its own, the sequence and whose it is.
    pub fn id(&self) -> String {
        match self {
            Self::Workflow(id) => id.to_string(),
            Self::Definition { workflow, sequence } => {
                format!("{workflow} at log sequence {sequence}")
            }
            Self::Place(id) => id.to_string(),
            Self::Case(id) => id.to_string(),
            Self::Record { case, sequence } => format!("{sequence} of case {case}"),
            Self::Token(id) => id.to_string(),
            Self::Work(WorkId { case, item, .. }) => format!("{item} of case {case}"),
        }
    }

    /// Advice for who did not find it.
    pub(super) fn hint(&self) -> &'static str {
        match self {
            Self::Workflow(_) => "; create it first, or look at the list of workflows",
            _ => "",
        }
    }
}

impl fmt::Display for Lookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind(), self.id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::petrel::Error;

    #[test]
    fn the_message_names_the_object_as_it_was_asked_for() {
        let (workflow, case) = (WorkflowId::new("w").unwrap(), CaseId::new("c").unwrap());
        let sequence = LogSequence::new(7).unwrap();
        for (object, words) in [
            (
                Lookup::Workflow(workflow.clone()),
                "workflow w does not exist; create it first, or look at the list of workflows",
            ),
            (
                Lookup::Definition { workflow, sequence },
                "definition w at log sequence 7 does not exist",
            ),
            (Lookup::Place(PlaceId::new("p").unwrap()), "place p does not exist"),
            (Lookup::Case(case.clone()), "case c does not exist"),
            (Lookup::Record { case, sequence }, "record 7 of case c does not exist"),
            (Lookup::Token(TokenId::new("c-t-1").unwrap()), "token c-t-1 does not exist"),
        ] {
            assert_eq!(Error::NotFound(object).to_string(), words);
        }
    }
}
