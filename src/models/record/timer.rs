//! Timers: bindings of timed transitions, from the record that made them to the one that they fire in.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{TokenAt, numbered};
use crate::models::{LogSequence, TransitionId, json::time};

/// A timer that runs: the tokens with which a timed transition is enabled, and the time at which it is
/// to fire with them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timer {
    /// Its number in the case, counted from 1.
    pub number: u64,
    /// The timed transition.
    pub transition: TransitionId,
    /// The tokens that it is to take, in arc order, and then those that it is to read.
    #[serde(serialize_with = "numbered::write_at", deserialize_with = "numbered::at")]
    pub tokens: Vec<TokenAt>,
    /// Time of the record that made it.
    #[serde(with = "time")]
    pub since: DateTime<Utc>,
    /// Time at which it is to fire.
    #[serde(with = "time")]
    pub due: DateTime<Utc>,
    /// The log sequence of the record that set `due`; absent in that record.
    #[serde(default, deserialize_with = "LogSequence::or_none")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub armed: Option<LogSequence>,
    /// True if it has come due and has not fired yet: it fires as soon as it can.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub elapsed: bool,
    /// Number of the work item whose deadline it is; absent of a timed transition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<u64>,
}

/// The way on of a resumed case's timers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OnResume {
    /// What came due in the pause happens at once, in the order of the times.
    #[default]
    CatchUp,
    /// Each timer has left what it had left when the case was paused.
    KeepRemaining,
}

impl OnResume {
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}
