//! Timers of cases.

use async_graphql::{Enum, ID, SimpleObject};
use chrono::{DateTime, Utc};

use super::event::{TokenAt, tokens_at};
use crate::{graphql::scalars::int, models};

/// The way on of a resumed case's timers.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "models::OnResume")]
pub enum OnResume {
    /// What came due in the pause happens at once, in the order of the times.
    CatchUp,
    /// Each timer has left what it had left when the case was paused.
    KeepRemaining,
}

/// A timer that runs: the tokens with which a timed transition is enabled, and the time at which it is to
/// fire with them.
#[derive(SimpleObject)]
pub(crate) struct Timer {
    /// Its number in the case, counted from 1.
    number: i32,
    /// The timed transition.
    transition_id: ID,
    /// The tokens that it is to take, in arc order, and then those that it is to read.
    tokens: Vec<TokenAt>,
    /// The time since when the transition is enabled with them.
    since: DateTime<Utc>,
    /// The time at which it is to fire.
    due: DateTime<Utc>,
    /// True if it has come due and has not fired yet, since a place has no room, its output fails, or an
    /// incident stops it: it fires as soon as it can.
    elapsed: bool,
}

impl Timer {
    pub(super) fn of(timer: &models::Timer) -> Self {
        Self {
            number: int(timer.number),
            transition_id: ID::from(&timer.transition),
            tokens: tokens_at(&timer.tokens),
            since: timer.since,
            due: timer.due,
            elapsed: timer.elapsed,
        }
    }
}
