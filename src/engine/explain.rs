//! Why a transition can or can't fire.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{Net, NetTransition, binding::View};
use crate::models::{ArcKind, Case, CaseId, CaseStatus, PlaceId, TokenId, TransitionId};

/// One reason why a transition can't fire.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
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
        /// Consume or read.
        kind: ArcKind,
        /// How many it needs.
        needed: u64,
        /// How many there are for it.
        present: u64,
    },
    /// An inhibitor arc's place holds too many tokens.
    Inhibited {
        /// The arc's place.
        place: PlaceId,
        /// It forbids so many or more.
        limit: u64,
        /// How many there are.
        present: u64,
    },
    /// A place could not hold the tokens that would come.
    OverCapacity {
        /// The place.
        place: PlaceId,
        /// What it can hold.
        capacity: u64,
        /// What it would hold.
        after: u64,
    },
    /// No choice of tokens satisfies the guard.
    Guard {
        /// The condition that failed, for the oldest tokens.
        condition: String,
        /// Why: it is false, or how its evaluation failed.
        explanation: String,
        /// How many choices of tokens were tried.
        bindings_tried: usize,
    },
    /// A token that the caller named is not in a place that the transition takes from.
    TokenNotTaken {
        /// The token.
        token: TokenId,
        /// Where it is; absent if it is not alive in this case.
        place: Option<PlaceId>,
    },
    /// The output expression failed, so nothing can be produced.
    Output {
        /// Why.
        explanation: String,
    },
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

/// One way in which a transition can fire: the short form has one for each `from_places`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ModeExplanation {
    /// The place of the short form that this mode takes from, if it is one.
    pub from: Option<PlaceId>,
    /// Whether it can fire now.
    pub enabled: bool,
    /// The tokens it would take, in arc order; empty when it can't fire.
    pub would_take: Vec<TokenId>,
    /// Everything that hinders it; empty when it can fire.
    pub blockers: Vec<Blocker>,
}

/// What a transition can do now, and why.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TransitionExplanation {
    /// The transition.
    pub transition: TransitionId,
    /// Whether one of its modes can fire now.
    pub enabled: bool,
    /// Its modes in the order in which they are tried.
    pub modes: Vec<ModeExplanation>,
}

/// A case, and what each transition can do in it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explanation {
    /// The case.
    pub case: CaseId,
    /// Its status.
    pub status: CaseStatus,
    /// One line for people: what the case can do, or what it waits for.
    pub summary: String,
    /// Every transition of the net, in the order of the definition.
    pub transitions: Vec<TransitionExplanation>,
}

/// A transition that was asked to fire and can't.
#[derive(Debug, Clone, PartialEq, Serialize, thiserror::Error)]
#[error("transition {transition} can't fire in case {case}: {}", join(.modes))]
pub struct NotEnabled {
    /// The case.
    pub case: CaseId,
    /// The transition.
    pub transition: TransitionId,
    /// What hinders each of its modes.
    pub modes: Vec<ModeExplanation>,
}

fn join(modes: &[ModeExplanation]) -> String {
    let mode = |mode: &ModeExplanation| {
        let blockers: Vec<_> = mode.blockers.iter().map(Blocker::to_string).collect();
        match &mode.from {
            Some(place) if modes.len() > 1 => format!("from {place}: {}", blockers.join("; ")),
            _ => blockers.join("; "),
        }
    };
    modes.iter().map(mode).collect::<Vec<_>>().join(" | ")
}

/// What each transition of `net` can do in `case`, and why.
pub fn explain(net: &Net, case: &Case, now: DateTime<Utc>) -> Explanation {
    let view = View::new(net, case, now);
    let transitions: Vec<_> =
        net.transitions.iter().map(|transition| explain_one(&view, transition, &[])).collect();
    let enabled: Vec<_> =
        transitions.iter().filter(|t| t.enabled).map(|t| t.transition.as_str()).collect();
    let summary = match case.status {
        CaseStatus::Running if enabled.is_empty() => {
            "running, but no transition can fire: see what each one lacks".to_owned()
        }
        CaseStatus::Running => format!("running; can fire: {}", enabled.join(", ")),
        CaseStatus::Paused => "paused; nothing fires until it is resumed".to_owned(),
        CaseStatus::Completed => "completed: every token is in a terminal place".to_owned(),
        CaseStatus::Cancelled => "cancelled: its tokens are gone".to_owned(),
    };
    Explanation { case: case.id.clone(), status: case.status, summary, transitions }
}

/// The transitions that can fire now and would take `token`.
pub fn available(net: &Net, case: &Case, token: &TokenId, now: DateTime<Utc>) -> Vec<TransitionId> {
    let view = View::new(net, case, now);
    let named = std::slice::from_ref(token);
    let can = |transition: &&NetTransition| explain_one(&view, transition, named).enabled;
    net.transitions.iter().filter(can).map(|transition| transition.id.clone()).collect()
}

fn explain_one(
    view: &View<'_>,
    transition: &NetTransition,
    named: &[TokenId],
) -> TransitionExplanation {
    let modes: Vec<_> = transition
        .modes
        .iter()
        .map(|mode| {
            let from = mode.from.map(|place| view.net.places[place].id.clone());
            match view.bind(transition, mode, named) {
                Ok(binding) => ModeExplanation {
                    from,
                    enabled: true,
                    would_take: binding.consumed.iter().map(|token| token.id.clone()).collect(),
                    blockers: Vec::new(),
                },
                Err(blockers) => {
                    ModeExplanation { from, enabled: false, would_take: Vec::new(), blockers }
                }
            }
        })
        .collect();
    let enabled = modes.iter().any(|mode| mode.enabled);
    TransitionExplanation { transition: transition.id.clone(), enabled, modes }
}
