//! The index of open work items and incidents: kept up with the log, looked through, and
//! listed; and what changes in it, as it happens.

mod changes;
mod entries;
mod listing;
pub(in crate::petrel) mod notes;
mod sweep;

pub use changes::{OpenChange, OpenEvent, OpenPart};
pub use listing::{OpenIncident, OpenItem, WorkFilter};
