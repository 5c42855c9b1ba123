//! Queues of work.

use async_graphql::{ID, SimpleObject};

use super::work_item::WorkClass;
use crate::{
    graphql::scalars::int,
    models,
    storage::{ClassState, QueueState},
};

/// A queue: where workers look for work of some kinds.
#[derive(SimpleObject)]
pub(crate) struct Queue {
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
            }
        };
        let millis = state.settings.ack_wait.as_millis();
        Self {
            queue_id: ID::from(state.queue.as_str()),
            paused: state.settings.paused,
            ack_wait_ms: int(u64::try_from(millis).unwrap_or(u64::MAX)),
            waiting: sum(|class| class.waiting),
            in_flight: sum(|class| class.in_flight),
            open_pulls: sum(|class| class.open_pulls),
            classes: models::WorkClass::ALL.into_iter().map(class).collect(),
        }
    }
}
