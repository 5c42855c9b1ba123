//! Knowledge of a process beside the log: complete up to a record that it names by hash, or not used.

pub(in crate::petrel) mod aside;
pub(crate) mod definitions;
pub(in crate::petrel) mod index;
mod listing;
pub(in crate::petrel) mod newest;
pub(in crate::petrel) mod slot;
pub(in crate::petrel) mod slots;
