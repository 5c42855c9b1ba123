//! The world round a run: its clock, and those who tell it to stop.

use std::{fmt::Debug, sync::Arc};

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use crate::{models::Clock, worker::Attempt};

/// A clock that can be waited for, and a word to stop.
#[async_trait]
pub(super) trait Environment: Debug + Send + Sync {
    fn now(&self) -> DateTime<Utc>;

    /// Waits until a time has come.
    async fn sleep_until(&self, time: DateTime<Utc>);

    /// Returns true if the attempt is to stop.
    fn is_stopped(&self) -> bool {
        false
    }
}

/// The clock of a process, the time that passes, and a worker's attempt.
#[derive(Debug)]
pub(super) struct Attempted {
    pub clock: Arc<dyn Clock>,
    pub attempt: Attempt,
}

#[async_trait]
impl Environment for Attempted {
    fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    fn is_stopped(&self) -> bool {
        self.attempt.stop_reason().is_some()
    }

    async fn sleep_until(&self, time: DateTime<Utc>) {
        let rest = (time - self.now()).to_std().unwrap_or_default();
        tokio::time::sleep(rest).await;
    }
}
