//! Whole histories, case by case.

pub(in crate::petrel) mod by_case;
pub(in crate::petrel) mod gather;
