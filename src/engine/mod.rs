//! The firing rule. Pure: state and request in, record out; no I/O, clock or randomness.

mod explain;

pub use explain::{Blocker, Explanation, ModeExplanation, NotEnabled, TransitionExplanation};
