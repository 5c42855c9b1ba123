//! Queries.

use async_graphql::{Context, ID, Object, Result};

use super::{
    arguments::{consistency, id, optional_id, page, page_size, position},
    connection::{Connection, Position, connection, of_items},
    input::CreateWorkflowInput,
    types::{
        Case, CaseEvent, CaseStatus, Explanation, Health, Marking, NatsToken, Token, Transition,
        Workflow, WorkflowAnalysis, cases,
    },
};
use crate::{
    cases::Error,
    models::{CaseId, TokenId, WorkflowId},
    storage::TokenScope,
};

/// The root of queries.
pub struct Query;

/// Reads. What is asked for by its id is null when it does not exist; what hangs on something
/// that does not exist is an error with the code `NOT_FOUND`.
#[Object]
impl Query {
    /// A workflow in its latest version.
    async fn workflow(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The workflow.")] id: ID,
    ) -> Result<Option<Workflow>> {
        let id = super::arguments::id("id", &id)?;
        Ok(existing(cases(ctx).workflow(&id).await)?.map(Workflow::of))
    }

    /// All workflows in their latest versions, ordered by id.
    async fn workflows(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many at most, 1 to 1000; 100 where absent.")] first: Option<i32>,
        #[graphql(desc = "Only those after this cursor.")] after: Option<String>,
    ) -> Result<Connection<Workflow, WorkflowId>> {
        let start = position::<Position<WorkflowId>>(after.as_deref())?.map(|at| at.0);
        let (found, has_next) = cases(ctx).workflows(page_size(first)?, start.as_ref()).await?;
        let items =
            found.into_iter().map(|found| (found.definition.id.clone(), Workflow::of(found)));
        Ok(of_items(items, start.is_some(), has_next))
    }

    /// A live token by its id, whatever its workflow.
    async fn token(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The token.")] id: ID,
        #[graphql(desc = "Whether to see every change that was answered before this read \
                          began. Otherwise, and where absent, the answer may lag by moments, \
                          and is faster.")]
        strong: Option<bool>,
    ) -> Result<Option<Token>> {
        let id = super::arguments::id("id", &id)?;
        let found = cases(ctx).token(None, &id, consistency(strong)).await;
        Ok(existing(found)?.map(Token::from))
    }

    /// The live tokens of a workflow, of a place or of a case, ordered by their last change.
    async fn tokens(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The workflow.")] workflow_id: ID,
        #[graphql(desc = "Only those in this place.")] place_id: Option<ID>,
        #[graphql(desc = "Only those of this case.")] case_id: Option<ID>,
        #[graphql(desc = "How many at most, 1 to 1000; 100 where absent.")] first: Option<i32>,
        #[graphql(desc = "Only those after this cursor.")] after: Option<String>,
    ) -> Result<Connection<Token>> {
        let scope = TokenScope {
            workflow: id("workflowId", &workflow_id)?,
            place: optional_id("placeId", place_id.as_ref())?,
            case: optional_id("caseId", case_id.as_ref())?,
        };
        let found = cases(ctx).tokens(&scope, page(first, after.as_deref())?).await?;
        Ok(connection(found, after.is_some(), Token::from))
    }

    /// The live tokens of a place, ordered by their last change.
    async fn tokens_in_place(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The workflow.")] workflow_id: ID,
        #[graphql(desc = "The place.")] place_id: ID,
        #[graphql(desc = "How many at most, 1 to 1000; 100 where absent.")] first: Option<i32>,
        #[graphql(desc = "Only those after this cursor.")] after: Option<String>,
    ) -> Result<Connection<Token>> {
        self.tokens(ctx, workflow_id, Some(place_id), None, first, after).await
    }

    /// A live token of a workflow.
    async fn find_token(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The workflow.")] workflow_id: ID,
        #[graphql(desc = "The token.")] token_id: ID,
        #[graphql(desc = "Whether to see every change that was answered before this read \
                          began. Otherwise, and where absent, the answer may lag by moments, \
                          and is faster.")]
        strong: Option<bool>,
    ) -> Result<Option<Token>> {
        let workflow: WorkflowId = id("workflowId", &workflow_id)?;
        let token = id("tokenId", &token_id)?;
        let found = cases(ctx).token(Some(&workflow), &token, consistency(strong)).await;
        Ok(existing(found)?.map(Token::from))
    }

