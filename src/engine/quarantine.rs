//! The record that puts messages aside that can't be read, or do not follow.

use super::record::{Act, first_record, next_record};
use crate::models::{
    Aside, Case, CaseId, CaseStatus, LogSequence, PutAside, Record, RecordKind, WorkflowId,
};

/// Most messages that a record lists one by one of those that it puts aside.
const MOST_TOLD: usize = 100;

/// Remains of a case when its bad messages are put aside.
#[derive(Debug, Clone, Copy)]
pub enum Remains<'a> {
    /// The state after its last good record.
    State(&'a Case),
    /// Nothing, since no record can be read: the case never had a token, and has ended.
    Nothing {
        /// The workflow.
        workflow: &'a WorkflowId,
        /// The case.
        case: &'a CaseId,
        /// The log sequence of the definition to name.
        definition: LogSequence,
    },
}

/// The record after which the messages in `aside` are put aside; those that were before are
/// among them. It follows the last good record and
/// leaves the case as that did. It is appended after `last`, the case's last message. The
/// records before it are found without lists, since those may lead to a message that is put
/// aside.
pub fn quarantine(
    remains: Remains<'_>,
    aside: Vec<Aside>,
    mut put_aside: Vec<PutAside>,
    last: LogSequence,
    act: &Act,
) -> Record {
    let kind = RecordKind::Quarantined;
    let mut record = match remains {
        Remains::State(case) => next_record(case, kind, act),
        Remains::Nothing { workflow, case, definition } => Record {
            status: CaseStatus::Cancelled,
            ..first_record(workflow.clone(), case.clone(), definition, kind, act)
        },
    };
    record.aside = aside;
    put_aside.truncate(MOST_TOLD);
    record.put_aside = put_aside;
    (record.recent, record.pages, record.page) = (Vec::new(), Vec::new(), None);
    record.unlisted = Some(last);
    record
}
