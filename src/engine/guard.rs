//! Guards and output expressions.
