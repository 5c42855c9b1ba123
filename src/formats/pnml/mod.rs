//! PNML, the interchange format for Petri nets: place/transition nets of ISO/IEC 15909-2:2011
//! (the grammar of 2009), and the dialects of the tools that write something close to it.
//!
//! [`read`] gives a [`Document`]: nets as the file has them, with names, positions and the notes
//! of tools, pages flattened and references followed. [`PnmlNet::petri`] is the net alone. A file
//! that can't be represented exactly is a [`PnmlError`] with line, column and reason. [`write()`]
//! writes nets in one of two [`Profile`]s, or gives the reasons against an exact file.

mod arc;
mod arc_kind;
mod definition;
mod document;
mod draft;
mod encoding;
mod error;
mod from_petri;
mod id;
mod ignored;
mod label;
mod net;
mod net_type;
mod node;
mod number;
mod position;
mod read;
mod read_arcs;
mod representable;
mod silent;
mod standard;
mod tokens;
mod write;
mod written_arcs;
mod xml;
mod xml_out;

use super::xml_text;

pub use super::Point;
pub use definition::id_of;
pub use document::{
    Arc, ArcGraphics, Direction, Document, Node, NodeGraphics, Note, Page, Part, Place, PnmlNet,
    Reference, ToolSpecific, Transition,
};
pub use error::{Kind, PnmlError};
pub use read::{MAX_BYTES, MAX_DEPTH, MAX_NETS, Mode, read};
pub use representable::Unwritable;
pub use write::{Profile, write};
