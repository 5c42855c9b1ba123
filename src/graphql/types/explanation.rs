//! Explanations of transitions that can or can't fire.

use async_graphql::{Enum, ID, SimpleObject};

use super::{ArcKind, CaseStatus, Timer, WorkItem};
use crate::{engine, graphql::scalars::int};

/// A case, and an explanation of each of its transitions.
#[derive(SimpleObject)]
pub(crate) struct Explanation {
    /// The case.
    case_id: ID,
    /// Its status.
    status: CaseStatus,
    /// One line for people: the steps that the case can take, or the things that it waits for.
    summary: String,
    /// Its timers that run, in the order of their times.
    timers: Vec<Timer>,
    /// Its open work items, oldest first.
    work_items: Vec<WorkItem>,
    /// Every transition of the net, in the order of the definition.
    transitions: Vec<TransitionExplanation>,
}

/// An explanation of a transition: its modes, and the reasons against each.
#[derive(SimpleObject)]
struct TransitionExplanation {
    /// The transition.
    transition_id: ID,
    /// True if it fires by itself as soon as it is enabled.
    auto: bool,
    /// True if it fires by itself once it has been enabled for some time.
    timed: bool,
    /// True if it fires when a worker has done its work.
    activity: bool,
    /// The id of the queue where workers look for it, if it is an activity.
    queue: Option<ID>,
    /// The id of its kind of work, if it is an activity.
    kind: Option<ID>,
    /// True if one of its modes can fire now.
    enabled: bool,
    /// Its modes in the order in which they are tried.
    modes: Vec<ModeExplanation>,
}

/// One way in which a transition can fire: the short form has one for each of `fromPlaces`.
#[derive(SimpleObject)]
struct ModeExplanation {
    /// The id of the place of the short form that this mode takes from, if it is one.
    #[graphql(name = "from")]
    from_place: Option<ID>,
    /// The id of the outcome of an activity by which this mode ends, if it has outcomes.
    outcome: Option<ID>,
    /// True if it can fire now.
    enabled: bool,
    /// The ids of the tokens it would take, in arc order; empty when it can't fire.
    would_take: Vec<ID>,
    /// Everything that hinders it; empty when it can fire.
    blockers: Vec<Blocker>,
}

/// The kind of a reason against a firing.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq, Default)]
enum BlockerReason {
    /// The case does not run: `status`.
    #[default]
    Status,
    /// An arc finds fewer tokens than it needs: `placeId`, `arc`, `needed`, `present`.
    TooFewTokens,
    /// An inhibitor arc's place holds `limit` tokens or more: `placeId`, `limit`, `present`.
    Inhibited,
    /// A place could not hold the tokens that would come: `placeId`, `limit`, `needed`.
    OverCapacity,
    /// The guard is false for every choice of tokens: `condition`, `explanation`.
    Guard,
    /// The guard holds for no choice of tokens, and could not be evaluated for one: `condition`,
    /// `explanation`.
    GuardFailed,
    /// The search for tokens ended at a limit, without an answer: `explanation`.
    SearchStopped,
    /// A token that the caller named is in a place that the transition does not take from:
    /// `tokenId`, `placeId`.
    TokenNotTaken,
    /// The output expression failed: `explanation`.
    Output,
    /// The tokens it would give are more than a record takes: `explanation`.
    TooLarge,
}

/// One reason against a firing. Its kind decides on the fields that are set.
#[derive(SimpleObject, Default)]
struct Blocker {
    /// The kind of reason.
    reason: BlockerReason,
    /// The whole reason, for people.
    message: String,
    /// The case's status.
    status: Option<CaseStatus>,
    /// The place.
    place_id: Option<ID>,
    /// The effect of the arc.
    arc: Option<ArcKind>,
    /// Number of tokens that are needed, or would be there.
    needed: Option<i32>,
    /// Number of tokens that are there.
    present: Option<i32>,
    /// Number of tokens that an inhibitor arc forbids, or that a place can hold.
    limit: Option<i32>,
    /// The condition that failed, for the oldest tokens.
    condition: Option<String>,
    /// The cause of the failure.
    explanation: Option<String>,
    /// The token.
    token_id: Option<ID>,
}

