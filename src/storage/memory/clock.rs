//! The clock of a store in memory.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};

use crate::models::Clock;

/// Time between two looks at a clock that somebody may move.
pub(super) const LOOK: Duration = Duration::from_millis(5);

/// The machine's clock, or one that was given.
#[derive(Debug, Clone, Default)]
pub(super) struct StoreClock {
    given: Option<Arc<dyn Clock>>,
}

impl StoreClock {
    /// One that may be moved.
    pub(super) fn of(clock: Arc<dyn Clock>) -> Self {
        Self { given: Some(clock) }
    }

    pub(super) fn now(&self) -> DateTime<Utc> {
        self.given.as_ref().map_or_else(Utc::now, |clock| clock.now())
    }

    /// Time until the next look, where something is to happen at `next`.
    pub(super) fn pause_until(&self, next: Option<DateTime<Utc>>) -> Duration {
        match (next, &self.given) {
            (None, _) => Duration::MAX,
            (Some(_), Some(_)) => LOOK,
            // At least a tick of the runtime's own clock.
            (Some(at), None) => (at - Utc::now()).to_std().unwrap_or_default().max(LOOK / 5),
        }
    }
}
