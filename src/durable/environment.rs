//! The world round a run: its clock.

use std::{fmt::Debug, sync::Arc};

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use crate::models::Clock;

/// A clock that can be waited for.
#[async_trait]
pub(super) trait Environment: Debug + Send + Sync {
    fn now(&self) -> DateTime<Utc>;

    /// Waits until a time has come.
    async fn sleep_until(&self, time: DateTime<Utc>);
}

/// The clock of a process, and the time that passes.
#[derive(Debug)]
pub(super) struct RealTime(pub(super) Arc<dyn Clock>);

#[async_trait]
impl Environment for RealTime {
    fn now(&self) -> DateTime<Utc> {
        self.0.now()
    }

    async fn sleep_until(&self, time: DateTime<Utc>) {
        let rest = (time - self.now()).to_std().unwrap_or_default();
        tokio::time::sleep(rest).await;
    }
}
