//! Work: activities, and the records in which workers begin, give back and end their items.

mod activity;
mod answer;
mod begin;
mod fail;
mod hand;
mod item;
mod policy;
mod stop;

pub(super) use activity::check_defaults;
pub use activity::{NetActivity, NetOutcome, wrong_code};
pub use answer::{Answered, complete};
pub use begin::{Begin, Begun, begin, input_of};
pub use fail::{fail, give_back};
pub use hand::HandOver;
pub use item::{Claim, PutOff, Refused};
pub(crate) use policy::Policy;
pub(super) use stop::{pass_deadlines, try_again};
