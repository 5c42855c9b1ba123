//! The search for the tokens of a firing: choices one after the other, and joins that are looked up.

mod choices;
mod joins;

pub(super) use choices::{Choices, Clash, advance};
pub(super) use joins::{Joins, TRIED_FIRST};
