//! Incidents of cases.

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, Object, Result};
use chrono::{DateTime, Utc};

use crate::{
    graphql::{
        scalars::{Sequence, int},
        work::joins,
    },
    models::{self, IncidentAbout},
    petrel,
};

/// The cause of an incident.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "models::IncidentCode")]
pub enum IncidentCode {
    /// More immediate firings would follow one change than the workflow allows. None fires until
    /// somebody retries the incident or changes the marking by hand.
    CascadeTooLong,
    /// The record would be too large with the immediate firings in it. None fires until somebody
    /// retries the incident or changes the marking by hand.
    CascadeTooLarge,
    /// A guard of a transition that fires by itself could not be evaluated.
    GuardFailed,
    /// The search for the tokens of a transition that fires by itself stopped at its limit.
    SearchStopped,
    /// The output expression of a transition that fires by itself could not be evaluated.
    OutputFailed,
    /// The tokens that a transition gives by itself are more than a record takes.
    TooLarge,
    /// The time of a timed transition could not be reckoned: its expression failed, or is too far away.
    DueFailed,
    /// The class of a work item could not be reckoned: its expression failed.
    PriorityFailed,
    /// The input of an attempt could not be evaluated.
    InputFailed,
    /// The attempts at a work item failed, and none is left.
    WorkFailed,
    /// Workers were lost at a work item, as many times as its activity allows.
    WorkLost,
    /// A work item was open for longer than its activity allows.
    DeadlinePassed,
    /// A newer version's cause, which this one does not know.
    Unknown,
}

/// An open incident: a part of a case that can't go on until a person acts, or its cause is gone.
pub(crate) struct Incident(petrel::OpenIncident);

impl Incident {
    pub(super) fn all(case: &Arc<models::Case>) -> Vec<Self> {
        case.incidents.iter().map(|open| Self(petrel::OpenIncident::of(case, open))).collect()
    }
}

impl From<petrel::OpenIncident> for Incident {
    fn from(open: petrel::OpenIncident) -> Self {
        Self(open)
    }
}

/// An open incident: a part of a case that can't go on until a person acts, or its cause is gone.
#[Object]
impl Incident {
    /// Its number in the case, counted from 1.
    async fn number(&self) -> i32 {
        int(self.0.incident.number)
    }

    /// The transition that it is about. Null if it is about all immediate transitions, or about a work item.
    async fn transition_id(&self) -> Option<ID> {
        match &self.0.incident.about {
            IncidentAbout::Transition(transition) => Some(ID::from(transition)),
            _ => None,
        }
    }

    /// The number of the work item that it is about. Null if it is about none.
    async fn item(&self) -> Option<i32> {
        match self.0.incident.about {
            IncidentAbout::Item(item) => Some(int(item)),
            _ => None,
        }
    }

    /// The kind of its cause.
    async fn code(&self) -> IncidentCode {
        self.0.incident.code.into()
    }

    /// The time of the change that it began with.
    async fn since(&self) -> DateTime<Utc> {
        self.0.incident.since
    }

    /// The log sequence of the record that it began with.
    async fn sequence(&self) -> Sequence {
        self.0.incident.sequence.unwrap_or(self.0.sequence).into()
    }

    /// The cause in words.
    async fn explanation(&self, ctx: &Context<'_>) -> Result<String> {
        Ok(joins::look_up(ctx).await?.explanation_of(&self.0).await?)
    }
}
