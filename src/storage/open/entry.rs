//! Entries of the index.

use crate::models::{CaseId, QueueId, WorkflowId};

/// A work item or an incident that is open.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Open {
    /// A work item.
    Item {
        /// The queue of its activity.
        queue: QueueId,
        /// The workflow.
        workflow: WorkflowId,
        /// The case.
        case: CaseId,
        /// The item's number in the case.
        item: u64,
    },
    /// An incident.
    Incident {
        /// The workflow.
        workflow: WorkflowId,
        /// The case.
        case: CaseId,
        /// The incident's number in the case.
        incident: u64,
    },
}

impl Open {
    /// The case that it is of.
    pub fn of(&self) -> (&WorkflowId, &CaseId) {
        match self {
            Self::Item { workflow, case, .. } | Self::Incident { workflow, case, .. } => {
                (workflow, case)
            }
        }
    }
}

/// Part of the index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OpenScope {
    /// Work items, of one queue or one workflow where they are named.
    Items {
        /// The queue.
        queue: Option<QueueId>,
        /// The workflow.
        workflow: Option<WorkflowId>,
    },
    /// Incidents, of one workflow where it is named.
    Incidents {
        /// The workflow.
        workflow: Option<WorkflowId>,
    },
}

impl OpenScope {
    /// Returns true if an entry is of this part.
    pub fn has(&self, open: &Open) -> bool {
        let is = |wanted: &Option<WorkflowId>| {
            wanted.as_ref().is_none_or(|wanted| open.of().0 == wanted)
        };
        match (self, open) {
            (Self::Items { queue, workflow }, Open::Item { queue: of, .. }) => {
                queue.as_ref().is_none_or(|wanted| wanted == of) && is(workflow)
            }
            (Self::Incidents { workflow }, Open::Incident { .. }) => is(workflow),
            _ => false,
        }
    }
}
