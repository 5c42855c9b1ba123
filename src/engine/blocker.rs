//! Reasons that a transition can't fire now.

use std::fmt;

use serde::Serialize;

use super::RanOut;
use crate::models::{ArcKind, CaseStatus, PlaceId, TokenId};

/// One reason that a transition can't fire.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Blocker {
    /// The case does not run.
    Status {
        /// Its status.
        status: CaseStatus,
    },
    /// An arc finds fewer tokens than it needs.
    TooFewTokens {
        /// The arc's place.
        place: PlaceId,
        /// Kind of the arc: consume or read.
        kind: ArcKind,
        /// Number of tokens that it needs.
        needed: u64,
        /// Number of tokens there for it.
        present: u64,
    },
    /// An inhibitor arc's place holds too many tokens.
    Inhibited {
        /// The arc's place.
        place: PlaceId,
        /// Number of tokens from which on it forbids firing.
        limit: u64,
        /// Number of tokens there.
        present: u64,
    },
    /// A place could not hold the tokens that would come.
    OverCapacity {
        /// The place.
        place: PlaceId,
        /// Most tokens that it can hold.
        capacity: u64,
        /// Number of tokens that it would hold.
        after: u64,
    },
    /// No choice of tokens satisfies the guard: it is false for each.
    Guard {
        /// The condition that failed, for the oldest tokens.
        condition: String,
        /// Value that was found instead.
        explanation: String,
        /// Number of choices of tokens that were tried.
        bindings_tried: usize,
    },
    /// The guard holds for no choice of tokens, and could not be evaluated for one.
    GuardFailed {
        /// The condition that could not be evaluated.
        condition: String,
        /// Error of its evaluation.
        explanation: String,
        /// Number of choices of tokens that were tried.
        bindings_tried: usize,
    },
    /// Its cost ended the search for tokens, so nobody knows if it can fire.
    SearchStopped {
        /// The resource that ran out.
        #[serde(skip)]
        ran_out: RanOut,
        /// Number of choices of tokens that were tried.
        bindings_tried: usize,
    },
    /// A token that the caller named is not in a place that the transition takes from.
    TokenNotTaken {
        /// The token.
        token: TokenId,
        /// The place that holds it; absent if it is not alive in this case.
        place: Option<PlaceId>,
    },
    /// The output expression failed, so nothing can be produced.
    Output {
        /// The error.
        explanation: String,
    },
    /// Its tokens would be more than a record takes.
    TooLarge {
        /// The part that would be too large, its size, and the limit.
        explanation: String,
    },
}

impl Blocker {
    /// The resource that ran out, if that is the reason that nothing is known.
    pub fn ran_out(&self) -> Option<RanOut> {
        match self {
            Self::SearchStopped { ran_out, .. } => Some(*ran_out),
            _ => None,
        }
    }
}

impl fmt::Display for Blocker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status { status } => write!(f, "the case is {}", status.as_str()),
            Self::TooFewTokens { place, kind, needed, present } => {
                let verb = if *kind == ArcKind::Read { "reads" } else { "takes" };
                let missing = needed - present;
                write!(
                    f,
                    "the arc that {verb} {needed} from place {place} finds {present}: {missing} missing"
                )
            }
            Self::Inhibited { place, limit, present } => write!(
                f,
                "place {place} holds {present} and its inhibitor arc forbids {limit} or more"
            ),
            Self::OverCapacity { place, capacity, after } => {
                write!(f, "place {place} has capacity {capacity} and would hold {after}")
            }
            Self::Guard { condition, explanation, bindings_tried } => {
                write!(f, "the guard {condition} {explanation}")?;
                if *bindings_tried > 1 {
                    write!(f, " (and none of {bindings_tried} choices of tokens satisfies it)")?;
                }
                Ok(())
            }
            Self::GuardFailed { condition, explanation, bindings_tried } => {
                write!(f, "the guard {condition} could not be evaluated: {explanation}")?;
                if *bindings_tried > 1 {
                    write!(f, " (and none of {bindings_tried} choices of tokens satisfies it)")?;
                }
                Ok(())
            }
            Self::SearchStopped { ran_out, bindings_tried } => {
                write!(f, "the search stopped after {bindings_tried} choices of tokens: {ran_out}")
            }
            Self::TooLarge { explanation } => f.write_str(explanation),
            Self::TokenNotTaken { token, place: Some(place) } => {
                write!(f, "token {token} is in place {place}, which it does not take from")
            }
            Self::TokenNotTaken { token, place: None } => {
                write!(f, "token {token} is not alive in this case")
            }
            Self::Output { explanation } => write!(f, "the output expression {explanation}"),
        }
    }
}
