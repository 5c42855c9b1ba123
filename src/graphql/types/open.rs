//! Open work items and incidents, with the cases that they are of.

use async_graphql::{Enum, ID, SimpleObject};
use chrono::{DateTime, Utc};

use super::{incident::Incident, work_item::WorkItem};
use crate::{graphql::scalars::Sequence, petrel};

/// Way in which a work item or an incident has changed.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "petrel::OpenChange")]
pub enum OpenChange {
    /// It is open from now on.
    Opened,
    /// It is open, and otherwise than before: begun, given back, waiting, or answered.
    Changed,
    /// It is over. It is given as it was last.
    Ended,
}

/// A change of a work item.
#[derive(SimpleObject)]
pub(crate) struct WorkItemEvent {
    /// The way in which it has changed.
    change: OpenChange,
    /// The log sequence of the record that changed it. To go on after it, subscribe from this plus one.
    sequence: Sequence,
    /// The time at which the server stored that record, by the server's clock.
    time: DateTime<Utc>,
    /// The item, and its case.
    work: OpenWorkItem,
}

/// A change of an incident.
#[derive(SimpleObject)]
pub(crate) struct IncidentEvent {
    /// The way in which it has changed.
    change: OpenChange,
    /// The log sequence of the record that changed it. To go on after it, subscribe from this plus one.
    sequence: Sequence,
    /// The time at which the server stored that record, by the server's clock.
    time: DateTime<Utc>,
    /// The incident, and its case.
    open: OpenIncident,
}

impl WorkItemEvent {
    /// An event that is about a work item.
    pub(crate) fn of(event: petrel::OpenEvent) -> Option<Self> {
        let petrel::OpenPart::Item(item) = event.part else { return None };
        let (change, sequence, time) = (event.change.into(), event.sequence.into(), event.time);
        Some(Self { change, sequence, time, work: OpenWorkItem::from(*item) })
    }
}

impl IncidentEvent {
    /// An event that is about an incident.
    pub(crate) fn of(event: petrel::OpenEvent) -> Option<Self> {
        let petrel::OpenPart::Incident(incident) = event.part else { return None };
        let (change, sequence, time) = (event.change.into(), event.sequence.into(), event.time);
        Some(Self { change, sequence, time, open: OpenIncident::from(incident) })
    }
}

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
