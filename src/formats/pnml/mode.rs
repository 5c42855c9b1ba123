//! Strictness of reading.

/// The strictness of reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// The dialects of WoPeD, ProM, PM4Py, PIPE, TAPAAL, pnapi and others are read too, and
    /// read, inhibitor and reset arcs and capacities, which the standard's place/transition
    /// nets don't have.
    #[default]
    Lenient,
    /// The standard only.
    Strict,
}
