//! Standing of an attempt: the question of a worker before each sign of life.

use crate::petrel::{Petrel, Result, WorkId};
use crate::{
    models::{CaseStatus, IncidentAbout, IncidentCode},
    storage::Consistency,
};

/// Standing of an attempt by the last record of its case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Standing {
    /// It runs, and its answer counts.
    GoesOn,
    /// The same; the case is paused, and nothing begins after it.
    Paused,
    /// The case was cancelled.
    Cancelled,
    /// Its item is over: somebody took its tokens, or completed it.
    Withdrawn,
    /// Another claim is the present one, or the attempt has ended.
    Lost,
    /// Its item was open for longer than its activity allows. Its answer still counts.
    TimedOut,
}

impl Petrel {
    /// The standing of the attempt with a claim, by what the log has now.
    pub async fn work_standing(&self, work: &WorkId, claim: u64) -> Result<Standing> {
        let storage = self.storage();
        let head = storage.head(&work.workflow, &work.case, Consistency::Strong).await?;
        let Some(head) = head else { return Ok(Standing::Withdrawn) };
        let record = &head.value;
        if record.status == CaseStatus::Cancelled {
            return Ok(Standing::Cancelled);
        }
        let item = record.items.iter().find(|item| item.number == work.item);
        let Some(item) = item else { return Ok(Standing::Withdrawn) };
        if item.done.is_some() {
            return Ok(Standing::Withdrawn);
        }
        if item.claim != claim || item.running.is_none() {
            return Ok(Standing::Lost);
        }
        let is_late = record.incidents.iter().any(|open| {
            open.about == IncidentAbout::Item(work.item)
                && open.code == IncidentCode::DeadlinePassed
        });
        Ok(match record.status {
            _ if is_late => Standing::TimedOut,
            CaseStatus::Paused => Standing::Paused,
            _ => Standing::GoesOn,
        })
    }
}
