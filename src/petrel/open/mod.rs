//! The index of open work items and incidents: kept up with the log, looked through, and listed.

mod entries;
mod listing;
pub(in crate::petrel) mod notes;
mod sweep;

pub use listing::{OpenIncident, OpenItem, WorkFilter};
