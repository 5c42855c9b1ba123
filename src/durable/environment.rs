//! The world round a run: its clock, and those who tell it to stop.

use std::{fmt::Debug, sync::Arc};

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};

use crate::{engine::PutOff, models::Clock, worker::Attempt};

/// A clock that can be waited for, and a word to stop.
#[async_trait]
pub(super) trait Environment: Debug + Send + Sync {
    fn now(&self) -> DateTime<Utc>;

    /// Waits until a time has come.
    async fn sleep_until(&self, time: DateTime<Utc>);

    /// Longest wait for which a run of which nothing else goes on keeps its worker.
    fn keeps_worker_for(&self) -> TimeDelta;

    /// Notes that the run ends, and that another one is to go on; after a wait, if there is one.
    fn give_back(&self, put_off: Option<PutOff>);

    /// Waits until something may have happened to the item.
    async fn news(&self);

    /// Notes that the failure of the handler is on its way into the journal: it counts, whatever tells the attempt to stop
    /// now.
    fn fails(&self);

    /// Returns true if nothing is to begin that another run can begin.
    fn is_paused(&self) -> bool;

    /// Returns true if the attempt follows no other that failed or was lost, but the word of somebody who has it tried
    /// again if there was one.
    fn is_first(&self) -> bool;

    /// Returns true if the attempt is to stop.
    fn is_stopped(&self) -> bool {
        false
    }
}

/// Some records and entries and another reading of the journal cost less than a worker for this time.
const KEEPS_WORKER_FOR: TimeDelta = TimeDelta::seconds(5);

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

    fn keeps_worker_for(&self) -> TimeDelta {
        KEEPS_WORKER_FOR
    }

    fn give_back(&self, put_off: Option<PutOff>) {
        self.attempt.give_back(put_off);
    }

    async fn news(&self) {
        self.attempt.news().await;
    }

    fn fails(&self) {
        self.attempt.fails();
    }

    fn is_paused(&self) -> bool {
        self.attempt.is_paused()
    }

    fn is_first(&self) -> bool {
        self.attempt.is_first()
    }

    fn is_stopped(&self) -> bool {
        self.attempt.stop_reason().is_some()
    }

    async fn sleep_until(&self, time: DateTime<Utc>) {
        let rest = (time - self.now()).to_std().unwrap_or_default();
        tokio::time::sleep(rest).await;
    }
}
