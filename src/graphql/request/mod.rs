//! Requests: parsed, bounded and made plain before anything is executed.

pub(in crate::graphql) mod admission;
pub(in crate::graphql) mod arguments;
pub(in crate::graphql) mod cost;
mod fit;
pub(in crate::graphql) mod kind;
pub(in crate::graphql) mod operation;
pub(in crate::graphql) mod plain;
pub(in crate::graphql) mod shape;
pub(in crate::graphql) mod spread;
mod twice;
pub(in crate::graphql) mod variables;
