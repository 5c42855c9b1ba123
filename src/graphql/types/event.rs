//! Records of a case's log, as history and subscriptions give them.

use std::sync::Arc;

use async_graphql::{Enum, ID, Json, Object, SimpleObject};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::{CaseStatus, MarkingEntry, Token};
use crate::{
    cases::Changed,
    graphql::scalars::Sequence,
    models::{self, Record, Stored},
};

/// What happened to a case.
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
}

/// A token and the place it was in.
#[derive(SimpleObject)]
pub struct TokenAt {
    /// The token.
    token_id: ID,
    /// The place it was in.
    place_id: ID,
}

/// One record of a case's log: what happened, and the state of the case after it.
pub struct CaseEvent(Arc<Stored<Record>>);

impl From<Stored<Record>> for CaseEvent {
    fn from(record: Stored<Record>) -> Self {
        Self(Arc::new(record))
    }
}

impl CaseEvent {
    /// What the log says about a change.
    pub fn of(changed: &Changed) -> Self {
        Self(changed.record.clone())
    }
}

/// One record of a case's log: what happened, and the state of the case after it.
#[Object]
impl CaseEvent {
    /// The record's sequence in the log. To go on after it, subscribe from this plus one.
    async fn sequence(&self) -> Sequence {
        Sequence(self.0.sequence)
    }

    /// When the server stored it.
    async fn time(&self) -> DateTime<Utc> {
        self.0.timestamp
    }

    /// What happened.
    async fn kind(&self) -> CaseEventKind {
        self.0.value.kind.into()
    }

    /// Whether this completed the case.
    async fn completed(&self) -> bool {
        self.0.value.status == models::CaseStatus::Completed
    }

    /// The workflow.
    async fn workflow_id(&self) -> ID {
        ID::from(&self.0.value.workflow)
    }

    /// The case.
    async fn case_id(&self) -> ID {
        ID::from(&self.0.value.case)
    }

    /// What fired, if something did.
    async fn transition_id(&self) -> Option<ID> {
        self.0.value.transition.as_ref().map(ID::from)
    }

    /// Who asked for it.
    async fn by(&self) -> Option<&str> {
        self.0.value.by.as_deref()
    }

    /// The id of the attempt: the same id never happens twice in a case.
    async fn firing_id(&self) -> ID {
        ID::from(&self.0.value.firing)
    }

    /// The tokens taken, in arc order.
    async fn consumed(&self) -> Vec<TokenAt> {
        tokens_at(&self.0.value.consumed)
    }

    /// The tokens that read arcs needed and left.
    async fn read(&self) -> Vec<TokenAt> {
        tokens_at(&self.0.value.read)
    }

    /// The tokens that reset arcs or a cancellation removed.
    async fn removed(&self) -> Vec<TokenAt> {
        tokens_at(&self.0.value.removed)
    }

    /// The tokens made or changed, whole.
    async fn produced(&self) -> Vec<Token> {
        self.0.value.produced.iter().map(|token| produced(&self.0, token)).collect()
    }

    /// The case's live tokens after it, oldest arrival first.
    async fn marking(&self) -> Vec<MarkingEntry> {
        let entries = self.0.value.marking.0.iter();
        entries.map(|entry| MarkingEntry::of(entry, self.0.sequence)).collect()
    }

    /// The case's status after it.
    async fn status(&self) -> CaseStatus {
        self.0.value.status.into()
    }

    /// What the caller noted about it.
    async fn metadata(&self) -> Json<&Map<String, Value>> {
        Json(&self.0.value.metadata)
    }

    /// The subject of the record.
    async fn nats_subject(&self) -> &str {
        &self.0.subject
    }
}

fn tokens_at(tokens: &[models::TokenAt]) -> Vec<TokenAt> {
    let at = |at: &models::TokenAt| TokenAt {
        token_id: ID::from(&at.token),
        place_id: ID::from(&at.place),
    };
    tokens.iter().map(at).collect()
}

/// A token that `record` produced, with what only the stored record knows: a record is written
/// before it has a sequence and a time.
pub fn produced(record: &Stored<Record>, token: &models::Token) -> Token {
    let mut token = token.clone();
    if token.nats_sequence == 0 {
        token.nats_sequence = record.sequence;
    }
    token.nats_timestamp.get_or_insert(record.timestamp);
    if let Some(last) = token.history.last_mut().filter(|last| last.sequence == 0) {
        last.set_sequence(record.sequence);
    }
    Token::from(token)
}
