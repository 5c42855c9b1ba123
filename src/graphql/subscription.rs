//! Subscriptions: the log, live.

use std::sync::Arc;

use async_graphql::{Context, ID, Result, Subscription};
use futures::{Stream, StreamExt, future, stream::BoxStream};

use crate::graphql::{
    query_work::queue,
    request::arguments::{id, id_in, located, optional_id},
    scalars::Sequence,
    types::{CaseEvent, IncidentEvent, Token, WorkItemEvent, petrel},
};
use crate::{
    models::{CaseId, LogSequence, Record, Stored, TokenId, WorkflowId},
    petrel::{Error, OpenEvent, OpenPart, Petrel},
    storage::{Consistency, LogScope, TokenScope},
};

/// The root of subscriptions.
pub(super) struct Subscription;

/// Live changes, each once and in order, across lost connections to the NATS server too. A
/// record that can't be read is an error in its payload, and the stream goes on.
#[Subscription]
impl Subscription {
    /// A token as it is now, and then each time that it has changed. Completes when the token
    /// is consumed or removed. `NOT_FOUND` if it is not alive.
    async fn token_updates(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The token.")] token_id: ID,
        #[graphql(desc = "The token's workflow; it is found by the token's id where absent.")]
        workflow_id: Option<ID>,
        #[graphql(desc = "Only changes from this log sequence on, without the token as it is \
                          now: to go on where a subscription broke off, the last revision \
                          seen plus one. With workflowId, a token that was consumed \
                          meanwhile is followed to its end.")]
        from_sequence: Option<Sequence>,
    ) -> Result<BoxStream<'static, Result<Token>>> {
        let workflow = optional_id("workflowId", workflow_id.as_ref())?;
        let (workflow, token) = located(workflow, "tokenId", &token_id)?;
        let from = from_sequence.map(Sequence::begin);
        Ok(token_updates(petrel(ctx), workflow, token, from).await?)
    }

    /// The changes of the cases of a workflow. `NOT_FOUND` if the workflow does not exist.
    async fn workflow_events(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The workflow.")] workflow_id: ID,
        #[graphql(desc = "The first log sequence to give; only new ones where absent.")]
        from_sequence: Option<Sequence>,
    ) -> Result<impl Stream<Item = Result<CaseEvent>> + use<>> {
        let workflow: WorkflowId = id("workflowId", &workflow_id)?;
        let petrel = petrel(ctx);
        petrel.workflow(&workflow).await?;
        Ok(events(petrel, LogScope::Workflow(workflow), from_sequence).await?)
    }

    /// The changes of a case. `NOT_FOUND` if the case does not exist.
    async fn case_events(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The workflow.")] workflow_id: ID,
        #[graphql(desc = "The case.")] case_id: ID,
        #[graphql(desc = "The first log sequence to give; only new ones where absent.")]
        from_sequence: Option<Sequence>,
    ) -> Result<impl Stream<Item = Result<CaseEvent>> + use<>> {
        let workflow: WorkflowId = id("workflowId", &workflow_id)?;
        let case: CaseId = id_in(&workflow, "caseId", &case_id)?;
        let petrel = petrel(ctx);
        let (place, of) = (None, Some(case.clone()));
        petrel.must_exist(&TokenScope { workflow: workflow.clone(), place, case: of }).await?;
        Ok(events(petrel, LogScope::Case(workflow, case), from_sequence).await?)
    }

    /// The changes of work items: of all cases, of a workflow, or of a queue. `NOT_FOUND` if the workflow does
    /// not exist.
    async fn work_item_events(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only those of this workflow.")] workflow_id: Option<ID>,
        #[graphql(desc = "Only those of this queue.")] queue_id: Option<ID>,
        #[graphql(desc = "The first log sequence to give; only new ones where absent.")]
        from_sequence: Option<Sequence>,
    ) -> Result<impl Stream<Item = Result<WorkItemEvent>> + use<>> {
        let queue = queue_id.map(|id| queue("queueId", &id)).transpose()?;
        let events = open_events(ctx, workflow_id, from_sequence).await?;
        let is_of = move |event: &OpenEvent| match &event.part {
            OpenPart::Item(item) => queue.as_ref().is_none_or(|queue| item.queue == *queue),
            OpenPart::Incident(_) => false,
        };
        Ok(events.filter_map(move |event| {
            future::ready(match event {
                Ok(event) if is_of(&event) => WorkItemEvent::of(event).map(Ok),
                Ok(_) => None,
                Err(error) => Some(Err(error.into())),
            })
        }))
    }

    /// The changes of incidents: of all cases, or of a workflow. `NOT_FOUND` if the workflow does not exist.
    async fn incident_events(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only those of this workflow.")] workflow_id: Option<ID>,
        #[graphql(desc = "The first log sequence to give; only new ones where absent.")]
        from_sequence: Option<Sequence>,
    ) -> Result<impl Stream<Item = Result<IncidentEvent>> + use<>> {
        let events = open_events(ctx, workflow_id, from_sequence).await?;
        Ok(events.filter_map(|event| {
            future::ready(match event {
                Ok(event) => IncidentEvent::of(event).map(Ok),
                Err(error) => Some(Err(error.into())),
            })
        }))
    }
}

