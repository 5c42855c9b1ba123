//! Queries.

use std::time::Duration;

use async_graphql::{Context, ID, Object, Result, SimpleObject};
use futures::future::try_join_all;

use crate::graphql::{
    connection::{Connection, Listing, connection, of_items},
    input::CreateWorkflowInput,
    query_work,
    request::arguments::{
        consistency, id, id_in, located, optional_id_in, page, page_size, position,
    },
    types::{
        Case, CaseConnection, CaseEvent, CaseStatus, Explanation, Health, Marking, NatsToken, Node,
        OpenIncident, OpenWorkItem, Queue, Token, Transition, Worker, Workflow, WorkflowAnalysis,
        history, petrel, transitions,
    },
    work::joins::{self, Found},
};
use crate::{
    models::{self, CaseId, TokenId, WorkflowId},
    petrel::Error,
    storage::{MAX_PAGE, TokenScope},
};

/// The longest time that one request may wait for a case, in milliseconds.
const LONGEST_WAIT: u64 = 60_000;

/// A case that was waited for.
#[derive(SimpleObject)]
struct AwaitedCase {
    /// True if it has ended; false if the time was over before that.
    ended: bool,
    /// The case as it is now.
    case: Case,
}

/// The root of queries.
pub(super) struct Query;

/// Reads. An object asked for by its id is null when it does not exist; a question about an object
/// that does not exist is an error with the code `NOT_FOUND`.
#[Object]
impl Query {
    /// An object by its `id`, which is unique across everything; null when it does not exist (any
    /// more).
    async fn node(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The `id` of what was read.")] id: ID,
    ) -> Result<Option<Node>> {
        Ok(Node::find(ctx, "id", &id).await?)
    }

    /// The same for several ids, in their order.
    async fn nodes(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The `id`s of what was read, at most 1000.")] ids: Vec<ID>,
    ) -> Result<Vec<Option<Node>>> {
        if ids.len() > MAX_PAGE {
            let reason = format!("has {} ids, and the most is {MAX_PAGE}", ids.len());
            return Err(Error::argument("ids", reason).into());
        }
        let find = |(at, id): (usize, ID)| async move {
            Node::find(ctx, &format!("ids[{at}]"), &id).await
        };
        Ok(try_join_all(ids.into_iter().enumerate().map(find)).await?)
    }

    /// A workflow in its latest version.
    async fn workflow(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The workflow.")] id: ID,
    ) -> Result<Option<Workflow>> {
        let id = crate::graphql::request::arguments::id("id", &id)?;
        Ok(existing(joins::workflow(ctx, &id).await)?.map(Workflow::of))
    }

    /// All workflows in their latest versions, ordered by id.
    async fn workflows(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Largest number of them, 1 to 1000; 100 where absent.")] first: Option<
            i32,
        >,
        #[graphql(desc = "Only those after this cursor.")] after: Option<String>,
    ) -> Result<Connection<Workflow, WorkflowId>> {
        let listing = Listing::new("workflows", &[]);
        let start = position::<WorkflowId>(&listing, after.as_deref())?;
        let first = page_size(first)?;
        let (found, has_next) = joins::look_up(ctx).await?.workflows(first, start.as_ref()).await?;
        joins::hold_definitions(ctx, &found).await;
        let items =
            found.into_iter().map(|found| (found.definition.id.clone(), Workflow::of(found)));
        Ok(of_items(&listing, items, start.is_some(), has_next))
    }

    /// A live token by its id, in any workflow.
    async fn token(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The token.")] id: ID,
        #[graphql(desc = "True to see every change that was answered before this read \
                          began. Otherwise, and where absent, the answer may lag by moments, \
                          and is faster.")]
        strong: Option<bool>,
    ) -> Result<Option<Token>> {
        let (workflow, id) = located(None, "id", &id)?;
        let found = joins::token(ctx, workflow.as_ref(), &id, consistency(strong)).await;
        Ok(existing(found)?.map(Token::from))
    }

    /// The live tokens of a workflow, of a place or of a case, ordered by their last change.
    async fn tokens(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The workflow.")] workflow_id: ID,
        #[graphql(desc = "Only those in this place.")] place_id: Option<ID>,
        #[graphql(desc = "Only those of this case.")] case_id: Option<ID>,
        #[graphql(desc = "Largest number of them, 1 to 1000; 100 where absent.")] first: Option<
            i32,
        >,
        #[graphql(desc = "Only those after this cursor.")] after: Option<String>,
    ) -> Result<Connection<Token>> {
        let workflow = id("workflowId", &workflow_id)?;
        let scope = TokenScope {
            place: optional_id_in(&workflow, "placeId", place_id.as_ref())?,
            case: optional_id_in(&workflow, "caseId", case_id.as_ref())?,
            workflow,
        };
        let place = scope.place.as_ref().map_or("", |place| place.as_str());
        let case = scope.case.as_ref().map_or("", |case| case.as_str());
        let listing = Listing::new("tokens", &[scope.workflow.as_str(), place, case]);
        let page = page(&listing, first, after.as_deref())?;
        let found = joins::look_up(ctx).await?.tokens(&scope, page).await?;
        joins::hold(ctx, found.items.iter().map(|(_, token)| token.memory()).sum()).await;
        if found.items.is_empty() {
            joins::look_up(ctx).await?.must_exist(&scope).await?;
        }
        Ok(connection(&listing, found, after.is_some(), Token::from))
    }