    /// A live token with its NATS metadata: sequence, server time and subject.
    async fn nats_token(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The token.")] id: ID,
        #[graphql(desc = "Whether to see every change that was answered before this read \
                          began. Otherwise, and where absent, the answer may lag by moments, \
                          and is faster.")]
        strong: Option<bool>,
    ) -> Result<Option<NatsToken>> {
        let id = super::arguments::id("id", &id)?;
        let found = cases(ctx).token(None, &id, consistency(strong)).await;
        Ok(existing(found)?.map(|token| NatsToken::from(Token::from(token))))
    }

    /// The transitions that could fire now and would take this token.
    async fn available_transitions(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The token.")] token_id: ID,
    ) -> Result<Vec<Transition>> {
        let token: TokenId = id("tokenId", &token_id)?;
        let found = cases(ctx).available_transitions(None, &token).await?;
        Ok(found.into_iter().map(Transition).collect())
    }

    /// A case.
    async fn case(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The workflow.")] workflow_id: ID,
        #[graphql(desc = "The case.")] id: ID,
    ) -> Result<Option<Case>> {
        let (workflow, case) = case_of(&workflow_id, "id", &id)?;
        Ok(existing(cases(ctx).case(&workflow, &case).await)?.map(Case::from))
    }

    /// The cases of a workflow in the order of their creation.
    async fn cases(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The workflow.")] workflow_id: ID,
        #[graphql(desc = "Only those with this status.")] status: Option<CaseStatus>,
        #[graphql(desc = "How many at most, 1 to 1000; 100 where absent.")] first: Option<i32>,
        #[graphql(desc = "Only those after this cursor.")] after: Option<String>,
    ) -> Result<Connection<Case>> {
        let workflow = id("workflowId", &workflow_id)?;
        let page = page(first, after.as_deref())?;
        let found = cases(ctx).cases(&workflow, status.map(Into::into), page).await?;
        Ok(connection(found, after.is_some(), Case::from))
    }

    /// Which tokens of a case are where.
    async fn marking(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The workflow.")] workflow_id: ID,
        #[graphql(desc = "The case.")] case_id: ID,
    ) -> Result<Marking> {
        let (workflow, case) = case_of(&workflow_id, "caseId", &case_id)?;
        Ok(Marking::of(&*cases(ctx).case(&workflow, &case).await?))
    }

    /// For every transition of a case: enabled, or exactly why not.
    async fn explain(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The workflow.")] workflow_id: ID,
        #[graphql(desc = "The case.")] case_id: ID,
    ) -> Result<Explanation> {
        let (workflow, case) = case_of(&workflow_id, "caseId", &case_id)?;
        Ok(cases(ctx).explain(&workflow, &case).await?.into())
    }

    /// The records of a case, oldest first.
    async fn history(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The workflow.")] workflow_id: ID,
        #[graphql(desc = "The case.")] case_id: ID,
        #[graphql(desc = "How many at most, 1 to 1000; 100 where absent.")] first: Option<i32>,
        #[graphql(desc = "Only those after this cursor.")] after: Option<String>,
    ) -> Result<Connection<CaseEvent>> {
        let (workflow, case) = case_of(&workflow_id, "caseId", &case_id)?;
        let page = page(first, after.as_deref())?;
        let found = cases(ctx).history(&workflow, &case, page).await?;
        Ok(connection(found, after.is_some(), CaseEvent::from))
    }

    /// Checks a definition as `createWorkflow` does, and its soundness, and stores nothing.
    /// Takes the server's time budget at most.
    async fn check_workflow(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The definition.")] input: CreateWorkflowInput,
    ) -> Result<WorkflowAnalysis> {
        let (definition, _) = input.into_request()?;
        Ok(WorkflowAnalysis::from(&cases(ctx).check_workflow(&definition).await?))
    }

    /// How the store does. Answers while the NATS server is away, too.
    async fn health(&self, ctx: &Context<'_>) -> Health {
        cases(ctx).health().await.into()
    }
}

/// What was found; nothing if the store says that it does not exist.
fn existing<T>(found: Result<T, Error>) -> Result<Option<T>, Error> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

fn case_of(workflow: &ID, argument: &str, case: &ID) -> Result<(WorkflowId, CaseId), Error> {
    Ok((id("workflowId", workflow)?, id(argument, case)?))
}
