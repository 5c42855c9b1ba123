//! A circuit breaker: while the server is away, calls fail at once and give the time since
//! then.

use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use tokio::sync::Notify;

use crate::storage::StorageError;

/// Time between two calls that are let through to find out if the server answers again.
const PROBE_EVERY: Duration = Duration::from_secs(1);

/// Opens when the connection is lost or `threshold` requests in a row had no answer.
#[derive(Debug)]
pub(crate) struct Breaker {
    threshold: u32,
    /// Time for which calls wait for the next connection after one was lost.
    grace: Duration,
    state: Mutex<State>,
    back: Notify,
}

#[derive(Debug, Default)]
struct State {
    connection_lost: bool,
    lost_at: Option<Instant>,
    unanswered: u32,
    away_since: Option<DateTime<Utc>>,
    last_probe: Option<Instant>,
    reconnects: u64,
}

impl Breaker {
    pub(crate) fn new(threshold: u32, grace: Duration) -> Self {
        Self { threshold, grace, state: Mutex::default(), back: Notify::new() }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        // Nothing panics while it holds the lock; if it did, the state would still be whole.
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Lets a call through, or fails with the time since which the server has been away.
    pub(crate) fn check(&self) -> Result<(), StorageError> {
        let mut state = self.state();
        if let Some(reason) = self.refusal(&state) {
            return Err(away(reason, &state));
        }
        if state.unanswered >= self.threshold {
            state.last_probe = Some(Instant::now());
        }
        Ok(())
    }

    /// Reason for which a call would not be let through now.
    fn refusal(&self, state: &State) -> Option<&'static str> {
        if state.connection_lost {
            return Some("the connection to the server is lost");
        }
        let probed = state.last_probe.is_some_and(|last| last.elapsed() < PROBE_EVERY);
        (state.unanswered >= self.threshold && probed).then_some("the server does not answer")
    }

    /// Returns true if a call would not be let through now. Looking lets none through, so that the next call
    /// may still be the one that finds out.
    pub(crate) fn refuses(&self) -> bool {
        self.refusal(&self.state()).is_some()
    }

    /// Lets a call through as [`check`](Self::check) does. While the connection has been lost for a
    /// short time only, it waits for the next one, and no longer than `most`.
    pub(crate) async fn connected_within(&self, most: Duration) -> Result<(), StorageError> {
        if self.check().is_ok() {
            return Ok(());
        }
        let begun = Instant::now();
        loop {
            let mut back = std::pin::pin!(self.back.notified());
            back.as_mut().enable();
            let Err(error) = self.check() else { return Ok(()) };
            let left = self.grace().min(most.saturating_sub(begun.elapsed()));
            if left.is_zero() {
                return Err(error);
            }
            // Looked at again, whichever of the two it was.
            let _ = tokio::time::timeout(left, back).await;
        }
    }

    /// Time for which calls still wait for a lost connection.
    fn grace(&self) -> Duration {
        let lost_at = self.state().lost_at;
        lost_at.map_or(Duration::ZERO, |at| self.grace.saturating_sub(at.elapsed()))
    }

    /// Returns true if it makes no sense to try again now.
    pub(crate) fn is_open(&self) -> bool {
        self.grace().is_zero() && self.refuses()
    }

    /// Notes that a request had any answer.
    pub(crate) fn answered(&self) {
        let mut state = self.state();
        if state.unanswered > 0 {
            state.unanswered = 0;
            state.last_probe = None;
            if !state.connection_lost {
                state.away_since = None;
            }
        }
    }

    /// Notes that a request had no answer, and gives the error to return.
    pub(crate) fn unanswered(&self, reason: &str) -> StorageError {
        let mut state = self.state();
        state.unanswered = state.unanswered.saturating_add(1);
        state.away_since.get_or_insert_with(Utc::now);
        away(reason, &state)
    }

    pub(crate) fn connection_lost(&self) {
        let mut state = self.state();
        state.connection_lost = true;
        state.lost_at.get_or_insert_with(Instant::now);
        state.away_since.get_or_insert_with(Utc::now);
    }

    pub(crate) fn connected(&self) {
        let mut state = self.state();
        let reconnects = state.reconnects + u64::from(state.connection_lost);
        *state = State { reconnects, ..State::default() };
        drop(state);
        self.back.notify_waiters();
    }

    /// Number of times that the connection was lost and made again.
    pub(crate) fn reconnects(&self) -> u64 {
        self.state().reconnects
    }

    pub(crate) fn away_since(&self) -> Option<DateTime<Utc>> {
        self.state().away_since
    }
}

fn away(reason: &str, state: &State) -> StorageError {
    StorageError::Unavailable { reason: reason.to_owned(), away_since: state.away_since }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_opens_after_the_threshold_lets_one_probe_through_and_closes_on_an_answer() {
        let breaker = Breaker::new(2, Duration::ZERO);
        breaker.unanswered("timed out");
        assert!(breaker.check().is_ok());
        breaker.unanswered("timed out");
        assert!(breaker.check().is_ok(), "the first call after it opened is the probe");
        let error = breaker.check().unwrap_err();
        assert!(error.retryable());
        assert!(error.to_string().contains("away since"), "{error}");
        breaker.answered();
        assert!(breaker.check().is_ok());
        assert_eq!(breaker.away_since(), None);
    }

    #[test]
    fn a_look_leaves_the_probe_to_the_call_that_follows() {
        let breaker = Breaker::new(1, Duration::ZERO);
        breaker.unanswered("timed out");
        assert!(!breaker.is_open());
        assert!(!breaker.refuses());
        assert!(breaker.check().is_ok(), "the probe is left");
        assert!(breaker.is_open());
        assert!(breaker.check().is_err());
    }

    #[test]
    fn a_lost_connection_fails_every_call_until_it_is_back() {
        let breaker = Breaker::new(8, Duration::ZERO);
        breaker.connection_lost();
        assert!(breaker.check().is_err());
        breaker.answered();
        assert!(breaker.check().is_err(), "a late answer is no connection");
        breaker.connected();
        assert!(breaker.check().is_ok());
    }

    #[tokio::test]
    async fn calls_wait_for_the_next_connection_for_a_short_time() {
        let breaker = Breaker::new(8, Duration::from_secs(20));
        breaker.connection_lost();
        let most = Duration::from_secs(10);
        let (through, ()) = tokio::join!(breaker.connected_within(most), async {
            assert!(!breaker.is_open());
            breaker.connected();
        });
        assert!(through.is_ok());
        breaker.connection_lost();
        assert!(breaker.connected_within(Duration::from_millis(1)).await.is_err());
    }
}
