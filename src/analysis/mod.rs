//! What Petri-net theory says of a net before it runs. Pure: no I/O, clock or randomness.

pub mod structure;
