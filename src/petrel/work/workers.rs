//! The workers that run now.

use crate::petrel::{Petrel, Result};
use crate::{models::QueueId, storage::PresentWorker};

impl Petrel {
    /// The workers that answer now, in the order of their names, with what each of them does; of a queue, those
    /// that serve it. They are asked, and who does not answer within a moment is not among them
    /// ([`Presence`](crate::storage::Presence)).
    pub async fn workers(&self, queue: Option<&QueueId>) -> Result<Vec<PresentWorker>> {
        let mut found = self.storage().workers().await?;
        found.retain(|worker| queue.is_none_or(|queue| worker.serves(queue)));
        Ok(found)
    }
}
