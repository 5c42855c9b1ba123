//! Incidents: what a case can't go on with until a person acts.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::models::{LogSequence, TransitionId};

/// The most bytes of an incident's explanation.
pub const LONGEST_EXPLANATION: usize = 16 * 1024;

/// An open incident of a case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    /// Its number in the case, counted from 1.
    pub number: u64,
    /// The part of the case that does not go on.
    pub about: IncidentAbout,
    /// Kind of its cause.
    pub code: IncidentCode,
    /// Time of the record that it began with.
    #[serde(with = "crate::models::json::time")]
    pub since: DateTime<Utc>,
    /// The log sequence of the record that has its details; absent in that record.
    #[serde(default, deserialize_with = "LogSequence::or_none")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sequence: Option<LogSequence>,
}

/// The part of a case that an incident is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Parts", into = "Parts")]
#[non_exhaustive]
pub enum IncidentAbout {
    /// All immediate transitions: none fires until somebody acts.
    Cascade,
    /// A transition that fires by itself.
    Transition(TransitionId),
    /// A work item, by its number.
    Item(u64),
    /// A newer version's part, which this one does not know, and never writes.
    Unknown,
}

/// The stored form: the field of one part is there.
#[derive(Serialize, Deserialize)]
struct Parts {
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    cascade: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    transition: Option<TransitionId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    item: Option<u64>,
}

impl From<Parts> for IncidentAbout {
    fn from(Parts { cascade, transition, item }: Parts) -> Self {
        match (cascade, transition, item) {
            (_, _, Some(item)) => Self::Item(item),
            (_, Some(transition), None) => Self::Transition(transition),
            (true, None, None) => Self::Cascade,
            (false, None, None) => Self::Unknown,
        }
    }
}

impl From<IncidentAbout> for Parts {
    fn from(about: IncidentAbout) -> Self {
        let cascade = about == IncidentAbout::Cascade;
        let (transition, item) = match about {
            IncidentAbout::Transition(transition) => (Some(transition), None),
            IncidentAbout::Item(item) => (None, Some(item)),
            IncidentAbout::Cascade | IncidentAbout::Unknown => (None, None),
        };
        Self { cascade, transition, item }
    }
}

/// Cause of an incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[non_exhaustive]
pub enum IncidentCode {
    /// More immediate firings would follow one change than the workflow allows.
    CascadeTooLong,
    /// The record would be too large with the immediate firings in it.
    CascadeTooLarge,
    /// A guard could not be evaluated.
    GuardFailed,
    /// The search for tokens stopped at its limit.
    SearchStopped,
    /// The output expression could not be evaluated.
    OutputFailed,
    /// The tokens that it gives are more than a record takes.
    TooLarge,
    /// The expression of the time at which it is to fire could not be evaluated.
    DueFailed,
    /// The expression of a work item's class could not be evaluated.
    PriorityFailed,
    /// The expression of an attempt's input could not be evaluated.
    InputFailed,
    /// The attempts at a work item failed, and none is left.
    WorkFailed,
    /// Workers were lost at a work item, as many times as its activity allows.
    WorkLost,
    /// A work item was open for longer than its activity allows.
    DeadlinePassed,
    /// A newer version's cause, which this one does not know, and never writes.
    #[serde(other)]
    Unknown,
}

impl IncidentCode {
    /// Its stored name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CascadeTooLong => "CASCADE_TOO_LONG",
            Self::CascadeTooLarge => "CASCADE_TOO_LARGE",
            Self::GuardFailed => "GUARD_FAILED",
            Self::SearchStopped => "SEARCH_STOPPED",
            Self::OutputFailed => "OUTPUT_FAILED",
            Self::TooLarge => "TOO_LARGE",
            Self::DueFailed => "DUE_FAILED",
            Self::PriorityFailed => "PRIORITY_FAILED",
            Self::InputFailed => "INPUT_FAILED",
            Self::WorkFailed => "WORK_FAILED",
            Self::WorkLost => "WORK_LOST",
            Self::DeadlinePassed => "DEADLINE_PASSED",
            Self::Unknown => "UNKNOWN",
        }
    }
}

impl Incident {
    /// Returns true if a newer version wrote it, which knows more parts and causes.
    pub(crate) fn is_unknown(&self) -> bool {
        self.about == IncidentAbout::Unknown || self.code == IncidentCode::Unknown
    }
}

/// Details of an incident, in the record that it began with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Raised {
    /// Number of the incident.
    pub number: u64,
    /// The cause in words, at most [`LONGEST_EXPLANATION`] bytes.
    pub explanation: String,
}
