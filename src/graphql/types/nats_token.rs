//! Tokens with what NATS knows about them.

use std::sync::Arc;

use async_graphql::{ID, Json, Object};
use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{Token, TransitionEvent};
use crate::{
    graphql::scalars::{Sequence, int},
    models,
};

/// A token with its NATS metadata, none of which is ever null here.
pub struct NatsToken {
    token: Arc<models::Token>,
    stored_at: DateTime<Utc>,
}

impl NatsToken {
    /// A token that the server stored at `stored_at`.
    pub fn new(token: Arc<models::Token>, stored_at: DateTime<Utc>) -> Self {
        Self { token, stored_at }
    }
}

/// A token with its NATS metadata, none of which is ever null here.
#[Object]
impl NatsToken {
    /// The token's id.
    async fn id(&self) -> ID {
        ID::from(&self.token.id)
    }

    /// The workflow it runs in.
    async fn workflow_id(&self) -> ID {
        ID::from(&self.token.workflow)
    }

    /// The case it belongs to.
    async fn case_id(&self) -> ID {
        ID::from(&self.token.case)
    }

    /// The place that holds it.
    async fn place_id(&self) -> ID {
        ID::from(&self.token.place)
    }

    /// What it carries.
    async fn data(&self) -> Json<&Value> {
        Json(&self.token.data)
    }

    /// The log sequence of the record that made this version of the token.
    async fn nats_sequence(&self) -> Sequence {
        Sequence(self.token.nats_sequence)
    }

    /// When the server stored it, by the server's clock.
    async fn nats_timestamp(&self) -> DateTime<Utc> {
        self.stored_at
    }

    /// The subject that holds the token.
    async fn nats_subject(&self) -> &str {
        &self.token.nats_subject
    }

    /// Its last transitions, oldest first, at most 64.
    async fn transition_history(&self) -> Vec<TransitionEvent> {
        TransitionEvent::of(&self.token)
    }

    /// How many transitions it has passed in all.
    async fn transition_history_total(&self) -> i32 {
        int(self.token.history_total)
    }

    /// The token with everything else.
    async fn token(&self) -> Token {
        Token(self.token.clone())
    }
}
