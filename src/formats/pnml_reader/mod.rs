//! Reading of PNML: from bytes to a document, with line and column of what can't be read.

pub(in crate::formats) mod arc;
pub(in crate::formats) mod draft;
pub(in crate::formats) mod encoding;
pub(in crate::formats) mod ignored;
pub(in crate::formats) mod label;
pub(in crate::formats) mod net;
pub(in crate::formats) mod node;
pub(in crate::formats) mod own;
pub(in crate::formats) mod read;
pub(in crate::formats) mod silent;
pub(in crate::formats) mod standard;
pub(in crate::formats) mod tokens;

use super::{
    Point,
    pnml::{
        Arc, ArcGraphics, Direction, Document, Kind, Mode, Node, NodeGraphics, Note, Page, Part,
        Place, PnmlError, PnmlNet, Reference, ToolSpecific, Transition, Work, arc_kind, id,
        net_type, number, position, xml,
    },
};
