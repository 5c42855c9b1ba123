//! The orders that the soak begins, by their numbers: what is in them, what a person decides, how they end.

use serde_json::{Value, json};
use stormpetrel::models::{CaseId, IdError};

/// Beginning of the cases' ids.
const PREFIX: &str = "s-";

/// End of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Shipped,
    Cancelled,
    Rejected,
}

impl End {
    /// The terminal place.
    pub(crate) fn place(self) -> &'static str {
        match self {
            Self::Shipped => "shipped",
            Self::Cancelled => "cancelled",
            Self::Rejected => "rejected",
        }
    }
}

/// The case of an order.
pub(crate) fn case(number: u32) -> Result<CaseId, IdError> {
    CaseId::new(format!("{PREFIX}{number}"))
}

/// The order of a case; `None` of a case that is not the soak's.
pub(crate) fn number(case: &str) -> Option<u32> {
    case.strip_prefix(PREFIX)?.parse().ok()
}

/// The data of an order: one in ten is large, one in twenty is more than there is, and of one in 25 the card has
/// expired.
pub(crate) fn data(number: u32) -> Value {
    let amount = if is_large(number) { 1_500 } else { 10 + number % 900 };
    let quantity = if is_too_much(number) { 101 } else { 1 + number % 5 };
    let card = if has_expired(number) { "expired" } else { "valid" };
    json!({ "amount": amount, "quantity": quantity, "card": card })
}

/// The transition by which a person decides; `None` of an order that waits for nobody.
pub(crate) fn decision(number: u32) -> Option<&'static str> {
    let is_rejected = number.is_multiple_of(50);
    is_large(number).then_some(if is_rejected { "reject" } else { "approve" })
}

/// The end of an order whose card was asked in time.
pub(crate) fn end(number: u32) -> End {
    match decision(number) {
        Some("reject") => End::Rejected,
        _ if is_too_much(number) || has_expired(number) => End::Cancelled,
        _ => End::Shipped,
    }
}

/// Returns true if the order's card has expired.
pub(crate) fn has_expired(number: u32) -> bool {
    number % 25 == 13
}

fn is_large(number: u32) -> bool {
    number.is_multiple_of(10)
}

fn is_too_much(number: u32) -> bool {
    number % 20 == 7
}
