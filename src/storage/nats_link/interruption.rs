//! Events that end the wait for an answer before its time: a lost connection, and a permission
//! that the user does not have. The server tells both to the connection and not to the
//! request.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use tokio::sync::Notify;

/// Number of violations that are kept for the requests that wait. Each is looked at as soon as
/// it comes.
const KEPT: usize = 256;

/// Reason that no answer will come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Interruption {
    /// The connection was lost after the request was sent.
    ConnectionLost,
    /// The user lacks a permission that the request needs.
    Denied(String),
}

/// Events that have interrupted requests on one connection.
#[derive(Debug)]
pub(crate) struct Interruptions {
    /// Beginning of the subjects on which answers come, with its point.
    inbox: String,
    happened: Notify,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Number of times that the connection was lost.
    lost: u64,
    /// The subjects whose publication was refused, each with the time.
    refused: VecDeque<(Instant, String)>,
    /// The subject on which no answer can be received, until the next connection.
    deaf: Option<String>,
    /// Other subjects to which the user may not subscribe.
    unheard: BTreeSet<String>,
}

impl Interruptions {
    /// Those of a connection whose answers come on subjects beneath `inbox`.
    pub(crate) fn new(inbox: &str) -> Self {
        Self { inbox: format!("{inbox}."), happened: Notify::new(), state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Number of times that the connection was lost; goes with [`of`](Self::of).
    pub(crate) fn lost(&self) -> u64 {
        self.state().lost
    }

    pub(crate) fn connection_lost(&self) {
        let mut state = self.state();
        (state.lost, state.deaf) = (state.lost + 1, None);
        drop(state);
        self.happened.notify_waiters();
    }

    /// Notes an error that the server told the connection.
    pub(crate) fn said(&self, error: &str) {
        // A subject may have any of the words that are looked for.
        let mut parts = error.split('"');
        let (Some(said), Some(subject)) = (parts.next(), parts.next()) else { return };
        let (said, subject) = (said.to_lowercase(), subject.to_owned());
        if !said.contains("permissions violation") {
            return;
        }
        let mut state = self.state();
        if said.contains("subscription") {
            if subject.starts_with(&self.inbox) {
                state.deaf = Some(subject);
            } else if state.unheard.len() < KEPT {
                state.unheard.insert(subject);
            }
        } else {
            if state.refused.len() == KEPT {
                state.refused.pop_front();
            }
            state.refused.push_back((Instant::now(), subject));
        }
        drop(state);
        self.happened.notify_waiters();
    }

    /// Waits for an event that interrupts a request that was begun at `since`, when the
    /// connection had been lost `lost` times. Cancel-safe.
    pub(crate) async fn of(&self, subject: &str, since: Instant, lost: u64) -> Interruption {
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
    pub(crate) async fn denied(&self, subject: &str, since: Instant) -> String {
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

    /// Waits until the user was refused a subscription to a subject that begins with one of these.
    /// Cancel-safe.
    pub(crate) async fn unheard(&self, beginnings: &[&str]) -> String {
        loop {
            let mut happened = std::pin::pin!(self.happened.notified());
            happened.as_mut().enable();
            let is_one = |subject: &&String| beginnings.iter().any(|of| subject.starts_with(of));
            if let Some(subject) = self.state().unheard.iter().find(is_one) {
                return format!("the NATS user may not subscribe to {subject}");
            }
            happened.await;
        }
    }

    fn known(&self, subject: &str, since: Instant, lost: u64) -> Option<Interruption> {
        let state = self.state();
        let mut refused = state.refused.iter();
        if refused.any(|(at, refused)| *at >= since && refused == subject) {
            let what = format!("the NATS user may not publish to {subject}");
            return Some(Interruption::Denied(what));
        }
        if let Some(deaf) = &state.deaf {
            let inbox = &self.inbox;
            let what =
                format!("the NATS user may not subscribe to {deaf}, where answers come ({inbox}>)");
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
        let (interruptions, since) = (Interruptions::new("_INBOX"), Instant::now());
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
        let (interruptions, since) = (Interruptions::new("_INBOX"), Instant::now());
        interruptions.said("Permissions Violation for Subscription to \"_INBOX.a.*\"");
        assert!(matches!(interruptions.known("cb.x", since, 0), Some(Interruption::Denied(_))));
        interruptions.connection_lost();
        assert_eq!(interruptions.known("cb.x", since, interruptions.lost()), None);
    }

    #[tokio::test]
    async fn another_inbox_is_known_by_its_own_prefix() {
        let (interruptions, since) = (Interruptions::new("_IN.ann"), Instant::now());
        for elsewhere in ["_INBOX.a.*", "_IN.anne.a.*", "orders.>"] {
            interruptions
                .said(&format!("Permissions Violation for Subscription to \"{elsewhere}\""));
            assert_eq!(interruptions.known("cb.x", since, 0), None, "{elsewhere}");
        }
        let unheard = interruptions.unheard(&["$SRV.", "orders."]).await;
        assert_eq!(unheard, "the NATS user may not subscribe to orders.>");
        interruptions.said("Permissions Violation for Subscription to \"_IN.ann.a.*\"");
        let denied = interruptions.known("cb.x", since, 0);
        let Some(Interruption::Denied(what)) = denied else { panic!("{denied:?}") };
        assert!(what.contains("(_IN.ann.>)"), "{what}");
    }
}
