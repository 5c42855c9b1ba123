//! Everything that has an id of its own across everything.

use async_graphql::{Context, ID, Interface};

use super::{Case, NatsToken, Place, Token, Transition, Workflow, places, transitions};
use crate::{
    engine::produced,
    graphql::{
        global::GlobalId,
        work::joins::{self, Found},
    },
    models::{self, LogSequence, TokenId, WorkflowId},
    petrel::Error,
    storage::Consistency,
};

/// Something with an id that is unique across everything.
#[derive(Interface)]
#[graphql(field(name = "id", ty = "ID", desc = "An id that is unique across everything."))]
#[expect(clippy::large_enum_variant, reason = "there is one for each answer, for a moment")]
pub(crate) enum Node {
    /// A version of a workflow.
    Workflow(Workflow),
    /// A case.
    Case(Case),
    /// A token.
    Token(Token),
    /// A token with its NATS metadata.
    NatsToken(NatsToken),
    /// A place of a version of a workflow.
    Place(Place),
    /// A transition of a version of a workflow.
    Transition(Transition),
}

impl Node {
    /// The object that an id names, if it exists.
    pub(crate) async fn find(ctx: &Context<'_>, argument: &str, id: &ID) -> Found<Option<Self>> {
        let Ok(named) = id.parse::<GlobalId>() else {
            let reason = format!(
                "{:?} is no id that is unique across everything; take the `id` of what was read",
                id.chars().take(80).collect::<String>()
            );
            return Err(Error::argument(argument, reason).into());
        };
        match Self::look_up(ctx, named).await {
            Err(failure) if failure.is_not_found() => Ok(None),
            found => found,
        }
    }

    async fn look_up(ctx: &Context<'_>, named: GlobalId) -> Found<Option<Self>> {
        Ok(match named {
            GlobalId::Workflow(workflow, version) => {
                let stored = joins::workflow_at(ctx, &workflow, version).await?;
                Some(Self::Workflow(Workflow::of(stored)))
            }
            GlobalId::Case(workflow, case) => {
                Some(Self::Case(joins::case(ctx, &workflow, &case).await?.into()))
            }
            GlobalId::Token(workflow, token, then) => {
                find_token(ctx, &workflow, &token, then).await?.map(Self::Token)
            }
            GlobalId::NatsToken(workflow, token, then) => {
                let found = find_token(ctx, &workflow, &token, then).await?;
                found.map(|token| Self::NatsToken(token.into()))
            }
            GlobalId::Place(workflow, version, place) => {
                let stored = joins::workflow_at(ctx, &workflow, version).await?;
                let is_it = |of: &models::Place| of.id == place;
                let at = stored.definition.places.iter().position(is_it);
                at.and_then(|at| places(&stored).into_iter().nth(at)).map(Self::Place)
            }
            GlobalId::Transition(workflow, version, transition) => {
                let stored = joins::workflow_at(ctx, &workflow, version).await?;
                let is_it = |of: &&models::Transition| of.id == transition;
                let found = stored.definition.transitions.iter().find(is_it).cloned();
                transitions(&stored, found.into_iter().collect()).pop().map(Self::Transition)
            }
        })
    }
}

/// A token as it is, or as it was after the record at a log sequence.
async fn find_token(
    ctx: &Context<'_>,
    workflow: &WorkflowId,
    token: &TokenId,
    then: Option<LogSequence>,
) -> Found<Option<Token>> {
    let Some(then) = then else {
        let found = joins::token(ctx, Some(workflow), token, Consistency::Eventual).await?;
        return Ok(Some(found.into()));
    };
    let Some((case, _)) = token.case() else { return Ok(None) };
    let record = joins::look_up(ctx).await?.record(workflow, &case, then).await?;
    let found = produced(&record).find(|produced| produced.id == *token);
    Ok(found.map(|found| Token::after(found, then)))
}
