//! What the structure of small nets is known to be, and what must hold of every net.

mod classes;
mod completions;
mod covers;
mod ends;
mod fixture;
mod properties;
mod ranks;
mod siphons;
