//! Structure of a net, by its shape alone: invariants, classes, siphons, the workflow-net check
//! and the rank theorem. Nothing here looks at reachable markings, and all arithmetic is exact.
//!
//! Consuming arcs and outputs are the flow of a net. A read arc is a loop (it takes and gives
//! back), so it has no effect and leads both ways; inhibitor and reset arcs are not flow, and a
//! result that they make invalid says so.

mod class;
mod combination;
mod completion;
mod cone;
mod cover;
mod elimination;
mod field;
mod flow;
mod incidence;
mod invariants;
mod rank_theorem;
mod reduction;
mod siphons;
mod work;
mod workflow_net;

pub use class::{Class, clusters};
pub use completion::{join_ends, put_source, until_ended};
pub use cover::{Cover, bounding_weights, place_cover, repeating, transition_cover};
pub use incidence::{Incidence, Sparse};
pub use invariants::{Invariant, place_invariants, rank, transition_invariants};
pub use rank_theorem::{Flaw, Inapplicable, RankVerdict, rank_theorem};
pub use siphons::{Commoner, Minimal, PlaceSets};
pub use work::TooComplex;
pub use workflow_net::{NotAWorkflowNet, WorkflowNet, short_circuit};

#[cfg(test)]
mod tests;
