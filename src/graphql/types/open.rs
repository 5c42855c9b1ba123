//! Open work items and incidents, with the cases that they are of.

use async_graphql::{ID, SimpleObject};

use super::{incident::Incident, work_item::WorkItem};
use crate::petrel;

/// An open work item, and its case.
#[derive(SimpleObject)]
pub(crate) struct OpenWorkItem {
    /// The workflow.
    workflow_id: ID,
    /// The case.
    case_id: ID,
    /// True if the case is paused: nobody begins the item.
    case_paused: bool,
    /// The id of the queue where workers look for it.
    queue: ID,
    /// The id of its kind of work.
    kind: ID,
    /// The item.
    work_item: WorkItem,
}

impl From<petrel::OpenItem> for OpenWorkItem {
    fn from(open: petrel::OpenItem) -> Self {
        Self {
            workflow_id: ID::from(&open.workflow),
            case_id: ID::from(&open.case),
            case_paused: open.is_paused,
            queue: ID::from(open.queue.as_str()),
            kind: ID::from(open.kind.as_str()),
            work_item: WorkItem::of(&open.item, &open.incidents),
        }
    }
}

/// An open incident, and its case.
#[derive(SimpleObject)]
pub(crate) struct OpenIncident {
    /// The workflow.
    workflow_id: ID,
    /// The case.
    case_id: ID,
    /// The incident.
    incident: Incident,
}

impl From<petrel::OpenIncident> for OpenIncident {
    fn from(open: petrel::OpenIncident) -> Self {
        Self {
            workflow_id: ID::from(&open.workflow),
            case_id: ID::from(&open.case),
            incident: open.into(),
        }
    }
}
