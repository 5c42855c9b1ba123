//! Reasons for which a file can't be read.

/// Reason for which a PNML file was refused, with its position.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct PnmlError {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The rule that it breaks.
    pub kind: Kind,
    /// The fault, and the remedy.
    pub message: String,
}

/// The rules that a file can break.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// An arc of a kind that isn't known, or two kinds at once.
    ArcKind,
    /// An arc or a final marking names something that isn't there.
    Dangling,
    /// More nested elements than [`MAX_DEPTH`](super::MAX_DEPTH).
    Depth,
    /// Two things have one id.
    DuplicateId,
    /// A thing has one label twice.
    DuplicateLabel,
    /// A document type definition or an entity of its own.
    Dtd,
    /// The bytes are not in the encoding that the file names.
    Encoding,
    /// A position, dimension or offset that is no number.
    Graphics,
    /// A coloured or another high-level net.
    HighLevel,
    /// An id that is no XML name; only in strict mode.
    Id,
    /// A read, inhibitor or reset arc from a transition to a place.
    InhibitorOutput,
    /// A weight that is no number: a multiset, a variable.
    Inscription,
    /// A marking or a capacity that is no count.
    Marking,
    /// A required attribute is missing or empty.
    MissingAttribute,
    /// The elements are in none or another namespace than the standard's; only in strict mode.
    Namespace,
    /// A type of net that the standard's mode doesn't know.
    NetType,
    /// There is no net in it.
    NoNet,
    /// An arc between two places or two transitions.
    NotBipartite,
    /// A number that 64 bits can't hold.
    Overflow,
    /// Transitions with different priorities.
    Priority,
    /// A reference to something that isn't there.
    Reference,
    /// References that lead back to themselves.
    ReferenceCycle,
    /// A reference place that leads to a transition, or the other way.
    ReferenceKind,
    /// More bytes than [`MAX_BYTES`](super::MAX_BYTES).
    Size,
    /// Time that constrains the firings.
    Timing,
    /// An element that can't be read as part of a place/transition net.
    Unsupported,
    /// A weight below zero.
    Weight,
    /// A weight of zero where it has no meaning.
    WeightZero,
    /// A text that is no well-formed XML, or no PNML.
    Xml,
}

impl Kind {
    /// A word for programs that stays the same.
    pub fn code(self) -> &'static str {
        match self {
            Self::ArcKind => "arc-kind",
            Self::Dangling => "dangling",
            Self::Depth => "depth",
            Self::DuplicateId => "duplicate-id",
            Self::DuplicateLabel => "duplicate-label",
            Self::Dtd => "dtd",
            Self::Encoding => "encoding",
            Self::Graphics => "graphics",
            Self::HighLevel => "high-level",
            Self::Id => "id",
            Self::InhibitorOutput => "inhibitor-output",
            Self::Inscription => "inscription",
            Self::Marking => "marking",
            Self::MissingAttribute => "missing-attr",
            Self::Namespace => "namespace",
            Self::NetType => "net-type",
            Self::NoNet => "no-net",
            Self::NotBipartite => "not-bipartite",
            Self::Overflow => "overflow",
            Self::Priority => "priority",
            Self::Reference => "reference",
            Self::ReferenceCycle => "reference-cycle",
            Self::ReferenceKind => "reference-kind",
            Self::Size => "size",
            Self::Timing => "timing",
            Self::Unsupported => "unsupported",
            Self::Weight => "weight",
            Self::WeightZero => "weight-zero",
            Self::Xml => "xml",
        }
    }
}
