//! Check of a record that was appended while the log may have gone back: it must fit the
//! present log.

use crate::models::{Record, Stored};
use crate::petrel::{Result, cache::definitions::Compiled, read::Reader, read::load::broken};
use crate::storage::CaseLogExt;

impl Reader {
    /// Checks that a record that was appended while the log may have gone back follows the
    /// record that it names: the fence compares numbers.
    pub(in crate::petrel) async fn must_follow(
        &self,
        stored: &Stored<Record>,
    ) -> Result<Stored<Record>> {
        let record = &stored.value;
        let before = self.storage.record_before(record).await?;
        if let Some(before) = before
            && Some(&before.hash) == record.previous_hash.as_ref()
        {
            return Ok(before);
        }
        let before = match record.previous {
            Some(previous) => format!("record {previous} is another one now"),
            None => "the case has another beginning now".to_owned(),
        };
        let reason = format!(
            "the log went back while it was written, and {before}; look at the case's history, \
             and put the record aside by `petrel case quarantine`"
        );
        Err(broken(&record.workflow, &record.case, stored.sequence, reason))
    }

    /// Checks that the log has the definition of a case that was begun while it may have gone
    /// back.
    pub(in crate::petrel) async fn must_run(
        &self,
        stored: &Stored<Record>,
        runs: Option<&Compiled>,
    ) -> Result<()> {
        let record = &stored.value;
        match runs {
            Some(runs) if !self.has_definition(&runs.stored).await? => {}
            _ => return Ok(()),
        }
        let at = record.definition;
        let reason = match self.lacks_net(record).await? {
            true => format!(
                "the log went back while the case was begun, and does not have definition {at} any \
                 more; put the record aside by `petrel case quarantine`, and begin another case"
            ),
            false => format!(
                "the log went back while the case was begun, and definition {at} is another \
                 version of the workflow now; cancel the case, and begin another one"
            ),
        };
        Err(broken(&record.workflow, &record.case, stored.sequence, reason))
    }
}
