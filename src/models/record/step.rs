//! Firings of immediate transitions, as the record of the change before them has them.

use serde::{Deserialize, Serialize};

use super::{TokenAt, numbered};
use crate::models::TransitionId;

/// A firing of a cascade.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Transition that fired.
    pub transition: TransitionId,
    /// The tokens taken, in arc order.
    #[serde(default, serialize_with = "numbered::write_at", deserialize_with = "numbered::at")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub consumed: Vec<TokenAt>,
    /// The tokens that read arcs needed and left.
    #[serde(default, serialize_with = "numbered::write_at", deserialize_with = "numbered::at")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub read: Vec<TokenAt>,
    /// The tokens that reset arcs removed.
    #[serde(default, serialize_with = "numbered::write_at", deserialize_with = "numbered::at")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<TokenAt>,
    /// The tokens given, with the places that they came to.
    #[serde(default, serialize_with = "numbered::write_at", deserialize_with = "numbered::at")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub produced: Vec<TokenAt>,
    /// Number of the timer that it fired by; absent of other transitions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timer: Option<u64>,
    /// Number of the work item whose answer it fired with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<u64>,
}

impl Step {
    /// All tokens that it names.
    pub(in crate::models) fn tokens(&self) -> impl Iterator<Item = &TokenAt> {
        self.consumed.iter().chain(&self.read).chain(&self.removed).chain(&self.produced)
    }

    pub(super) fn tokens_mut(&mut self) -> impl Iterator<Item = &mut TokenAt> {
        let Self { consumed, read, removed, produced, .. } = self;
        consumed.iter_mut().chain(read).chain(removed).chain(produced)
    }
}
