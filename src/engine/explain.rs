//! Reasons that a transition can or can't fire.

use std::fmt::{self, Write};

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{
    Budget, Limits, MOST_TIMERS, Net, NetTransition, RanOut, binding::View, fire::would_give,
};
use crate::models::{
    ArcKind, Case, CaseId, CaseStatus, Incident, IncidentAbout, PlaceId, Timer, TokenId,
    TransitionId,
};

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

/// One way in which a transition can fire: the short form has one for each `from_places`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ModeExplanation {
    /// The place of the short form that this mode takes from, if it is one.
    pub from: Option<PlaceId>,
    /// True if it can fire now.
    pub enabled: bool,
    /// The tokens it would take, in arc order; empty when it can't fire.
    pub would_take: Vec<TokenId>,
    /// Everything that hinders it; empty when it can fire.
    pub blockers: Vec<Blocker>,
}

/// The present abilities of a transition, with the reasons.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct TransitionExplanation {
    /// The transition.
    pub transition: TransitionId,
    /// True if it fires by itself as soon as it is enabled.
    pub auto: bool,
    /// True if it fires by itself once it has been enabled for some time.
    pub timed: bool,
    /// True if one of its modes can fire now.
    pub enabled: bool,
    /// Its modes in the order in which they are tried.
    pub modes: Vec<ModeExplanation>,
}

/// A case, and the present abilities of each transition in it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Explanation {
    /// The case.
    pub case: CaseId,
    /// Its status.
    pub status: CaseStatus,
    /// One line for people: the status, and the transitions that can fire.
    pub summary: String,
    /// Its open incidents, oldest first.
    pub incidents: Vec<Incident>,
    /// Its timers that run, in the order of their times.
    pub timers: Vec<Timer>,
    /// Every transition of the net, in the order of the definition.
    pub transitions: Vec<TransitionExplanation>,
}

/// A transition that was asked to fire and can't.
#[derive(Debug, Clone, PartialEq, Serialize, thiserror::Error)]
#[error("transition {transition} can't fire in case {case}: {}", join(.modes))]
#[non_exhaustive]
pub struct NotEnabled {
    /// The case.
    pub case: CaseId,
    /// The transition.
    pub transition: TransitionId,
    /// Its modes, each with everything that hinders it.
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

/// Explains for each transition of `net` if it can fire in `case`, with the reasons.
pub fn explain(
    net: &Net,
    case: &Case,
    now: DateTime<Utc>,
    limits: Limits,
    budget: &Budget,
) -> Explanation {
    let view = View::new(net, case, now, budget);
    let explained = |transition| explain_one(&view, case, transition, &[], limits);
    let transitions: Vec<_> = net.transitions.iter().map(explained).collect();
    let names = |with: &dyn Fn(&TransitionExplanation) -> bool| {
        let names = transitions.iter().filter(|t| with(t)).map(|t| t.transition.as_str());
        names.collect::<Vec<_>>().join(", ")
    };
    let by_callers = |t: &TransitionExplanation| !t.auto && !t.timed;
    let enabled = names(&|t| t.enabled && by_callers(t));
    let unknown = names(&|t| !t.enabled && by_callers(t) && t.ran_out().is_some());
    let mut timers = case.timers.clone();
    timers.sort_by_key(|timer| (timer.due, timer.number));
    let mut summary = match case.status {
        CaseStatus::Running => match (enabled.is_empty(), unknown.is_empty()) {
            (true, true) if !timers.is_empty() => "running; waits for time".to_owned(),
            (true, true) => {
                "running, but no transition can fire: see what each one lacks".to_owned()
            }
            (false, true) => format!("running; can fire: {enabled}"),
            (true, false) => format!("running; it is not known whether these can fire: {unknown}"),
            (false, false) => {
                format!("running; can fire: {enabled}; it is not known of: {unknown}")
            }
        },
        CaseStatus::Paused => "paused; nothing fires until it is resumed".to_owned(),
        CaseStatus::Completed => "completed: every token is in a terminal place".to_owned(),
        CaseStatus::Cancelled => "cancelled: its tokens are gone".to_owned(),
    };
    write_timers(&mut summary, &timers);
    for Incident { number, about, code, .. } in &case.incidents {
        let of = match about {
            IncidentAbout::Cascade => "whatever fires by itself".to_owned(),
            IncidentAbout::Unknown => "a part that this version does not know".to_owned(),
            IncidentAbout::Transition(transition) => transition.to_string(),
        };
        let _ = write!(summary, "; incident {number} ({}) stops {of}", code.as_str());
    }
    let incidents = case.incidents.clone();
    let (case, status) = (case.id.clone(), case.status);
    Explanation { case, status, summary, incidents, timers, transitions }
}

/// Says when the next timer fires, and how many are more than may run at once.
fn write_timers(summary: &mut String, timers: &[Timer]) {
    let Some(next) = timers.first() else { return };
    let due = next.due.to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    let _ = match next.elapsed {
        true => {
            write!(summary, "; {} is due since {due}, and fires as soon as it can", next.transition)
        }
        false => write!(summary, "; {} fires at {due}", next.transition),
    };
    if timers.len() > 1 {
        let _ = write!(summary, ", the first of {} timers", timers.len());
    }
    if timers.len() >= MOST_TIMERS {
        summary.push_str(": as many as run at once, and others begin when these end");
    }
}

/// The transitions that a caller can fire now and that would take `token`.
///
/// # Errors
///
/// The first transition for which this is not known.
pub fn available(
    net: &Net,
    case: &Case,
    token: &TokenId,
    now: DateTime<Utc>,
    limits: Limits,
    budget: &Budget,
) -> Result<Vec<TransitionId>, NotEnabled> {
    let view = View::new(net, case, now, budget);
    let named = std::slice::from_ref(token);
    let mut can = Vec::new();
    for transition in net.transitions.iter().filter(|of| !of.fires_by_itself()) {
        let explained = explain_one(&view, case, transition, named, limits);
        if explained.enabled {
            can.push(explained.transition);
        } else if explained.ran_out().is_some() {
            let (case, transition) = (case.id.clone(), explained.transition);
            return Err(NotEnabled { case, transition, modes: explained.modes });
        }
    }
    Ok(can)
}

impl TransitionExplanation {
    /// The resource that ran out, if for that reason nobody knows if it can fire.
    pub fn ran_out(&self) -> Option<RanOut> {
        ran_out(&self.modes)
    }
}

impl NotEnabled {
    /// Everything that hinders each of its modes, in words.
    pub fn why(&self) -> String {
        join(&self.modes)
    }

    /// The resource that ran out, if for that reason nobody knows if it can fire.
    pub fn ran_out(&self) -> Option<RanOut> {
        ran_out(&self.modes)
    }
}

fn ran_out(modes: &[ModeExplanation]) -> Option<RanOut> {
    modes.iter().flat_map(|mode| &mode.blockers).find_map(Blocker::ran_out)
}

fn explain_one(
    view: &View<'_>,
    case: &Case,
    transition: &NetTransition,
    named: &[TokenId],
    limits: Limits,
) -> TransitionExplanation {
    let modes: Vec<_> = transition
        .modes
        .iter()
        .map(|mode| {
            let from = mode.from.map(|place| view.net.places[place].id.clone());
            let bound = view.bind(transition, mode, named);
            let bound =
                bound.and_then(|binding| would_give(view, case, transition, mode, binding, limits));
            match bound {
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
    let (auto, timed) = (transition.auto, transition.timing.is_some());
    TransitionExplanation { transition: transition.id.clone(), auto, timed, enabled, modes }
}
