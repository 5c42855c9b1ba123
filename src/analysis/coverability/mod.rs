//! Whether a net is bounded, and what can be covered where it is not.

mod boundedness;
mod pump;
mod walk;

#[cfg(test)]
mod tests;

pub use boundedness::{
    Bounded, Boundedness, boundedness, boundedness_after, is_bounded_by, pump_in,
};
pub use pump::Pump;
