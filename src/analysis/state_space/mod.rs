//! The state space: every marking that a net reaches, found breadth first.
//!
//! Markings are packed: each place has as many bits as it has needed so far, and all markings are
//! laid out anew when a place needs more. Firing is adding a constant to the words of a marking.

mod batch;
mod components;
mod edges;
mod explorer;
mod graph;
mod layout;
mod limits;
mod program;
mod space;
mod store;

#[cfg(test)]
pub mod tests;

pub use explorer::{explore, explore_partly};
pub use graph::Graph;
pub use limits::{Limits, Progress, Stopped, Watch, unwatched};
pub use space::StateSpace;
