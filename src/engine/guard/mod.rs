//! Guards and output expressions: CEL and rule trees over the tokens of a firing.
//!
//! An expression is checked whole when its workflow is defined (syntax, size, names), so that
//! a firing can only fail on the data it meets. Its variables are not copied: each is a view
//! on the token, and only the fields that are asked for become CEL values.

mod comparison;
mod conditions;
mod environment;
mod expression;
mod functions;
mod futile;
mod kinds;
mod names;
mod output;
mod rewrite;
mod rule;
mod rule_path;
mod scope;
mod time;
mod value;
mod view;
mod wanted;

pub use conditions::{GuardFailure, Guards};
pub(super) use expression::{Join, KeyAt};
pub use output::{OutputError, OutputExpression};
pub use scope::Scope;
pub(super) use time::TimeExpression;
pub use value::NotJson;

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod properties;
