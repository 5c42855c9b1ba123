//! Timers: what timed transitions wait for, from one record to the next.

mod bound;
mod judge;
mod timing;

pub use bound::MOST_TIMERS;
pub(super) use bound::bound;
pub(super) use judge::{Judged, judge};
pub(super) use timing::Timing;
