//! The firing rule. Pure: state and request in, record out; no I/O, clock or randomness.

mod guard;

pub use guard::{GuardFailure, Guards, OutputExpression, Scope};
