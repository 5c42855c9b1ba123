//! PNML, the interchange format for Petri nets: place/transition nets of ISO/IEC 15909-2:2011
//! (the grammar of 2009), and the dialects of the tools that write something close to it.
//!
//! [`read`] gives a [`Document`]: nets as the file has them, with names, positions and the notes
//! of tools, pages flattened and references followed. [`PnmlNet::petri`] is the net alone. A file
//! that can't be represented exactly is a [`PnmlError`] with line, column and reason. [`write()`]
//! writes nets in one of two [`Profile`]s, or gives the reasons against an exact file.

pub(in crate::formats) mod arc_kind;
mod definition;
pub(in crate::formats) mod document;
pub(in crate::formats) mod error;
mod from_petri;
pub(in crate::formats) mod id;
pub(in crate::formats) mod mode;
pub(in crate::formats) mod net_type;
pub(in crate::formats) mod number;
pub(in crate::formats) mod position;
mod read_arcs;
mod representable;
mod ways;
mod write;
mod written_arcs;
pub(in crate::formats) mod xml;
mod xml_out;

use super::pnml_reader::{own, read, silent};
use super::xml_text;

pub use super::Point;
pub use super::pnml_reader::read::{MAX_BYTES, MAX_NETS, read};
pub use definition::id_of;
pub use document::{
    Arc, ArcGraphics, Direction, Document, Node, NodeGraphics, Note, Page, Part, Place, PnmlNet,
    Reference, ToolSpecific, Transition, Work,
};
pub use error::{Kind, PnmlError};
pub use mode::Mode;
pub use representable::Unwritable;
pub use write::{Profile, write};
pub use xml::MAX_DEPTH;
