//! Reads of the log and of the views, and subscriptions.

pub(in crate::petrel) mod chain;
pub(in crate::petrel) mod listing;
pub(in crate::petrel) mod load;
pub(in crate::petrel) mod locate;
pub(in crate::petrel) mod reads;
pub(in crate::petrel) mod watch;
