//! Versions of registers: what a writer knows of them.

use std::time::Instant;

use crate::models::ViewSequence;

/// Contents of a register as somebody saw them: the condition of a write, which happens if
/// they are still there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RegisterVersion {
    sequence: Option<ViewSequence>,
    marker_since: Option<Instant>,
}

impl RegisterVersion {
    /// An empty register.
    pub const NOTHING: Self = Self { sequence: None, marker_since: None };

    /// A token, written at this sequence.
    pub fn token(sequence: ViewSequence) -> Self {
        Self { sequence: Some(sequence), marker_since: None }
    }

    /// A marker, written at this sequence and seen just now. It may be gone some time later,
    /// and then the register is empty.
    pub fn marker(sequence: ViewSequence) -> Self {
        Self { sequence: Some(sequence), marker_since: Some(Instant::now()) }
    }

    /// The sequence of what was seen; `None` if that was nothing.
    pub fn sequence(&self) -> Option<ViewSequence> {
        self.sequence
    }

    /// Time at which a marker was seen; `None` if it was none.
    pub fn marker_since(&self) -> Option<Instant> {
        self.marker_since
    }
}
