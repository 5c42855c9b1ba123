//! The record that puts aside what can't be read, or does not follow.

use super::record::{Act, empty_case, next_record};
use crate::models::{Aside, Case, CaseId, CaseStatus, PutAside, Record, RecordKind, WorkflowId};

/// How many of the messages that a record puts aside it tells of one by one.
const MOST_TOLD: usize = 100;

/// The record that puts messages aside, those in `ranges`. It follows the last good record,
/// after which the case is as it was, and is appended after `last`, the case's last message. What
/// is behind it is found without lists, since those may lead into what is put aside.
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