impl From<engine::Explanation> for Explanation {
    fn from(explanation: engine::Explanation) -> Self {
        let transition = |of: engine::TransitionExplanation| TransitionExplanation {
            transition_id: ID::from(&of.transition),
            auto: of.auto,
            timed: of.timed,
            activity: of.activity,
            queue: of.queue.map(|queue| ID::from(queue.as_str())),
            kind: of.kind.map(|kind| ID::from(kind.as_str())),
            enabled: of.enabled,
            modes: of.modes.iter().map(ModeExplanation::from).collect(),
        };
        Self {
            case_id: ID::from(&explanation.case),
            status: explanation.status.into(),
            summary: explanation.summary,
            timers: explanation.timers.iter().map(Timer::of).collect(),
            work_items: WorkItem::all(&explanation.items, &explanation.incidents),
            transitions: explanation.transitions.into_iter().map(transition).collect(),
        }
    }
}

impl From<&engine::ModeExplanation> for ModeExplanation {
    fn from(mode: &engine::ModeExplanation) -> Self {
        Self {
            from_place: mode.from.as_ref().map(ID::from),
            outcome: mode.outcome.as_ref().map(|outcome| ID::from(outcome.as_str())),
            enabled: mode.enabled,
            would_take: mode.would_take.iter().map(ID::from).collect(),
            blockers: mode.blockers.iter().map(Blocker::from).collect(),
        }
    }
}

impl From<&engine::Blocker> for Blocker {
    fn from(blocker: &engine::Blocker) -> Self {
        use engine::Blocker as Of;
        let mut to = Self { message: blocker.to_string(), ..Self::default() };
        match blocker {
            Of::Status { status } => to.status = Some((*status).into()),
            Of::TooFewTokens { place, kind, needed, present } => {
                to.reason = BlockerReason::TooFewTokens;
                (to.place_id, to.arc) = (Some(ID::from(place)), Some((*kind).into()));
                (to.needed, to.present) = (Some(int(*needed)), Some(int(*present)));
            }
            Of::Inhibited { place, limit, present } => {
                to.reason = BlockerReason::Inhibited;
                to.place_id = Some(ID::from(place));
                (to.limit, to.present) = (Some(int(*limit)), Some(int(*present)));
            }
            Of::OverCapacity { place, capacity, after } => {
                to.reason = BlockerReason::OverCapacity;
                to.place_id = Some(ID::from(place));
                (to.limit, to.needed) = (Some(int(*capacity)), Some(int(*after)));
            }
            Of::Guard { condition, explanation, .. } => {
                to.reason = BlockerReason::Guard;
                to.condition = Some(condition.clone());
                to.explanation = Some(explanation.clone());
            }
            Of::GuardFailed { condition, explanation, .. } => {
                to.reason = BlockerReason::GuardFailed;
                to.condition = Some(condition.clone());
                to.explanation = Some(explanation.clone());
            }
            Of::SearchStopped { ran_out, .. } => {
                to.reason = BlockerReason::SearchStopped;
                to.explanation = Some(ran_out.to_string());
            }
            Of::TooLarge { explanation } => {
                to.reason = BlockerReason::TooLarge;
                to.explanation = Some(explanation.clone());
            }
            Of::TokenNotTaken { token, place } => {
                to.reason = BlockerReason::TokenNotTaken;
                (to.token_id, to.place_id) = (Some(ID::from(token)), place.as_ref().map(ID::from));
            }
            Of::Output { explanation } => {
                to.reason = BlockerReason::Output;
                to.explanation = Some(explanation.clone());
            }
        }
        to
    }
}
