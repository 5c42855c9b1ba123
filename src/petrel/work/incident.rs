//! Incidents of work items that a person settles.

use std::sync::Arc;

use super::{Answer, refused::error_of};
use crate::petrel::{
    Change, Changed, Error, Petrel, Result, WorkId,
    change::decided::{Decide, Decided},
    change::operations::record_of,
    change::repeat::Asked,
    change::retry::not_open,
};
use crate::{
    engine::{self, Answered, Bounds, Claim},
    models::{Case, CaseId, IncidentAbout, WorkflowId},
};

impl Petrel {
    /// Ends the work item that an incident stops with a result that a person gives: its activity fires, and
    /// the incident is over. The same request with the change's firing id happens once.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] if no incident of this number is open, or it is about no work item.
    pub async fn complete_incident(
        &self,
        workflow: &WorkflowId,
        case: &CaseId,
        incident: u64,
        answer: Answered,
        change: Change,
    ) -> Result<Changed> {
        let change = self.signed(change.checked()?);
        let done = Answer::Done(answer.clone());
        done.checked()?;
        let of = |item| WorkId { workflow: workflow.clone(), case: case.clone(), item };
        let mut asked = done.as_json(&of(0));
        asked["incident"] = incident.into();
        let asked = Asked { data: Some(asked), ..Asked::to("complete_incident", &change.metadata) };
        let (limits, work) = (self.inner.reader.limits(), of(0));
        let decide: Decide = Arc::new(move |compiled, existing, act, budget| {
            let case = existing.ok_or_else(|| Error::no_case(&work.case))?;
            let work = WorkId { item: item_of(case, incident)?, ..work.clone() };
            let (net, claim) = (&compiled.net, Claim { item: work.item, number: None });
            let bounds = Bounds { limits, budget };
            let record = engine::complete(net, case, claim, answer.clone(), act, bounds);
            let record = record.map_err(|refused| error_of(&work, case, refused))?;
            Ok(Decided::Append(Box::new(record)))
        });
        self.inner.commit(record_of(workflow, case, change, asked, decide)).await
    }
}

/// The work item that an open incident stops.
fn item_of(case: &Case, incident: u64) -> Result<u64> {
    let open = case.incidents.iter().find(|open| open.number == incident);
    match open.map(|open| &open.about) {
        Some(IncidentAbout::Item(item)) => Ok(*item),
        Some(_) => {
            let reason = format!(
                "incident {incident} of case {} is about no work item, so there is nothing to complete: \
                 mend its cause and retry it",
                case.id
            );
            Err(Error::argument("incident", reason))
        }
        None => Err(not_open(case, incident)),
    }
}
