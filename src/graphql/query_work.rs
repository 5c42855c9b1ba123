//! Queries about work over all cases.

use async_graphql::{Context, ID, Result};

use crate::{
    graphql::{
        connection::{Connection, Listing, connection},
        request::arguments::{optional_id, page},
        types::{OpenIncident, OpenWorkItem, Queue, Worker},
        work::joins,
    },
    models::{QueueId, WorkflowId},
    petrel::{Error, WorkFilter},
    storage::PresentWorker,
};

pub(super) async fn work_items(
    ctx: &Context<'_>,
    (workflow_id, queue_id): (Option<ID>, Option<ID>),
    first: Option<i32>,
    after: Option<String>,
) -> Result<Connection<OpenWorkItem>> {
    let workflow = optional_id("workflowId", workflow_id.as_ref())?;
    let queue = queue_id.map(|id| queue("queueId", &id)).transpose()?;
    let filter = WorkFilter { queue, workflow };
    let of = filter.workflow.as_ref().map_or("", WorkflowId::as_str);
    let queue = filter.queue.as_ref().map_or("", QueueId::as_str);
    let listing = Listing::new("workItems", &[of, queue]);
    let page = page(&listing, first, after.as_deref())?;
    let found = joins::look_up(ctx).await?.work_items(&filter, page).await?;
    joins::hold(ctx, found.items.iter().map(|(_, open)| open.memory()).sum()).await;
    Ok(connection(&listing, found, after.is_some(), OpenWorkItem::from))
}

pub(super) async fn incidents(
    ctx: &Context<'_>,
    workflow_id: Option<ID>,
    first: Option<i32>,
    after: Option<String>,
) -> Result<Connection<OpenIncident>> {
    let workflow: Option<WorkflowId> = optional_id("workflowId", workflow_id.as_ref())?;
    let of = workflow.as_ref().map_or("", WorkflowId::as_str);
    let listing = Listing::new("incidents", &[of]);
    let page = page(&listing, first, after.as_deref())?;
    let found = joins::look_up(ctx).await?.incidents(workflow.as_ref(), page).await?;
    Ok(connection(&listing, found, after.is_some(), OpenIncident::from))
}

pub(super) async fn queues(ctx: &Context<'_>) -> Result<Vec<Queue>> {
    let found = joins::look_up(ctx).await?.queues().await?;
    Ok(found.iter().map(Queue::from).collect())
}

pub(super) async fn workers(ctx: &Context<'_>, of: Option<ID>) -> Result<Vec<Worker>> {
    let of = of.map(|id| queue("queueId", &id)).transpose()?;
    let found = joins::workers(ctx).await?;
    let serves = |worker: &&PresentWorker| of.as_ref().is_none_or(|queue| worker.serves(queue));
    Ok(found.iter().filter(serves).map(Worker::from).collect())
}

/// A queue's id from an argument.
pub(super) fn queue(argument: &str, id: &ID) -> Result<QueueId, Error> {
    QueueId::new(id.as_str()).map_err(|error| Error::argument(argument, error.to_string()))
}
