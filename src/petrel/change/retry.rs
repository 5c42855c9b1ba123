//! Incidents: looked at, and tried again.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::petrel::{
    Change, Changed, Error, OpenIncident, Petrel, Result,
    change::decided::{Decide, Decided},
    change::operations::{must_be_open, record_of},
    change::repeat::Asked,
    error::FirstUse,
    limits::must_be_storable,
};
use crate::{
    engine::{self, Bounds},
    models::{Case, CaseId, CaseStatus, Incident, IncidentAbout, LogSequence, TokenId, WorkflowId},
};

/// A correction of a token's data.
#[derive(Debug, Clone, PartialEq)]
pub struct Correction {
    /// The token, of the same case.
    pub token: TokenId,
    /// The patch to merge into its data (JSON merge patch, RFC 7396: null removes a key).
    pub patch: Value,
}

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
        self.retry_incident_with(workflow, case, incident, Vec::new(), change).await
    }

    /// The same, after data of the case's tokens was corrected, in the same record.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] if no incident of this number is open, or a token is named twice;
    /// [`Error::NotFound`] if a token is not alive in the case. Nothing is stored then.
    pub async fn retry_incident_with(
        &self,
        workflow: &WorkflowId,
        case: &CaseId,
        incident: u64,
        corrections: Vec<Correction>,
        change: Change,
    ) -> Result<Changed> {
        let change = change.checked()?;
        let id = case.clone();
        let patches = patches(corrections)?;
        let mut asked = Asked::to("retry", &change.metadata);
        asked.data = Some(match patches.is_empty() {
            true => incident.into(),
            false => json!({ "incident": incident, "patches": patches }),
        });
        let limits = self.inner.reader.limits();
        let decide: Decide = Arc::new(move |compiled, existing, act, budget| {
            let case = existing.ok_or_else(|| Error::no_case(&id))?;
            must_be_open(case)?;
            must_be_tried(case, incident)?;
            if let Some((token, _)) = patches.iter().find(|(of, _)| !case.tokens.contains_key(of)) {
                return Err(Error::no_token(token));
            }
            let bounds = Bounds { limits, budget };
            let record = engine::retry(&compiled.net, case, incident, &patches, act, bounds);
            Decided::record(record.ok_or_else(|| not_open(case, incident))?)
        });
        self.commit(record_of(workflow, case, change, asked, decide)).await
    }

    /// Refuses what a retry of an open incident would refuse, before anything else is stored that belongs to it.
    pub(crate) async fn must_be_triable(
        &self,
        case: &Case,
        incident: u64,
        change: &Change,
    ) -> Result<()> {
        must_be_open(case)?;
        must_be_tried(case, incident)?;
        if let Some(expected) = change.expected_revision.filter(|of| *of != case.revision()) {
            let (what, actual) = (format!("case {}", case.id), case.revision());
            return Err(Error::Conflict { what, expected, actual });
        }
        let Some(firing) = &change.firing else { return Ok(()) };
        // Under it a retry of this incident would have ended it.
        match self.inner.reader.find_id(case, &mut None, firing).await? {
            None => Ok(()),
            Some(record) => Err(Error::IdTaken {
                kind: "firing",
                id: firing.to_string(),
                case: case.id.clone(),
                what: "arguments",
                first: Box::new(FirstUse::of(&record)),
            }),
        }
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

/// The patches of corrections, in the order of their tokens.
fn patches(corrections: Vec<Correction>) -> Result<Vec<(TokenId, Value)>> {
    let mut patches = Vec::with_capacity(corrections.len());
    for Correction { token, patch } in corrections {
        must_be_storable("patch", &patch)?;
        patches.push((token, patch));
    }
    patches.sort_by(|(one, _), (other, _)| one.cmp(other));
    match patches.windows(2).find(|two| two[0].0 == two[1].0) {
        None => Ok(patches),
        Some(two) => {
            let reason = format!("token {} is named twice; give one patch for it", two[0].0);
            Err(Error::argument("corrections", reason))
        }
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
