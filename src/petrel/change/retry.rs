//! Incidents: looked at, and tried again.

use std::sync::Arc;

use crate::petrel::{
    Change, Changed, Error, OpenIncident, Petrel, Result,
    change::decided::{Decide, Decided},
    change::operations::{must_be_open, record_of},
    change::repeat::Asked,
};
use crate::{
    engine::{self, Bounds},
    models::{Case, CaseId, CaseStatus, Incident, IncidentAbout, LogSequence, WorkflowId},
};

impl Petrel {
    /// Ends an open incident of a case and tries again what it stopped. If that fails for the same
    /// cause, the case has a new incident afterwards.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] if no incident of this number is open.
    pub async fn retry_incident(
        &self,
        workflow: &WorkflowId,
        case: &CaseId,
        incident: u64,
        change: Change,
    ) -> Result<Changed> {
        let change = change.checked()?;
        let id = case.clone();
        let asked = Asked { data: Some(incident.into()), ..Asked::to("retry", &change.metadata) };
        let limits = self.inner.reader.limits();
        let decide: Decide = Arc::new(move |compiled, existing, act, budget| {
            let case = existing.ok_or_else(|| Error::no_case(&id))?;
            must_be_open(case)?;
            must_be_tried(case, incident)?;
            let bounds = Bounds { limits, budget };
            let record = engine::retry(&compiled.net, case, incident, act, bounds);
            Decided::record(record.ok_or_else(|| not_open(case, incident))?)
        });
        self.commit(record_of(workflow, case, change, asked, decide)).await
    }

    /// The cause of an open incident in words, from the record that it began with.
    pub async fn incident_explanation(&self, case: &Case, incident: &Incident) -> Result<String> {
        self.explanation_of(&OpenIncident::of(case, incident)).await
    }

    /// The cause of an incident in words.
    pub async fn explanation_of(&self, open: &OpenIncident) -> Result<String> {
        let OpenIncident { workflow, case, sequence, incident } = open;
        let at = incident.sequence.unwrap_or(*sequence);
        let record = self.record(workflow, case, at).await?;
        let raised = record.value.raised.iter().find(|raised| raised.number == incident.number);
        let broken = |at: LogSequence| Error::BrokenLog {
            workflow: workflow.clone(),
            case: case.clone(),
            sequence: Some(at),
            reason: format!("it does not have incident {}", incident.number),
        };
        raised.map(|raised| raised.explanation.clone()).ok_or_else(|| broken(at))
    }
}

/// A retry that could try nothing would end an incident whose cause is still there.
fn must_be_tried(case: &Case, incident: u64) -> Result<()> {
    let Some(open) = case.incidents.iter().find(|open| open.number == incident) else {
        return Ok(());
    };
    let stops_all = case.incidents.iter().find(|open| open.about == IncidentAbout::Cascade);
    if case.status == CaseStatus::Paused {
        return Err(Error::WrongStatus {
            case: case.id.clone(),
            status: case.status,
            reason: "nothing can be tried again before it is resumed",
        });
    }
    match stops_all {
        Some(all) if all.number != open.number => {
            let reason = format!(
                "incident {} stops all immediate transitions of case {}; retry that one first",
                all.number, case.id
            );
            Err(Error::argument("incident", reason))
        }
        _ => Ok(()),
    }
}

/// The error of an incident that is not open.
pub(in crate::petrel) fn not_open(case: &Case, incident: u64) -> Error {
    let open: Vec<_> = case.incidents.iter().map(|open| open.number.to_string()).collect();
    let was_one = (1..=case.incidents_made).contains(&incident);
    let reason = match (open.is_empty(), !was_one) {
        (_, true) => format!("case {} has had no incident {incident}", case.id),
        (true, false) => format!("incident {incident} of case {} is over; none is open", case.id),
        (false, false) => {
            format!("incident {incident} of case {} is over; open are {}", case.id, open.join(", "))
        }
    };
    Error::argument("incident", reason)
}
