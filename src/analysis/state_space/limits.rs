//! How far an exploration may go, and why it ended before its end.

use std::ops::ControlFlow;

/// How far an exploration may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most markings to find. No more than 2^32 - 2 are found, whatever this says.
    pub states: usize,
    /// The most memory to take, in bytes.
    pub bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { states: 20_000_000, bytes: 1 << 30 }
    }
}

/// How far an exploration is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Markings found so far.
    pub states: usize,
    /// How many of them have had their transitions fired.
    pub explored: usize,
    /// Transitions fired so far.
    pub firings: u64,
}

/// Why an exploration ended before all was seen. What it says of the whole is unknown then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Stopped {
    /// There are more markings than the limit.
    #[error("limit of {limit} states reached")]
    States {
        /// The limit.
        limit: usize,
    },
    /// The markings need more memory than the limit.
    #[error("limit of {limit} bytes of memory reached after {states} states")]
    Memory {
        /// The limit, in bytes.
        limit: usize,
        /// How many markings were found within it.
        states: usize,
    },
    /// Whoever watches the progress wanted no more.
    #[error("interrupted after {states} states")]
    Interrupted {
        /// How many markings were found.
        states: usize,
    },
    /// A firing would give a place more tokens than 64 bits count.
    #[error("a place would hold more than {} tokens", u64::MAX)]
    Overflow {
        /// The transition's index.
        transition: usize,
        /// The state's index in which it is enabled.
        state: usize,
    },
}

impl Stopped {
    /// What may lead further.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::States { .. } => "a higher limit may decide it",
            Self::Memory { .. } => "more memory may decide it",
            Self::Interrupted { .. } => "a greater budget may decide it",
            Self::Overflow { .. } => "no limit makes a place hold more",
        }
    }
}

/// Who watches an exploration, and may end it. Called every few thousand states.
pub type Watch<'a> = dyn FnMut(Progress) -> ControlFlow<()> + 'a;

/// Watches nothing and lets everything go on.
pub fn unwatched(_: Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}