    /// The live tokens of a place, ordered by their last change.
    async fn tokens_in_place(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The workflow.")] workflow_id: ID,
        #[graphql(desc = "The place.")] place_id: ID,
        #[graphql(desc = "Largest number of them, 1 to 1000; 100 where absent.")] first: Option<
            i32,
        >,
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
        #[graphql(desc = "True to see every change that was answered before this read \
                          began. Otherwise, and where absent, the answer may lag by moments, \
                          and is faster.")]
        strong: Option<bool>,
    ) -> Result<Option<Token>> {
        let workflow: WorkflowId = id("workflowId", &workflow_id)?;
        let token = id_in(&workflow, "tokenId", &token_id)?;
        let found = joins::token(ctx, Some(&workflow), &token, consistency(strong)).await;
        Ok(existing(found)?.map(Token::from))
    }

    /// A live token with its NATS metadata: sequence, server time and subject.
    async fn nats_token(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The token.")] id: ID,
        #[graphql(desc = "True to see every change that was answered before this read \
                          began. Otherwise, and where absent, the answer may lag by moments, \
                          and is faster.")]
        strong: Option<bool>,
    ) -> Result<Option<NatsToken>> {
        let (workflow, id) = located(None, "id", &id)?;
        let found = joins::token(ctx, workflow.as_ref(), &id, consistency(strong)).await;
        Ok(existing(found)?.map(|token| NatsToken::from(Token::from(token))))
    }

    /// The transitions that could fire now and would take this token.
    async fn available_transitions(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The token.")] token_id: ID,
    ) -> Result<Vec<Transition>> {
        let (workflow, token) = located::<TokenId>(None, "tokenId", &token_id)?;
        let found = joins::look_up(ctx).await?;
        let (stored, found) = found.available_transitions(workflow.as_ref(), &token).await?;
        Ok(transitions(&stored, found))
    }

    /// A case.
    async fn case(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The workflow.")] workflow_id: ID,
        #[graphql(desc = "The case.")] id: ID,
    ) -> Result<Option<Case>> {
        let (workflow, case) = case_of(&workflow_id, "id", &id)?;
        Ok(existing(joins::case(ctx, &workflow, &case).await)?.map(Case::from))
    }

    /// A case when it has ended, or as it is when the time is over: see `ended`. It counts as a
    /// subscription among those that are under way.
    async fn await_case(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The workflow.")] workflow_id: ID,
        #[graphql(desc = "The case.")] id: ID,
        #[graphql(desc = "Longest wait in milliseconds, 0 to 60000.", default = 30_000)]
        within: i32,
    ) -> Result<AwaitedCase> {
        let (workflow, case) = case_of(&workflow_id, "id", &id)?;
        let limit = u64::try_from(within).ok().filter(|limit| *limit <= LONGEST_WAIT);
        let limit = limit.map(Duration::from_millis).ok_or_else(|| {
            let reason = format!("is {within}, and 0 to {LONGEST_WAIT} milliseconds may be waited");
            Error::argument("within", reason)
        })?;
        // It is large, and each field of the root would have room for it.
        let case = Box::pin(petrel(ctx).await_case(&workflow, &case, limit)).await?;
        joins::hold(ctx, case.memory()).await;
        Ok(AwaitedCase { ended: case.status.has_ended(), case: case.into() })
    }

    /// The cases of a workflow in the order of their creation.
    async fn cases(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The workflow.")] workflow_id: ID,
        #[graphql(desc = "Only those with this status.")] status: Option<CaseStatus>,
        #[graphql(desc = "Largest number of them, 1 to 1000; 100 where absent.")] first: Option<
            i32,
        >,
        #[graphql(desc = "Only those after this cursor.")] after: Option<String>,
    ) -> Result<CaseConnection> {
        let workflow: WorkflowId = id("workflowId", &workflow_id)?;
        let status = status.map(models::CaseStatus::from);
        let of = status.map_or("", models::CaseStatus::as_str);
        let listing = Listing::new("cases", &[workflow.as_str(), of]);
        let page = page(&listing, first, after.as_deref())?;
        let found = joins::look_up(ctx).await?.cases(&workflow, status, page).await?;
        joins::hold(ctx, found.cases.items.iter().map(|(_, case)| case.memory()).sum()).await;
        if found.end().is_none() {
            let scope = TokenScope { workflow, place: None, case: None };
            joins::look_up(ctx).await?.must_exist(&scope).await?;
        }
        Ok(CaseConnection::of(&listing, found, after.is_some()))
    }

