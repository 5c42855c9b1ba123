//! Queues as people see and set them.

use std::time::Duration;

use crate::petrel::{Error, Petrel, Result};
use crate::{
    models::QueueId,
    storage::{MostInFlight, QueueState, StorageError},
};

/// A change of a queue's settings; what is absent stays as it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QueueChange {
    /// Time for which a worker is left alone without a sign of life.
    pub ack_wait: Option<Duration>,
    /// Most items that are with workers at once, of each class.
    pub most_in_flight: Option<MostInFlight>,
    /// True if nothing is to be given out.
    pub paused: Option<bool>,
}

impl Petrel {
    /// The queues that have settings, work or had workers, in the order of their ids, with their state.
    pub async fn queues(&self) -> Result<Vec<QueueState>> {
        let mut found = Vec::new();
        for queue in self.storage().queues().await? {
            found.push(self.storage().queue(&queue).await?);
        }
        Ok(found)
    }

    /// Changes settings of a queue, for all its workers, and returns its state. Other settings that somebody
    /// else changes at the same moment stay changed.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] where a setting is out of its limits; nothing is changed then.
    pub async fn change_queue(&self, queue: &QueueId, change: QueueChange) -> Result<QueueState> {
        let storage = self.storage();
        loop {
            let state = storage.queue(queue).await?;
            let mut settings = state.settings;
            let QueueChange { ack_wait, most_in_flight, paused } = change;
            settings.ack_wait = ack_wait.unwrap_or(settings.ack_wait);
            settings.most_in_flight = most_in_flight.unwrap_or(settings.most_in_flight);
            settings.paused = paused.unwrap_or(settings.paused);
            if settings == state.settings && state.version.is_some() {
                return Ok(state);
            }
            settings.validate().map_err(|error| match error {
                StorageError::Config { field, reason } => {
                    Error::InvalidArgument { argument: field, reason }
                }
                error => error.into(),
            })?;
            match storage.set_queue(queue, settings, state.version).await {
                Ok(_) => return Ok(storage.queue(queue).await?),
                // Each round, somebody has changed them.
                Err(StorageError::LostRace { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}
