//! Tokens with their NATS metadata.

use async_graphql::{Context, ID, Json, Object, Result};
use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{Token, TransitionEvent};
use crate::{
    graphql::{
        global::GlobalId,
        scalars::{Sequence, int},
        work::joins,
    },
    models,
};

/// A token with its NATS metadata.
pub(crate) struct NatsToken(Token);

impl From<Token> for NatsToken {
    fn from(token: Token) -> Self {
        Self(token)
    }
}

impl NatsToken {
    fn token(&self) -> &models::Token {
        self.0.token()
    }
}

/// A token with its NATS metadata.
#[Object]
impl NatsToken {
    /// An id that is unique across everything.
    pub async fn id(&self) -> ID {
        let (workflow, token) = (self.token().workflow.clone(), self.token().id.clone());
        GlobalId::NatsToken(workflow, token, self.0.then()).into()
    }

    /// The token's own id, unique across workflows.
    async fn token_id(&self) -> ID {
        ID::from(&self.token().id)
    }

    /// The workflow it runs in.
    async fn workflow_id(&self) -> ID {
        ID::from(&self.token().workflow)
    }

    /// The case it belongs to.
    async fn case_id(&self) -> ID {
        ID::from(&self.token().case)
    }

    /// The place that holds it.
    async fn place_id(&self) -> ID {
        ID::from(&self.token().place)
    }

    /// The data that it carries.
    async fn data(&self) -> Json<&Value> {
        Json(&self.token().data)
    }

    /// The log sequence of the record that made this version of the token.
    async fn nats_sequence(&self) -> Sequence {
        self.token().nats_sequence.into()
    }

    /// The time at which the server stored the message at `natsSubject` that holds this version of
    /// the token, by the server's clock; the same as `token.natsTimestamp`. Null only if the token
    /// was changed again in between, or if that message was lost in a crash and is not yet mended.
    async fn nats_timestamp(&self, ctx: &Context<'_>) -> Result<Option<DateTime<Utc>>> {
        Ok(joins::stored_at(ctx, self.0.token()).await?)
    }

    /// The subject that holds the token.
    async fn nats_subject(&self, ctx: &Context<'_>) -> String {
        self.0.subject(ctx)
    }

    /// Its last transitions, oldest first, at most 64.
    async fn transition_history(&self) -> Vec<TransitionEvent> {
        TransitionEvent::of(self.token())
    }

    /// Number of transitions it has passed in all.
    async fn transition_history_total(&self) -> i32 {
        int(self.token().history_total)
    }

    /// True if it is alive: `token.live`.
    async fn live(&self) -> bool {
        self.0.is_live()
    }

    /// True if the mutation that it answers had happened before. Null in a query.
    async fn repeated(&self) -> Option<bool> {
        self.0.is_repeated()
    }

    /// The token with everything else.
    #[graphql(name = "token")]
    async fn whole(&self) -> Token {
        self.0.clone()
    }
}
