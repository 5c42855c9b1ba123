//! Armings: timers on their way to the store's clock.

use chrono::{DateTime, Utc};

use crate::models::{CaseId, LogSequence, WorkflowId};

/// A timer of a case, as a record has set it. It is the same as another one if workflow, case, timer and
/// record are: what a record has set does not change.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Arming {
    /// The workflow.
    pub workflow: WorkflowId,
    /// The case.
    pub case: CaseId,
    /// The timer's number in the case.
    pub timer: u64,
    /// The log sequence of the record that set `due`. Nobody judges the timer on an older state of
    /// the case.
    pub armed: LogSequence,
    /// Time at which it comes due. It is kept in whole microseconds; what is finer is cut off.
    pub due: DateTime<Utc>,
}
