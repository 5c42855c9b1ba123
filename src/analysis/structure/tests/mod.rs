//! The known structure of small nets, and the laws of every net.

mod classes;
mod completions;
mod covers;
mod ends;
mod fixture;
mod properties;
mod ranks;
mod siphons;
