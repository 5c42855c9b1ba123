//! Offers: open work items on their way to workers.

use crate::models::{CaseId, KindId, LogSequence, QueueId, TransitionId, WorkClass, WorkflowId};

/// An open work item, as it waits in its queue. It is the same as another one if queue, class, workflow,
/// case and item are: the rest is what the first one said.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Offer {
    /// The queue.
    pub queue: QueueId,
    /// The item's class.
    pub class: WorkClass,
    /// The workflow.
    pub workflow: WorkflowId,
    /// The case.
    pub case: CaseId,
    /// The item's number in the case.
    pub item: u64,
    /// The log sequence of the record that this follows from. Nobody judges the item on an older state
    /// of the case.
    pub follows: LogSequence,
    /// The handler that is to carry it out.
    pub kind: KindId,
    /// The activity.
    pub transition: TransitionId,
}
