//! Answers: completed as the specification says, with errors that programs can tell apart.

pub(in crate::graphql) mod answer;
pub(in crate::graphql) mod code;
pub(in crate::graphql) mod completion;
pub(in crate::graphql) mod error;
