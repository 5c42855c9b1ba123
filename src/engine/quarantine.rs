//! The record that puts messages aside that can't be read, or do not follow.

use super::record::{Act, empty_case, next_record};
use crate::models::{Aside, Case, CaseId, CaseStatus, PutAside, Record, RecordKind, WorkflowId};

/// Most messages that a record lists one by one of those that it puts aside.
const MOST_TOLD: usize = 100;

/// The record that puts the messages in `ranges` aside. It follows the last good record and
/// leaves the case as that did. It is appended after `last`, the case's last message. The
/// records before it are found without lists, since those may lead to a message that is put
/// aside.
pub fn quarantine(
    case: &Case,
    ranges: &[Aside],
    mut put_aside: Vec<PutAside>,
    last: u64,
    act: &Act,
) -> Record {
    let mut record = next_record(case, RecordKind::Quarantined, act);
    record.aside.extend(ranges);
    put_aside.truncate(MOST_TOLD);
    record.put_aside = put_aside;
    (record.recent, record.pages, record.page) = (Vec::new(), Vec::new(), None);
    record.unlisted = last;
    if case.sequence == 0 {
        record.previous_hash = None;
    }
    record
}

/// A case of which no record can be read: it never had a token, and has ended.
pub fn never_begun(workflow: WorkflowId, id: CaseId, definition: u64) -> Case {
    Case { status: CaseStatus::Cancelled, ..empty_case(workflow, id, definition) }
}
