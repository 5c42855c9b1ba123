//! Tokens.

use std::sync::Arc;

use async_graphql::{Context, ID, Json, Object, Result};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::{Case, Workflow, petrel};
use crate::{
    graphql::{
        global::GlobalId,
        scalars::{Sequence, int},
        work::joins,
    },
    models::{self, LogSequence, PlaceId},
    petrel::{Changed, Error},
};

/// A token: carries data from place to place. It belongs to one case.
#[derive(Clone)]
pub(crate) struct Token {
    token: Arc<models::Token>,
    /// The state of the answer to a mutation: repeated or not, the token alive or not.
    answer: Option<Answer>,
    /// The log sequence of the record after which it was so, where that is not now.
    then: Option<LogSequence>,
}

#[derive(Debug, Clone, Copy)]
struct Answer {
    repeated: bool,
    live: bool,
}

impl From<Arc<models::Token>> for Token {
    fn from(token: Arc<models::Token>) -> Self {
        Self { token, answer: None, then: None }
    }
}

impl From<models::Token> for Token {
    fn from(token: models::Token) -> Self {
        Arc::new(token).into()
    }
}

impl Token {
    /// The first token of a change that makes or changes one, of several in `place` the first there,
    /// or one that came of it by immediate firings: as it is now, or as it was then if the change had
    /// happened before and the token is gone.
    pub(crate) fn of(changed: &Changed, place: Option<&PlaceId>) -> Result<Self, Error> {
        let made = changed.answer(place).ok_or_else(|| Error::BrokenLog {
            workflow: changed.case.workflow.clone(),
            case: changed.case.id.clone(),
            sequence: Some(changed.record.sequence),
            reason: "it made no token".to_owned(),
        })?;
        let live = changed.alive(&made.id).cloned();
        let answer = Some(Answer { repeated: changed.repeated, live: live.is_some() });
        let then = live.is_none().then_some(changed.record.sequence);
        let token = live.unwrap_or_else(|| Arc::new(made.clone()));
        Ok(Self { token, answer, then })
    }

    /// A token as it was after the record at a log sequence.
    pub(crate) fn after(token: models::Token, sequence: LogSequence) -> Self {
        Self { then: Some(sequence), ..token.into() }
    }

    /// The subject that holds it.
    pub(super) fn subject(&self, ctx: &Context<'_>) -> String {
        let token = &*self.token;
        petrel(ctx).storage().token_subject(&token.workflow, &token.place, &token.id)
    }

    /// The log sequence of the record after which it was so, where that is not now.
    pub(super) fn then(&self) -> Option<LogSequence> {
        self.then
    }

    pub(super) fn is_live(&self) -> bool {
        self.answer.is_none_or(|answer| answer.live)
    }

    pub(super) fn is_repeated(&self) -> Option<bool> {
        self.answer.map(|answer| answer.repeated)
    }

    /// The token itself.
    pub(crate) fn token(&self) -> &Arc<models::Token> {
        &self.token
    }
}

/// A token: carries data from place to place. It belongs to one case.
#[Object]
impl Token {
    /// An id that is unique across everything. As it was after a record, in the log, a token has
    /// another one than it has now.
    pub async fn id(&self) -> ID {
        let (workflow, token) = (self.token.workflow.clone(), self.token.id.clone());
        GlobalId::Token(workflow, token, self.then).into()
    }

    /// The token's own id, unique across workflows; the same in all its versions.
    async fn token_id(&self) -> ID {
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

    /// The data that it carries.
    async fn data(&self) -> Json<&Value> {
        Json(&self.token.data)
    }

    /// Its owner's notes about it.
    async fn metadata(&self) -> Json<&Map<String, Value>> {
        Json(&self.token.metadata)
    }

    /// The time at which it was made, by the clock of the process that decided it.
    async fn created_at(&self) -> DateTime<Utc> {
        self.token.created_at
    }

    /// The time of its last change, by the clock of the process that decided it.
    async fn updated_at(&self) -> DateTime<Utc> {
        self.token.updated_at
    }

    /// Its last transitions, oldest first, at most 64; `case.history` has them all.
    async fn history(&self) -> Vec<TransitionEvent> {
        TransitionEvent::of(&self.token)
    }

    /// Number of transitions it has passed in all.
    async fn history_total(&self) -> i32 {
        int(self.token.history_total)
    }

    /// The log sequence of the record that made this version of the token. To expect a
    /// revision of a case in a mutation, take `case.revision`.
    async fn revision(&self) -> Sequence {
        self.token.nats_sequence.into()
    }

    /// The same as `revision`, by its NATS name.
    async fn nats_sequence(&self) -> Sequence {
        self.token.nats_sequence.into()
    }

    /// The time at which the server stored the message at `natsSubject` that holds this version of
    /// the token, by the server's clock: the same for every way of reading it. Where the token was
    /// not read from that message, as in the answer of a mutation, it is looked up. Null once the
    /// token has changed or is gone, and while a message that was lost in a crash is not yet
    /// mended; `time` of an event is that of the change in the log.
    async fn nats_timestamp(&self, ctx: &Context<'_>) -> Result<Option<DateTime<Utc>>> {
        Ok(joins::stored_at(ctx, &self.token).await?)
    }

    /// The subject that holds the token.
    async fn nats_subject(&self, ctx: &Context<'_>) -> String {
        self.subject(ctx)
    }

    /// True if it is alive. False only in the answer to a mutation that had happened before, of a
    /// token that is gone by now: the rest is as it was then.
    async fn live(&self) -> bool {
        self.is_live()
    }

    /// True if the mutation that it answers had happened before, under the same id. Null in a
    /// query.
    async fn repeated(&self) -> Option<bool> {
        self.is_repeated()
    }

    /// The case it belongs to, as it is now.
    async fn case(&self, ctx: &Context<'_>) -> Result<Case> {
        Ok(joins::case(ctx, &self.token.workflow, &self.token.case).await?.into())
    }

    /// Its workflow, in the latest version. `case.workflow` is the version that the case runs.
    async fn workflow(&self, ctx: &Context<'_>) -> Result<Workflow> {
        Ok(Workflow::of(joins::workflow(ctx, &self.token.workflow).await?))
    }
}

/// One transition that a token passed.
pub(crate) struct TransitionEvent(models::Passed);

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

    /// The time, by the clock of the process that decided it.
    async fn time(&self) -> DateTime<Utc> {
        self.0.time
    }

    /// The name of the caller.
    async fn triggered_by(&self) -> Option<&str> {
        self.0.triggered_by.as_deref()
    }

    /// The log sequence of the firing.
    async fn sequence(&self) -> Sequence {
        self.0.sequence.into()
    }

    /// The caller's notes about it.
    async fn metadata(&self) -> Json<&Map<String, Value>> {
        Json(&self.0.metadata)
    }
}

impl TransitionEvent {
    /// The transitions that a token carries.
    pub(crate) fn of(token: &models::Token) -> Vec<Self> {
        token.history.iter().cloned().map(Self).collect()
    }
}
