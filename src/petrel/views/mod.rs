//! Token views: written after a commit, mended where they are behind.

pub(in crate::petrel) mod gone_back;
pub(in crate::petrel) mod rebuild;
pub(in crate::petrel) mod reconcile;
pub(in crate::petrel) mod repair;
pub(in crate::petrel) mod settled;
pub(in crate::petrel) mod write;
