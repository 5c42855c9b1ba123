//! Changes of cases: requests, the decision, the commit.

pub(in crate::petrel) mod commit;
pub(in crate::petrel) mod costly;
pub(in crate::petrel) mod decided;
mod examine;
pub(in crate::petrel) mod operations;
pub(in crate::petrel) mod quarantine;
pub(in crate::petrel) mod repeat;
pub(in crate::petrel) mod retry;
pub(in crate::petrel) mod whole;
