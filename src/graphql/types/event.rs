//! Records of a case's log, as history and subscriptions give them.

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, Json, Object, Result, SimpleObject};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use tokio::sync::OnceCell;

use super::{CaseStatus, MarkingEntry, OnResume, Timer, Token};
use crate::{
    graphql::{
        scalars::{Sequence, int},
        work::joins,
    },
    models::{self, Record, Stored},
    petrel::Changed,
};

/// The kind of a change of a case.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "models::RecordKind")]
pub enum CaseEventKind {
    /// A transition fired.
    Fired,
    /// The case began.
    Created,
    /// The case was paused.
    Paused,
    /// The case was resumed.
    Resumed,
    /// The case was cancelled.
    Cancelled,
    /// Somebody added a token or changed a token's data.
    Edited,
    /// Somebody had the case try again what an incident had stopped.
    Retried,
    /// Timers came due.
    Elapsed,
    /// A worker began a work item.
    Begun,
    /// An attempt at a work item failed.
    Failed,
    /// A worker gave a work item back that it had begun.
    Released,
    /// The answer to a work item was stored, and its activity has not fired yet.
    Completed,
    /// Somebody put messages of the case's log aside that can't be read or do not follow.
    Quarantined,
    /// A newer version's kind, which this one does not know; `unknown` names it.
    Unknown,
}

/// A message of a case's log that is put aside.
#[derive(SimpleObject)]
pub(super) struct PutAside {
    /// Its subject.
    subject: String,
    /// Its sequence in the log.
    sequence: Sequence,
    /// Its fault.
    reason: String,
}

/// A token and the place it was in.
#[derive(SimpleObject)]
pub(super) struct TokenAt {
    /// The token.
    pub token_id: ID,
    /// The place it was in.
    pub place_id: ID,
}

/// A firing of a transition by itself, which followed a change in the same record.
#[derive(SimpleObject)]
pub(super) struct Step {
    /// The transition.
    transition_id: ID,
    /// The tokens taken, in arc order.
    consumed: Vec<TokenAt>,
    /// The tokens that read arcs needed and left.
    read: Vec<TokenAt>,
    /// The tokens that reset arcs removed.
    removed: Vec<TokenAt>,
    /// The tokens given, with the places that they came to.
    produced: Vec<TokenAt>,
    /// The number of the timer that it fired by; absent of an immediate transition.
    timer: Option<i32>,
}

/// One record of a case's log: a change, and the state of the case after it.
#[derive(Clone)]
pub(crate) struct CaseEvent {
    record: Arc<Stored<Record>>,
    /// The server's notes about the record; looked up for a record that was just appended.
    noted: Arc<OnceCell<Noted>>,
}

/// Data about a record that only the server has.
struct Noted {
    time: DateTime<Utc>,
    subject: String,
}

impl From<Stored<Record>> for CaseEvent {
    fn from(record: Stored<Record>) -> Self {
        Self::from_log(Arc::new(record))
    }
}

impl From<Arc<Stored<Record>>> for CaseEvent {
    fn from(record: Arc<Stored<Record>>) -> Self {
        Self::from_log(record)
    }
}

impl CaseEvent {
    /// The record of a change in the log.
    pub(crate) fn of(changed: &Changed) -> Self {
        match changed.repeated {
            true => Self::from_log(changed.record.clone()),
            false => Self { record: changed.record.clone(), noted: Arc::default() },
        }
    }

    /// A record that was read from the log.
    fn from_log(record: Arc<Stored<Record>>) -> Self {
        let noted = Noted { time: record.timestamp, subject: record.subject.clone() };
        Self { record, noted: Arc::new(OnceCell::new_with(Some(noted))) }
    }

    async fn noted(&self, ctx: &Context<'_>) -> Result<&Noted> {
        let look_up = || async {
            let Record { workflow, case, .. } = &self.record.value;
            let looking = joins::look_up(ctx).await?;
            let stored = looking.record(workflow, case, self.record.sequence).await?;
            Ok::<_, joins::Failure>(Noted { time: stored.timestamp, subject: stored.subject })
        };
        Ok(self.noted.get_or_try_init(look_up).await?)
    }
}

/// One record of a case's log: a change, and the state of the case after it.
#[Object]
impl CaseEvent {
    /// The record's sequence in the log. To go on after it, subscribe from this plus one.
    async fn sequence(&self) -> Sequence {
        self.record.sequence.into()
    }

    /// The time at which the server stored it, by the server's clock.
    pub(super) async fn time(&self, ctx: &Context<'_>) -> Result<DateTime<Utc>> {
        Ok(self.noted(ctx).await?.time)
    }

