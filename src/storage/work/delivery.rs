//! Offers that a worker has got.

use chrono::{DateTime, Utc};

use super::Offer;
use crate::storage::Receipt;

/// An offer that was given to a taker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The offer.
    pub offer: Offer,
    /// Number of times that the store has given it out, as far as it remembers: a hint, and no count of
    /// attempts. After a crash it may be too low or too high.
    pub deliveries: u64,
    /// Number of offers that waited behind it when it was given out, as far as the store knows: a hint. Those
    /// that are to be given out again may not be among them.
    pub behind: u64,
    /// Time by the store's clock at which the item was offered.
    pub published: DateTime<Utc>,
    /// The store's own handle of this delivery.
    pub receipt: Receipt,
}
