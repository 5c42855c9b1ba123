//! Simulation: random runs of a net by the counting rule, to see the frequency of each outcome.
//!
//! The same net, settings and seed give the same runs on every machine.

mod play_out;
mod report;

#[cfg(test)]
mod tests;

pub use play_out::{End, Run, Simulation};
pub use report::{Example, SimulationReport, Variant};
