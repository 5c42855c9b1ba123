//! A clock that a test moves.

use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};

use crate::models::Clock;

/// A clock that stands still until it is moved. A clone is the same clock.
///
/// ```
/// # use std::sync::Arc;
/// # use chrono::TimeDelta;
/// # use stormpetrel::{MemoryStorage, Petrel, testing::ManualClock};
/// let clock = ManualClock::default();
/// let petrel = Petrel::with_clock(Arc::new(MemoryStorage::new()), Arc::new(clock.clone()));
/// clock.advance(TimeDelta::days(30));
/// ```
#[derive(Debug, Clone)]
pub struct ManualClock(Arc<Mutex<DateTime<Utc>>>);

impl ManualClock {
    /// A clock that stands at `time`.
    pub fn at(time: DateTime<Utc>) -> Self {
        Self(Arc::new(Mutex::new(time)))
    }

    /// Moves it on, or back by a negative time.
    ///
    /// # Panics
    ///
    /// When there is no such time: it ends some 262,000 years from now.
    pub fn advance(&self, by: TimeDelta) {
        let mut time = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *time += by;
    }

    /// Sets it.
    pub fn set(&self, to: DateTime<Utc>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = to;
    }
}

/// A clock that stands at the present time.
impl Default for ManualClock {
    fn default() -> Self {
        Self::at(Utc::now())
    }
}

impl Clock for ManualClock {
    fn now(&self) -> DateTime<Utc> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
