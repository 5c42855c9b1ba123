//! Firings.

use async_graphql::{Context, ID, Object, Result};
use chrono::{DateTime, Utc};

use super::{Case, CaseEvent, Token};
use crate::{graphql::scalars::Sequence, models::TransitionId, petrel::Changed};

/// A transition that fired.
pub(crate) struct Firing {
    changed: Changed,
    event: CaseEvent,
    transition: TransitionId,
}

impl Firing {
    /// A firing of `transition`, by the change that it made.
    pub(crate) fn new(changed: Changed, transition: TransitionId) -> Self {
        Self { event: CaseEvent::of(&changed), changed, transition }
    }
}

/// A transition that fired.
#[Object]
impl Firing {
    /// The first token that the transition gave: of one with one output, the one. If immediate
    /// firings took it in the same record, the first of those that came of it. Null if the request was
    /// a repeated one and the token is gone since.
    async fn token(&self) -> Option<Token> {
        let answer = self.changed.answer(None)?;
        self.changed.alive(&answer.id).cloned().map(Token::from)
    }

    /// The tokens it made. If the request was a repeated one, those that are still alive, as they
    /// are now; `event.produced` has all of them as they were then.
    async fn tokens(&self) -> Vec<Token> {
        self.changed.tokens.iter().cloned().map(Token::from).collect()
    }

    /// The case after it, or after later changes if the request was a repeated one.
    async fn case(&self) -> Case {
        Case::of(&self.changed)
    }

    /// The log sequence of its record.
    async fn sequence(&self) -> Sequence {
        self.changed.record.sequence.into()
    }

    /// The time at which the server stored its record, by the server's clock.
    async fn time(&self, ctx: &Context<'_>) -> Result<DateTime<Utc>> {
        self.event.time(ctx).await
    }

    /// The id of the attempt. Repeat a mutation with it, and it still happens once.
    async fn firing_id(&self) -> ID {
        ID::from(&self.changed.record.value.firing)
    }

    /// The transition that fired.
    async fn transition_id(&self) -> ID {
        ID::from(&self.transition)
    }

    /// True if it had happened before, under the same firing id.
    async fn repeated(&self) -> bool {
        self.changed.repeated
    }

    /// Its record in the log.
    async fn event(&self) -> CaseEvent {
        self.event.clone()
    }
}
