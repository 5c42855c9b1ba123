//! Measurements of the engine beside the raw server: what `petrel bench` runs.

mod load;

pub use load::{Load, Report, Side};