    /// The marking of a case: its tokens by place.
    async fn marking(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The workflow.")] workflow_id: ID,
        #[graphql(desc = "The case.")] case_id: ID,
    ) -> Result<Marking> {
        let (workflow, case) = case_of(&workflow_id, "caseId", &case_id)?;
        Ok(Marking::of(&*joins::case(ctx, &workflow, &case).await?))
    }

    /// An explanation of every transition of a case: enabled, or each reason against it.
    async fn explain(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The workflow.")] workflow_id: ID,
        #[graphql(desc = "The case.")] case_id: ID,
    ) -> Result<Explanation> {
        let (workflow, case) = case_of(&workflow_id, "caseId", &case_id)?;
        Ok(joins::look_up(ctx).await?.explain(&workflow, &case).await?.into())
    }

    /// The records of a case, oldest first.
    async fn history(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The workflow.")] workflow_id: ID,
        #[graphql(desc = "The case.")] case_id: ID,
        #[graphql(desc = "Largest number of them, 1 to 1000; 100 where absent.")] first: Option<
            i32,
        >,
        #[graphql(desc = "Only those after this cursor.")] after: Option<String>,
    ) -> Result<Connection<CaseEvent>> {
        let (workflow, case) = case_of(&workflow_id, "caseId", &case_id)?;
        history(ctx, &workflow, &case, first, after).await
    }

    /// Checks a definition as `createWorkflow` does, and its soundness, and stores nothing.
    /// Takes the server's time budget at most.
    async fn check_workflow(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The definition.")] input: CreateWorkflowInput,
    ) -> Result<WorkflowAnalysis> {
        let (definition, _) = input.into_request()?;
        Ok(WorkflowAnalysis::from(&joins::look_up(ctx).await?.check_workflow(&definition).await?))
    }

    /// The open work items of all cases, of one workflow or one queue, about in the order in which they
    /// were opened. Each is as the log has it now; one that another process opened in the last second may be
    /// missing. `Case.workItems` has all of a case.
    async fn work_items(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only those of this workflow.")] workflow_id: Option<ID>,
        #[graphql(desc = "Only those of this queue.")] queue_id: Option<ID>,
        #[graphql(desc = "Largest number of them, 1 to 1000; 100 where absent.")] first: Option<
            i32,
        >,
        #[graphql(desc = "Only those after this cursor.")] after: Option<String>,
    ) -> Result<Connection<OpenWorkItem>> {
        // It is large, and each field of the root would have room for it.
        Box::pin(query_work::work_items(ctx, (workflow_id, queue_id), first, after)).await
    }

    /// The open incidents of all cases, or of one workflow, about in the order in which they began: what can't
    /// go on until a person acts. Otherwise as `workItems`.
    async fn incidents(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only those of this workflow.")] workflow_id: Option<ID>,
        #[graphql(desc = "Largest number of them, 1 to 1000; 100 where absent.")] first: Option<
            i32,
        >,
        #[graphql(desc = "Only those after this cursor.")] after: Option<String>,
    ) -> Result<Connection<OpenIncident>> {
        Box::pin(query_work::incidents(ctx, workflow_id, first, after)).await
    }

    /// The queues that have settings, work or had workers, in the order of their ids.
    async fn queues(&self, ctx: &Context<'_>) -> Result<Vec<Queue>> {
        Box::pin(query_work::queues(ctx)).await
    }

    /// The workers that answer now, in the order of their names, with what each of them does. They are asked,
    /// and one that does not answer within a moment is not among them.
    async fn workers(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only those that serve this queue.")] queue_id: Option<ID>,
    ) -> Result<Vec<Worker>> {
        Box::pin(query_work::workers(ctx, queue_id)).await
    }

    /// The health of the store. Answers while the NATS server is away, too.
    async fn health(&self, ctx: &Context<'_>) -> Health {
        petrel(ctx).health().await.into()
    }
}

/// The object that was found; nothing if the store says that it does not exist.
fn existing<T>(found: Found<T>) -> Found<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(failure) if failure.is_not_found() => Ok(None),
        Err(failure) => Err(failure),
    }
}

fn case_of(workflow: &ID, argument: &str, case: &ID) -> Result<(WorkflowId, CaseId), Error> {
    let workflow = id("workflowId", workflow)?;
    let case = id_in(&workflow, argument, case)?;
    Ok((workflow, case))
}
