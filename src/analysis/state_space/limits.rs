//! Limits of an exploration, and the reasons for an early end.

use std::ops::ControlFlow;

/// The limits of an exploration.
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

/// The progress of an exploration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Markings found so far.
    pub states: usize,
    /// Markings whose transitions have been fired.
    pub explored: usize,
    /// Transitions fired so far.
    pub firings: u64,
}

/// Reason for which an exploration ended before all was seen. Facts of the whole are unknown then.
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
        /// Number of markings found within it.
        states: usize,
    },
    /// The watcher of the progress wanted no more.
    #[error("interrupted after {states} states")]
    Interrupted {
        /// Number of markings found.
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
    /// Advice that may lead further.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::States { .. } => "a higher limit may decide it",
            Self::Memory { .. } => "more memory may decide it",
            Self::Interrupted { .. } => "a greater budget may decide it",
            Self::Overflow { .. } => "no limit makes a place hold more",
        }
    }
}

/// A watcher of an exploration, which may end it. It is called every few thousand states.
pub type Watch<'a> = dyn FnMut(Progress) -> ControlFlow<()> + 'a;

/// Watches nothing and lets everything go on.
pub fn unwatched(_: Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}
