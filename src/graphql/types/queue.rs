//! Queues of work, and those who serve them.

use async_graphql::{ComplexObject, Context, ID, Result, SimpleObject};
use chrono::{DateTime, Utc};

use super::work_item::WorkClass;
use crate::{
    graphql::{scalars::int, work::joins},
    models,
    storage::{self, ClassState, PresentWorker, QueueState},
};

/// A queue: where workers look for work of some kinds.
#[derive(SimpleObject)]
#[graphql(complex)]
pub(crate) struct Queue {
    #[graphql(skip)]
    queue: models::QueueId,
    /// Its own id.
    queue_id: ID,
    /// True if nothing is given out; what is with workers goes on.
    paused: bool,
    /// The time for which a worker is left alone without a sign of life, in milliseconds.
    ack_wait_ms: i32,
    /// The number of items that nobody has got yet.
    waiting: i32,
    /// The number of items that were given out and have not ended, those given back for later among them.
    in_flight: i32,
    /// The number of takers that wait for work: 0 if no worker serves the queue, or all of them are busy.
    open_pulls: i32,
    /// The time at which the first of those that nobody has got yet was offered.
    oldest: Option<DateTime<Utc>>,
    /// Its classes, the most urgent first.
    classes: Vec<QueueClass>,
}

/// A class of a queue.
#[derive(SimpleObject)]
struct QueueClass {
    /// The class.
    class: WorkClass,
    /// The most items of the class that are with workers at once.
    most_in_flight: i32,
    /// The number of items that nobody has got yet.
    waiting: i32,
    /// The number of items that were given out and have not ended.
    in_flight: i32,
    /// The number of those in flight that were given out more than once.
    redelivered: i32,
    /// The number of takers that wait.
    open_pulls: i32,
    /// The time at which the first of those that nobody has got yet was offered.
    oldest: Option<DateTime<Utc>>,
}

#[ComplexObject]
impl Queue {
    /// The number of workers that serve it and answer now, as `workers` lists them.
    async fn workers(&self, ctx: &Context<'_>) -> Result<Option<i32>> {
        let found = Box::pin(joins::workers(ctx)).await?;
        let serve = found.iter().filter(|worker| worker.serves(&self.queue));
        Ok(Some(int(serve.count() as u64)))
    }

    /// The number of attempts that end in a second, with a result or a failure: the mean of the last minute, over
    /// the workers that answer now.
    async fn rate(&self, ctx: &Context<'_>) -> Result<Option<f64>> {
        let found = Box::pin(joins::workers(ctx)).await?;
        Ok(Some(PresentWorker::rate(&found, &self.queue)))
    }
}

/// A worker that runs now.
#[derive(SimpleObject)]
pub(crate) struct Worker {
    /// Its own id: no other worker has it, and the same one has another after it was started again.
    worker_id: ID,
    /// Its name; several may have the same.
    name: String,
    /// The version that it is made with.
    version: String,
    /// The queues that it serves.
    queues: Vec<ServedQueue>,
    /// The kinds of work that it carries out.
    kinds: Vec<ID>,
    /// True if the next item of a case comes with the answer to the one before.
    hands_over: bool,
    /// The time since when it runs, by its own clock.
    since: DateTime<Utc>,
    /// True if it begins nothing more, and ends when what runs has ended.
    stopping: bool,
    /// The number of attempts that it carries out now.
    running: i32,
    /// The attempts that it carries out now, those that run longest first; of very many a part.
    attempts: Vec<RunningAttempt>,
    /// The number of its attempts that ended with a result.
    done: i32,
    /// The number of its attempts that failed.
    failed: i32,
    /// The number of its attempts that it gave back.
    released: i32,
    /// The number of its attempts that were stopped, since their answers counted no more.
    stopped: i32,
}

/// A queue that a worker serves.
#[derive(SimpleObject)]
pub(crate) struct ServedQueue {
    /// The queue's own id.
    queue_id: ID,
    /// The most items of it that the worker carries out at once.
    concurrency: i32,
}

/// An attempt that a worker carries out now.
#[derive(SimpleObject)]
pub(crate) struct RunningAttempt {
    /// The workflow.
    workflow_id: ID,
    /// The case.
    case_id: ID,
    /// The item's number in the case.
    item: i32,
    /// Its claim.
    claim: i32,
    /// The number of the attempt, counted from 1.
    attempt: i32,
    /// The kind of work.
    kind: ID,
    /// The queue from which it came.
    queue_id: ID,
    /// The time since when it runs, by the worker's clock.
    since: DateTime<Utc>,
}

impl From<&PresentWorker> for Worker {
    fn from(PresentWorker { id, version, card, doing }: &PresentWorker) -> Self {
        let ended = doing.ended;
        Self {
            worker_id: ID::from(id),
            name: card.name.clone(),
            version: version.clone(),
            queues: card.queues.iter().map(ServedQueue::from).collect(),
            kinds: card.kinds.iter().map(|kind| ID::from(kind.as_str())).collect(),
            hands_over: card.hands_over,
            since: card.since,
            stopping: doing.stopping,
            running: int(doing.running),
            attempts: doing.attempts.iter().map(RunningAttempt::from).collect(),
            done: int(ended.done),
            failed: int(ended.failed),
            released: int(ended.released),
            stopped: int(ended.stopped),
        }
    }
}

impl From<&storage::ServedQueue> for ServedQueue {
    fn from(of: &storage::ServedQueue) -> Self {
        Self { queue_id: ID::from(of.queue.as_str()), concurrency: int(of.concurrency as u64) }
    }
}

impl From<&storage::RunningAttempt> for RunningAttempt {
    fn from(of: &storage::RunningAttempt) -> Self {
        Self {
            workflow_id: ID::from(of.workflow.as_str()),
            case_id: ID::from(of.case.as_str()),
            item: int(of.item),
            claim: int(of.claim),
            attempt: int(of.attempt),
            kind: ID::from(of.kind.as_str()),
            queue_id: ID::from(of.queue.as_str()),
            since: of.since,
        }
    }
}

impl From<&QueueState> for Queue {
    fn from(state: &QueueState) -> Self {
        let sum = |of: fn(&ClassState) -> u64| int(state.classes.iter().map(of).sum());
        let class = |class: models::WorkClass| {
            let of = state.class(class);
            QueueClass {
                class: class.into(),
                most_in_flight: int(state.settings.most_in_flight.of(class).into()),
                waiting: int(of.waiting),
                in_flight: int(of.in_flight),
                redelivered: int(of.redelivered),
                open_pulls: int(of.open_pulls),
                oldest: of.oldest,
            }
        };
        let millis = state.settings.ack_wait.as_millis();
        Self {
            queue: state.queue.clone(),
            queue_id: ID::from(state.queue.as_str()),
            paused: state.settings.paused,
            ack_wait_ms: int(u64::try_from(millis).unwrap_or(u64::MAX)),
            waiting: sum(|class| class.waiting),
            in_flight: sum(|class| class.in_flight),
            open_pulls: sum(|class| class.open_pulls),
            oldest: state.oldest(),
            classes: models::WorkClass::ALL.into_iter().map(class).collect(),
        }
    }
}
