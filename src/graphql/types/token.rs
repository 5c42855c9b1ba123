//! Tokens.

use std::sync::Arc;

use async_graphql::{Context, ID, Json, Object, Result};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::{Case, Workflow, cases};
use crate::{
    graphql::scalars::{Sequence, int},
    models,
};

/// A token: carries data from place to place. It belongs to one case.
pub struct Token(pub Arc<models::Token>);

impl From<models::Token> for Token {
    fn from(token: models::Token) -> Self {
        Self(Arc::new(token))
    }
}

/// A token: carries data from place to place. It belongs to one case.
#[Object]
impl Token {
    /// The token's id, unique across workflows.
    async fn id(&self) -> ID {
        ID::from(&self.0.id)
    }

    /// The workflow it runs in.
    async fn workflow_id(&self) -> ID {
        ID::from(&self.0.workflow)
    }

    /// The case it belongs to.
    async fn case_id(&self) -> ID {
        ID::from(&self.0.case)
    }

    /// The place that holds it.
    async fn place_id(&self) -> ID {
        ID::from(&self.0.place)
    }

    /// What it carries.
    async fn data(&self) -> Json<&Value> {
        Json(&self.0.data)
    }

    /// What its owner noted about it.
    async fn metadata(&self) -> Json<&Map<String, Value>> {
        Json(&self.0.metadata)
    }

    /// When it came to be, by the clock of the process that decided it.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }

    /// When it last changed, by the clock of the process that decided it.
    async fn updated_at(&self) -> DateTime<Utc> {
        self.0.updated_at
    }

    /// Its last transitions, oldest first, at most 64; `case.history` has them all.
    async fn history(&self) -> Vec<TransitionEvent> {
        TransitionEvent::of(&self.0)
    }

    /// How many transitions it has passed in all.
    async fn history_total(&self) -> i32 {
        int(self.0.history_total)
    }

    /// The log sequence of the record that made this version of the token. To expect a
    /// revision of a case in a mutation, take `case.revision`.
    async fn revision(&self) -> Sequence {
        Sequence(self.0.nats_sequence)
    }

    /// The same as `revision`, by its NATS name.
    async fn nats_sequence(&self) -> Sequence {
        Sequence(self.0.nats_sequence)
    }

    /// When the server stored the message at `natsSubject` that holds this version of the
    /// token, by the server's clock: the same for every way of reading it. Where the token was
    /// not read from that message, as in the answer of a mutation, it is looked up. Null once
    /// the token has changed or is gone, and while a message that was lost in a crash is not
    /// yet mended; `time` of an event says when the log stored the change.
    async fn nats_timestamp(&self, ctx: &Context<'_>) -> Result<Option<DateTime<Utc>>> {
        Ok(cases(ctx).stored_at(&self.0).await?)
    }

    /// The subject that holds the token.
    async fn nats_subject(&self) -> &str {
        &self.0.nats_subject
    }

    /// The case it belongs to, as it is now.
    async fn case(&self, ctx: &Context<'_>) -> Result<Case> {
        Ok(Case(cases(ctx).case(&self.0.workflow, &self.0.case).await?))
    }

    /// Its workflow, in the latest version. `case.workflow` is the version that the case runs.
    async fn workflow(&self, ctx: &Context<'_>) -> Result<Workflow> {
        Ok(Workflow(cases(ctx).workflow(&self.0.workflow).await?))
    }
}

/// One transition that a token passed.
pub struct TransitionEvent(models::Passed);

/// One transition that a token passed.
#[Object]
impl TransitionEvent {
    /// The place it came from.
    async fn from(&self) -> ID {
        ID::from(&self.0.from)
    }

    /// The place it went to.
    async fn to(&self) -> ID {
        ID::from(&self.0.to)
    }

    /// The id of the transition that fired.
    async fn transition(&self) -> ID {
        ID::from(&self.0.transition)
    }

    /// When, by the clock of the process that decided it.
    async fn time(&self) -> DateTime<Utc> {
        self.0.time
    }

    /// Who asked for it.
    async fn triggered_by(&self) -> Option<&str> {
        self.0.triggered_by.as_deref()
    }

    /// The log sequence of the firing.
    async fn sequence(&self) -> Sequence {
        Sequence(self.0.sequence)
    }

    /// What the caller noted about it.
    async fn metadata(&self) -> Json<&Map<String, Value>> {
        Json(&self.0.metadata)
    }
}

impl TransitionEvent {
    /// The transitions that a token carries.
    pub fn of(token: &models::Token) -> Vec<Self> {
        token.history.iter().cloned().map(Self).collect()
    }
}
