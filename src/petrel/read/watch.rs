//! Following the log. All who follow the same part of it in a process share one feed: it is
//! read and decoded once, for any number of them.

use std::{sync::Arc, time::Duration};

use futures::stream::BoxStream;

use super::subscriber::Subscriber;
use crate::petrel::{Petrel, Result};
use crate::{
    models::{LogPosition, LogSequence, Record, Stored},
    storage::{LogScope, StorageError},
};

/// Wait before the server is asked again after it did not answer.
pub(in crate::petrel) const RETRY_EVERY: Duration = Duration::from_millis(250);

impl Petrel {
    /// The records in `scope` from a position of the log on, and then each new one as it comes,
    /// without loss or repetition; without a position, only new ones. No other reader waits
    /// for a slow one: records older than the last 256 are read again from the log for it.
    pub async fn watch(
        &self,
        scope: LogScope,
        from: Option<LogPosition>,
    ) -> Result<BoxStream<'static, Result<Arc<Stored<Record>>>>> {
        let storage = &self.inner.reader.storage;
        let (from, since) = match from {
            Some(from) => (from.sequence, None),
            None => {
                let last = storage.last_sequence().await?;
                (LogSequence::after(last), Some(storage.generation().await?))
            }
        };
        Ok(Subscriber::begin(Arc::clone(&self.inner), scope, from, since).await?.stream())
    }
}

/// Returns true if a read that failed so may succeed later: the server is away, or does not
/// know the stream at this moment.
pub(in crate::petrel) fn passes_by(error: &StorageError) -> bool {
    error.retryable() || matches!(error, StorageError::Stream { .. })
}
