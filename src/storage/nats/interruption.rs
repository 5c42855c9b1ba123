//! What ends the wait for an answer before its time: a lost connection, and a permission that the
//! user does not have. The server says both to the connection and not to the request.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use tokio::sync::Notify;

/// How many violations are kept for the requests that wait. Each is looked at as soon as it comes.
const KEPT: usize = 256;

/// Why no answer will come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Interruption {
    /// The connection was lost after the request was sent.
    ConnectionLost,
    /// The user may not do what the request needs.
    Denied(String),
}

/// What has interrupted requests on one connection.
#[derive(Debug, Default)]
pub struct Interruptions {
    happened: Notify,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// How many times the connection was lost.
    lost: u64,
    /// The subjects whose publication was refused, and when.
    refused: VecDeque<(Instant, String)>,
    /// The subject on which no answer can be received, until the next connection.
    deaf: Option<String>,
}

impl Interruptions {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many times the connection was lost; goes with [`of`](Self::of).
    pub fn lost(&self) -> u64 {
        self.state().lost
    }

    pub fn connection_lost(&self) {
        let mut state = self.state();
        (state.lost, state.deaf) = (state.lost + 1, None);
        drop(state);
        self.happened.notify_waiters();
    }

    /// Notes what the server said to the connection.
    pub fn said(&self, error: &str) {
        let lower = error.to_lowercase();
        if !lower.contains("permissions violation") {
            return;
        }
        let Some(subject) = error.split('"').nth(1).map(str::to_owned) else { return };
        let mut state = self.state();
        if lower.contains("subscription") {
            state.deaf = subject.starts_with("_INBOX").then_some(subject);
        } else {
            if state.refused.len() == KEPT {
                state.refused.pop_front();
            }
            state.refused.push_back((Instant::now(), subject));
        }
        drop(state);
        self.happened.notify_waiters();
    }

    /// Waits for what interrupts a request that was begun at `since`, when the connection had been
    /// lost `lost` times. Cancel-safe.
    pub async fn of(&self, subject: &str, since: Instant, lost: u64) -> Interruption {
        loop {
            let mut happened = std::pin::pin!(self.happened.notified());
            happened.as_mut().enable();
            if let Some(interruption) = self.known(subject, since, lost) {
                return interruption;
            }
            happened.await;
        }
    }

    /// Waits for the refusal of what was begun at `since` and outlives a lost connection.
    /// Cancel-safe.
    pub async fn denied(&self, subject: &str, since: Instant) -> String {
        loop {
            let mut happened = std::pin::pin!(self.happened.notified());
            happened.as_mut().enable();
            let lost = self.lost();
            if let Some(Interruption::Denied(what)) = self.known(subject, since, lost) {
                return what;
            }
            happened.await;
        }
    }

    fn known(&self, subject: &str, since: Instant, lost: u64) -> Option<Interruption> {
        let state = self.state();
        let grant = "`petrel doctor` prints the permissions to grant";
        let mut refused = state.refused.iter();
        if refused.any(|(at, refused)| *at >= since && refused == subject) {
            let what = format!("the NATS user may not publish to {subject}; {grant}");
            return Some(Interruption::Denied(what));
        }
        if let Some(inbox) = &state.deaf {
            let what = format!(
                "the NATS user may not subscribe to {inbox}, where answers come (_INBOX.>); {grant}"
            );
            return Some(Interruption::Denied(what));
        }
        (state.lost != lost).then_some(Interruption::ConnectionLost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_violation_ends_the_wait_of_its_subject_only_and_a_lost_connection_that_of_all() {
        let (interruptions, since) = (Interruptions::default(), Instant::now());
        interruptions.said("Permissions Violation for Publish to \"cb.x\"");
        let denied = interruptions.of("cb.x", since, 0).await;
        assert!(matches!(&denied, Interruption::Denied(what) if what.contains("publish to cb.x")));
        assert_eq!(interruptions.known("cb.y", since, 0), None);
        assert_eq!(
            interruptions.known("cb.x", Instant::now(), 0),
            None,
            "it may be granted by now"
        );
        interruptions.connection_lost();
        let lost = interruptions.of("cb.y", since, 0).await;
        assert_eq!(lost, Interruption::ConnectionLost);
        assert_eq!(interruptions.known("cb.y", since, interruptions.lost()), None);
    }

    #[test]
    fn without_an_inbox_every_request_is_denied_until_the_next_connection() {
        let (interruptions, since) = (Interruptions::default(), Instant::now());
        interruptions.said("Permissions Violation for Subscription to \"_INBOX.a.*\"");
        assert!(matches!(interruptions.known("cb.x", since, 0), Some(Interruption::Denied(_))));
        interruptions.connection_lost();
        assert_eq!(interruptions.known("cb.x", since, interruptions.lost()), None);
    }
}
