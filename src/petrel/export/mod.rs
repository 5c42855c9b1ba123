//! Whole histories, case by case.

pub(crate) mod by_case;
pub(in crate::petrel) mod gather;
