//! The formats that others read and write. Pure: text in, text out.

pub mod drawing;
pub mod event_log;
pub mod pnml;
mod pnml_reader;
mod point;
mod xml_text;

pub use point::Point;
