//! PNML, the interchange format for Petri nets: place/transition nets of ISO/IEC 15909-2:2011
//! (the grammar of 2009), and the dialects of the tools that write something close to it.
//!
//! [`read`] gives a [`Document`]: nets as the file has them, with names, positions and what tools
//! noted, pages flattened and references followed. [`PnmlNet::petri`] is the net alone. What
//! can't be represented exactly is a [`PnmlError`] with line, column and reason.

mod arc;
mod arc_kind;
mod document;
mod draft;
mod encoding;
mod error;
mod label;
mod net;
mod net_type;
mod node;
mod number;
mod position;
mod read;
mod xml;

pub use document::{
    Arc, ArcGraphics, Direction, Document, Node, NodeGraphics, Note, Page, Part, Place, PnmlNet,
    Point, Reference, ToolSpecific, Transition,
};
pub use error::{Kind, PnmlError};
pub use read::{MAX_BYTES, MAX_DEPTH, Mode, read};
