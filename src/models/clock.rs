//! The clock of a process, as an argument.

use std::fmt;

use chrono::{DateTime, Utc};

/// A clock, by which a process says when a change is made: conditions have it as `now`, and records and
/// tokens as their time. The time at which the server stores them is the server's own.
pub trait Clock: fmt::Debug + Send + Sync {
    /// The present time.
    fn now(&self) -> DateTime<Utc>;
}
