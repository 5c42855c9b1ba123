//! Codes of errors that are not the core's own.

/// The document can't be parsed, does not fit the schema, or costs more than the limits allow.
pub(in crate::graphql) const INVALID_REQUEST: &str = "INVALID_REQUEST";
/// An argument makes no sense.
pub(in crate::graphql) const INVALID_ARGUMENT: &str = "INVALID_ARGUMENT";
/// More than the limits allow in one message.
pub(in crate::graphql) const TOO_LARGE: &str = "TOO_LARGE";
/// More look-ups in the store than a request may make.
pub(in crate::graphql) const TOO_MANY_LOOK_UPS: &str = "TOO_MANY_LOOK_UPS";
/// No token was shown that is known.
pub(in crate::graphql) const UNAUTHENTICATED: &str = "UNAUTHENTICATED";
/// The caller's role does not allow it.
pub(in crate::graphql) const FORBIDDEN: &str = "FORBIDDEN";
/// More than this process takes on at a time.
pub(in crate::graphql) const OVERLOADED: &str = "OVERLOADED";
/// A fault of this program.
pub(in crate::graphql) const INTERNAL: &str = "INTERNAL";
