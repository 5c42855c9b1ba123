//! Journals: the logs of durable work items, one for each. An entry says what a handler has done, so that it need not
//! do it again.

mod chosen;
mod distances;
mod entry;
mod operation;
mod pages;

pub use self::{
    chosen::Chosen,
    entry::{EntryKind, JOURNAL_FORMAT, JournalEntry, OperationEnd, StoredEntry, Times},
    operation::{Operation, OperationKind},
    pages::{JOURNAL_PAGE, JournalEnd},
};
use super::{CaseId, WorkflowId};

/// A durable work item, which has a journal.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JournalId {
    /// The workflow.
    pub workflow: WorkflowId,
    /// The case.
    pub case: CaseId,
    /// The item's number in the case.
    pub item: u64,
}
