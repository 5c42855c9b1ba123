//! Timers: armed after the record that sets them, and fired when they have come due.

mod arm;
mod elapse;
mod fill;
mod run;
pub(in crate::petrel) mod soon;
