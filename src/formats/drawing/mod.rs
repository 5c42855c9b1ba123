//! Drawings of a net: SVG, and the languages of Graphviz and Mermaid.
//!
//! Places are circles, transitions boxes; a read arc is a dashed line without a head, an
//! inhibitor arc ends in a small circle, a reset arc has two heads. A timed transition has a clock
//! in its corner, one that a worker carries out a gear. The same drawing is the same text, byte for
//! byte.

mod dot;
mod geometry;
mod given;
mod label;
mod layered;
mod layers;
mod mermaid;
mod positions;
mod rows;
mod scene;
mod shape;
mod svg;
mod tokens;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod work_tests;

pub use positions::Positions;
pub use tokens::{case_title, counted};

use crate::models::petri::Net;

/// A drawing of a net.
#[derive(Debug, Clone, Copy)]
pub struct Drawing<'a> {
    /// The net.
    pub net: &'a Net,
    /// The text above the picture; empty for nothing.
    pub title: &'a str,
    /// The positions of nodes in the drawing that the net comes from. They are used if every node
    /// has one and no two nodes are at one point; otherwise the layout is made here.
    pub positions: Option<&'a Positions>,
    /// The tokens to draw, by the place's index, instead of the initial marking. Marked places
    /// and the transitions that are enabled by the counting rule are then in colour.
    pub marking: Option<&'a [u64]>,
}

impl Drawing<'_> {
    /// The drawing as a self-contained SVG document: no scripts, styles, fonts or links.
    pub fn svg(&self) -> String {
        svg::document(self)
    }

    /// The drawing in the language of Graphviz, to be laid out by `dot`.
    pub fn dot(&self) -> String {
        dot::digraph(self)
    }

    /// The drawing as a Mermaid flowchart.
    pub fn mermaid(&self) -> String {
        mermaid::flowchart(self)
    }

    /// Number of tokens of a place in the picture.
    fn tokens(&self, place: usize) -> u64 {
        match self.marking {
            Some(marking) => marking.get(place).copied().unwrap_or(0),
            None => self.net.places[place].tokens,
        }
    }
}
