//! The input of changes of queues.

use std::time::Duration;

use async_graphql::{ID, InputObject};

use crate::{
    graphql::query_work::queue,
    models::QueueId,
    petrel::{Error, QueueChange},
    storage::MostInFlight,
};

/// The input of `setQueue`. What is absent stays as it is.
#[derive(InputObject)]
pub(crate) struct SetQueueInput {
    /// The queue.
    queue_id: ID,
    /// True if nothing is to be given out; what is with workers goes on.
    paused: Option<bool>,
    /// The time for which a worker is left alone without a sign of life, in milliseconds: 1000 to 3600000.
    ack_wait_ms: Option<u32>,
    /// The most items that are with workers at once, of each class: 1 to 1000000.
    most_in_flight: Option<u32>,
}

impl SetQueueInput {
    /// The queue and the change.
    pub(crate) fn into_request(self) -> Result<(QueueId, QueueChange), Error> {
        let Self { queue_id, paused, ack_wait_ms, most_in_flight } = self;
        let change = QueueChange {
            ack_wait: ack_wait_ms.map(|millis| Duration::from_millis(millis.into())),
            most_in_flight: most_in_flight.map(MostInFlight::each),
            paused,
        };
        if change == QueueChange::default() {
            let reason = "says nothing that is to change".to_owned();
            return Err(Error::argument("input", reason));
        }
        Ok((queue("input.queueId", &queue_id)?, change))
    }
}