async fn open_events(
    ctx: &Context<'_>,
    workflow_id: Option<ID>,
    from: Option<Sequence>,
) -> Result<BoxStream<'static, Result<OpenEvent, Error>>> {
    let workflow: Option<WorkflowId> = optional_id("workflowId", workflow_id.as_ref())?;
    let petrel = petrel(ctx);
    if let Some(workflow) = &workflow {
        petrel.workflow(workflow).await?;
    }
    Ok(petrel.watch_open(workflow, from.map(|from| from.begin().into())).await?)
}

async fn events(
    petrel: &Petrel,
    scope: LogScope,
    from: Option<Sequence>,
) -> Result<BoxStream<'static, Result<CaseEvent>>, Error> {
    let records = petrel.watch(scope, from.map(|from| from.begin().into())).await?;
    Ok(records.map(|record| Ok(record.map(CaseEvent::from)?)).boxed())
}

/// The stream behind `tokenUpdates`.
///
/// The watch begins right after the revision that was read, in the log and not in time, so
/// nothing can fall between the read and the watch.
async fn token_updates(
    petrel: &Petrel,
    workflow: Option<WorkflowId>,
    token: TokenId,
    from: Option<LogSequence>,
) -> Result<BoxStream<'static, Result<Token>>, Error> {
    let found = petrel.token(workflow.as_ref(), &token, Consistency::Strong).await;
    let now = match (found, workflow, from) {
        (Ok(now), ..) => now,
        (Err(Error::NotFound(_)), Some(workflow), Some(from)) => {
            return ended_token(petrel, workflow, token, from).await;
        }
        (Err(error), ..) => return Err(error),
    };
    let scope = LogScope::Case(now.workflow.clone(), now.case.clone());
    let records = petrel
        .watch(scope, Some(from.unwrap_or(LogSequence::after(now.nats_sequence)).into()))
        .await?;
    let changes = Changes { token, records, end: None, over: false }.stream();
    if from.is_some() {
        return Ok(changes);
    }
    Ok(futures::stream::once(future::ready(Ok(Token::from(now)))).chain(changes).boxed())
}

/// The changes from `from` on of a token that was not found alive.
async fn ended_token(
    petrel: &Petrel,
    workflow: WorkflowId,
    token: TokenId,
    from: LogSequence,
) -> Result<BoxStream<'static, Result<Token>>, Error> {
    let (Some((case, _)), Some(number)) = (token.case(), token.number()) else {
        return Err(Error::no_token(&token));
    };
    let now = petrel.case(&workflow, &case).await?;
    let made = (1..=now.tokens_made).contains(&number);
    if !made || token != TokenId::of_case(&workflow.tag(), &case, number) {
        return Err(Error::no_token(&token));
    }
    // It may have been made since it was looked for.
    let end = now.marking.entry(&token).is_none().then_some(now.sequence);
    if end.is_some_and(|end| from > end) {
        return Ok(futures::stream::empty().boxed());
    }
    let records = petrel.watch(LogScope::Case(workflow, case), Some(from.into())).await?;
    Ok(Changes { token, records, end, over: false }.stream())
}

/// The forms of a token after each record that made or changed it, until one took it away.
struct Changes {
    token: TokenId,
    records: BoxStream<'static, Result<Arc<Stored<Record>>, Error>>,
    /// The last record to look at; all where absent.
    end: Option<LogSequence>,
    over: bool,
}

impl Changes {
    fn stream(self) -> BoxStream<'static, Result<Token>> {
        futures::stream::unfold(self, Self::next).boxed()
    }

    async fn next(mut self) -> Option<(Result<Token>, Self)> {
        while !self.over {
            let record = match self.records.next().await? {
                Ok(record) => record,
                Err(error) => return Some((Err(error.into()), self)),
            };
            // Noticed here and not at the record after it, which may never come.
            self.over = self.end.is_some_and(|end| record.sequence >= end);
            let touched = &record.value;
            if let Some(after) = touched.produced.iter().find(|after| after.id == self.token) {
                return Some((Ok(Token::from(after.clone())), self));
            }
            self.over |= touched.left().into_iter().any(|taken| taken.token == self.token);
        }
        None
    }
}