    /// Names of its kind and of the fields that this version does not know: a newer one wrote it.
    /// Its case can be changed by that one only.
    async fn unknown(&self) -> &[String] {
        &self.record.value.unknown
    }

    /// The kind of the change.
    async fn kind(&self) -> CaseEventKind {
        self.record.value.kind.into()
    }

    /// The messages of the log that the record puts aside, the first 100 of them.
    async fn put_aside(&self) -> Vec<PutAside> {
        let put_aside = self.record.value.put_aside.iter();
        let message = |one: &models::PutAside| PutAside {
            subject: one.subject.clone(),
            sequence: one.sequence.into(),
            reason: one.reason.clone(),
        };
        put_aside.map(message).collect()
    }

    /// True if this completed the case.
    async fn completed(&self) -> bool {
        self.record.value.status == models::CaseStatus::Completed
    }

    /// The workflow.
    async fn workflow_id(&self) -> ID {
        ID::from(&self.record.value.workflow)
    }

    /// The case.
    async fn case_id(&self) -> ID {
        ID::from(&self.record.value.case)
    }

    /// The transition that fired, if one did.
    async fn transition_id(&self) -> Option<ID> {
        self.record.value.transition.as_ref().map(ID::from)
    }

    /// The name of the caller.
    async fn by(&self) -> Option<&str> {
        self.record.value.by.as_deref()
    }

    /// The id of the attempt: the same id never happens twice in a case.
    async fn firing_id(&self) -> ID {
        ID::from(&self.record.value.firing)
    }

    /// The tokens taken, in arc order.
    async fn consumed(&self) -> Vec<TokenAt> {
        tokens_at(&self.record.value.consumed)
    }

    /// The tokens that read arcs needed and left.
    async fn read(&self) -> Vec<TokenAt> {
        tokens_at(&self.record.value.read)
    }

    /// The tokens that reset arcs or a cancellation removed.
    async fn removed(&self) -> Vec<TokenAt> {
        tokens_at(&self.record.value.removed)
    }

    /// The tokens that the change itself gave, with the places that they came to.
    async fn given(&self) -> Vec<TokenAt> {
        let gave = self.record.value.gave().into_iter();
        let at = |(token, place)| TokenAt { token_id: ID::from(token), place_id: ID::from(place) };
        gave.map(at).collect()
    }

    /// The firings of transitions by themselves that followed it, in their order.
    async fn cascade(&self) -> Vec<Step> {
        let step = |step: &models::Step| Step {
            transition_id: ID::from(&step.transition),
            consumed: tokens_at(&step.consumed),
            read: tokens_at(&step.read),
            removed: tokens_at(&step.removed),
            produced: tokens_at(&step.produced),
            timer: step.timer.map(int),
        };
        self.record.value.cascade.iter().map(step).collect()
    }

    /// The timers that came due, as they were before it. Those that could fire are in `cascade`.
    async fn elapsed(&self) -> Vec<Timer> {
        self.record.value.elapsed.iter().map(Timer::of).collect()
    }

    /// The way on of the timers, where it resumed the case.
    async fn on_resume(&self) -> Option<OnResume> {
        let record = &self.record.value;
        (record.kind == models::RecordKind::Resumed).then(|| record.on_resume.into())
    }

    /// The timers that run after it, oldest first.
    async fn timers(&self) -> Vec<Timer> {
        self.record.value.timers.iter().map(Timer::of).collect()
    }

    /// The tokens made or changed, whole, as they were after it and its cascade.
    async fn produced(&self) -> Vec<Token> {
        let produced = self.record.value.produced.iter().cloned();
        produced.map(|token| Token::after(token, self.record.sequence)).collect()
    }

    /// The case's live tokens after it, place by place: of each, oldest arrival first.
    async fn marking(&self) -> Vec<MarkingEntry> {
        let entries = self.record.value.marking.0.iter();
        entries.map(|entry| MarkingEntry::of(entry, self.record.sequence)).collect()
    }

    /// The case's status after it.
    async fn status(&self) -> CaseStatus {
        self.record.value.status.into()
    }

    /// The caller's notes about it.
    async fn metadata(&self) -> Json<&Map<String, Value>> {
        Json(&self.record.value.metadata)
    }

    /// The subject of the record.
    async fn nats_subject<'a>(&'a self, ctx: &Context<'_>) -> Result<&'a str> {
        Ok(&self.noted(ctx).await?.subject)
    }
}

pub(super) fn tokens_at(tokens: &[models::TokenAt]) -> Vec<TokenAt> {
    let at = |at: &models::TokenAt| TokenAt {
        token_id: ID::from(&at.token),
        place_id: ID::from(&at.place),
    };
    tokens.iter().map(at).collect()
}
