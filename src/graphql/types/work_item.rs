//! Work items of cases.

use async_graphql::{Enum, ID, SimpleObject};
use chrono::{DateTime, Utc};

use super::event::{TokenAt, tokens_at};
use crate::{
    graphql::scalars::int,
    models::{self, IncidentAbout},
};

/// Class of a work item.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "models::WorkClass")]
pub enum WorkClass {
    /// Before others.
    High,
    /// Of no special urgency.
    Normal,
    /// After others, but not for ever.
    Low,
}

/// State of an open work item.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkItemState {
    /// It waits for a worker.
    Waiting,
    /// A worker has it.
    Running,
    /// It is tried again, or its handler goes on, not before its `notBefore`.
    Delayed,
    /// An incident stops it.
    Stopped,
    /// It has its answer, and its activity fires as soon as it can.
    Done,
}

/// An open work item: the tokens with which an activity is enabled, and how far its work has come.
#[derive(SimpleObject)]
pub(crate) struct WorkItem {
    /// Its number in the case, counted from 1.
    item: i32,
    /// The activity.
    transition_id: ID,
    /// Its state.
    state: WorkItemState,
    /// Its class.
    class: WorkClass,
    /// The tokens that it is to take, in arc order, and then those that it is to read.
    tokens: Vec<TokenAt>,
    /// The time since when it is open.
    since: DateTime<Utc>,
    /// The number of its present claim: each start of it has one, and 0 is none.
    claim: i32,
    /// The number of its attempts.
    attempts: i32,
    /// The number of attempts that failed, since it was open or a person had it tried again.
    failed: i32,
    /// The number of attempts whose worker was lost, since then.
    lost: i32,
    /// The name of the worker that has it.
    worker: Option<String>,
    /// The time since when the worker has it.
    running_since: Option<DateTime<Utc>>,
    /// The time before which it is not tried again, or its handler does not go on.
    not_before: Option<DateTime<Utc>>,
    /// The number of the incident that stops it.
    incident: Option<i32>,
}

impl WorkItem {
    pub(super) fn all(items: &[models::Item], incidents: &[models::Incident]) -> Vec<Self> {
        items.iter().map(|item| Self::of(item, incidents)).collect()
    }

    pub(super) fn of(item: &models::Item, incidents: &[models::Incident]) -> Self {
        let about = IncidentAbout::Item(item.number);
        let incident = incidents.iter().find(|open| open.about == about).map(|open| open.number);
        let running = item.running.as_ref();
        let state = match item {
            _ if item.done.is_some() => WorkItemState::Done,
            _ if incident.is_some() => WorkItemState::Stopped,
            _ if running.is_some() => WorkItemState::Running,
            _ if item.wait.is_some() => WorkItemState::Delayed,
            _ => WorkItemState::Waiting,
        };
        Self {
            item: int(item.number),
            transition_id: ID::from(&item.transition),
            state,
            class: item.class.into(),
            tokens: tokens_at(&item.tokens),
            since: item.since,
            claim: int(item.claim),
            attempts: int(item.attempt),
            failed: int(item.failed),
            lost: int(item.lost),
            worker: running.and_then(|running| running.worker.clone()),
            running_since: running.map(|running| running.since),
            not_before: item.wait.as_ref().map(|wait| wait.until),
            incident: incident.map(int),
        }
    }
}
