//! Timers and work items: they wait from one record to the next, each with a binding that stays.

mod bindings;
mod items;
mod judged;
mod timers;

pub(super) use bindings::{Bound, bound, modes_of, takes};
pub use items::MOST_ITEMS;
pub(super) use items::{merged, mode_of};
use judged::Waits;
pub(super) use judged::judge;
pub use timers::MOST_TIMERS;
pub(super) use timers::reckon_elapsed;
