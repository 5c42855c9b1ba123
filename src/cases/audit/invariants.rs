//! The P-invariants of a net as the audit uses them.
