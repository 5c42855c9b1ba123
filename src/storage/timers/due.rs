//! Armings that have come due.

use chrono::{DateTime, Utc};

use super::Arming;
use crate::storage::Receipt;

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
