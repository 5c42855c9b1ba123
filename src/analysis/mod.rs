//! Petri-net theory of a net before it runs. Pure: no I/O, clock or randomness.

mod count;
pub mod coverability;
mod endless;
mod goal;
mod properties;
mod random;
mod report;
pub mod simulation;
mod soundness;
pub mod state_space;
pub mod structure;

pub use count::Count;
pub use properties::{
    Markings, PlaceLists, Properties, Pumped, SoFar, Weight, Weights, properties,
};
#[cfg(feature = "cli")]
pub(crate) use report::sequence;
pub use report::{Endless, Facts, Finding, ForEver, Held, Method, Report, Verdict};
pub use soundness::check;
pub use state_space::{Limits, Progress, Stopped};
