//! Boundedness of nets, and the markings that can be covered where they are unbounded.

mod boundedness;
mod pump;
mod walk;

#[cfg(test)]
mod tests;

pub use boundedness::{
    Bounded, Boundedness, boundedness, boundedness_after, is_bounded_by, pump_in,
};
pub use pump::Pump;
