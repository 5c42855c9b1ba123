//! Armings that have come due.

use std::fmt;

use chrono::{DateTime, Utc};

use super::Arming;

/// An arming that has come due, and the right to settle it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// The arming.
    pub arming: Arming,
    /// Time by the store's clock at which it came due.
    pub at: DateTime<Utc>,
    /// The store's own handle of this delivery.
    pub receipt: Receipt,
}

/// A store's handle of a delivery, which means nothing to others.
#[derive(Clone, PartialEq, Eq)]
pub struct Receipt(pub String);

impl fmt::Debug for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
