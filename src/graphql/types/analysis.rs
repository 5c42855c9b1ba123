//! The result of the check of a workflow.

use async_graphql::{Enum, ID, SimpleObject};

use crate::{analysis, graphql::scalars::int};

/// The verdict on a workflow. It is sound if a case can always end, nothing is left over when it
/// does, and every transition can fire.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "analysis::Verdict")]
pub enum Verdict {
    /// It is sound.
    Sound,
    /// It is not; the findings have the reasons.
    Unsound,
    /// It could not be decided: a limit was reached, or reset and inhibitor arcs may clear away
    /// the tokens that pile up; the findings have the reason.
    Unknown,
}

/// The method that decided the verdict on a workflow.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "analysis::Method")]
pub enum AnalysisMethod {
    /// The shape of the net: it is no workflow net.
    Shape,
    /// The rank theorem for free-choice nets, in polynomial time.
    RankTheorem,
    /// A look at every marking that can be reached.
    StateSpace,
    /// The coverability of a marking that grows without end.
    Coverability,
    /// No method: the verdict is unknown.
    Undecided,
}

/// The answer to the question if something can go on for ever.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "analysis::ForEver")]
pub enum ForEver {
    /// It can't.
    No,
    /// It can, unless conditions stop it.
    Yes,
    /// It could not be decided.
    Unknown,
}

/// The kind of a finding.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FindingKind {
    /// It is no workflow net: one start, one end, everything on a way between them.
    NotAWorkflowNet,
    /// A transition that can never fire: `transitionId`.
    DeadTransition,
    /// A case can get stuck before its end: `marking`, `path`.
    Deadlock,
    /// A case can come to a marking from which it can go on, but never end: `marking`, `path`.
    NoWayToEnd,
    /// A case can reach the end while other tokens are still there: `marking`, `path`.
    LeftOver,
    /// Places can hold any number of tokens: `placeIds`, `path`, `pump`.
    Unbounded,
    /// A reason in the net's structure, with no firing sequence that shows it.
    #[default]
    Structure,
    /// A limit was reached.
    Limit,
}

/// Number of tokens of a place in a marking.
#[derive(SimpleObject)]
#[graphql(name = "PlaceTokens")]
pub(super) struct Held {
    /// The place.
    place_id: ID,
    /// Number of tokens; 2,147,483,647 where there are more.
    tokens: i32,
}

impl Held {
    pub(super) fn new(place: &str, tokens: &u64) -> Self {
        Self { place_id: ID::from(place), tokens: int(*tokens) }
    }
}

/// Something that keeps a workflow from being sound, or from being judged. Its kind decides on the
/// fields that are set. A transition with `fromPlaces` is named with the place it takes from, as
/// in `approve.draft`.
#[derive(SimpleObject, Default)]
pub(super) struct Finding {
    /// Its kind.
    kind: FindingKind,
    /// All of it, for people.
    message: String,
    /// The transition.
    transition_id: Option<ID>,
    /// The places that grow.
    place_ids: Vec<ID>,
    /// The marking.
    marking: Vec<Held>,
    /// The firing sequence that leads there from the start, as short as any.
    path: Vec<String>,
    /// The firing sequence that can be repeated for ever.
    pump: Vec<String>,
}

/// The result of the check of a workflow. Guards are left out of it: a guard may be true or false.
#[derive(SimpleObject)]
pub(crate) struct WorkflowAnalysis {
    /// The verdict.
    verdict: Verdict,
    /// The method that decided it.
    decided_by: AnalysisMethod,
    /// The reasons for any other verdict than sound; empty for a sound workflow.
    findings: Vec<Finding>,
    /// Notes for the reader of the verdict: assumptions, and parts left out.
    notes: Vec<String>,
    /// Number of places of the net.
    places: i32,
    /// Number of transitions of the net, alternatives counted one by one.
    transitions: i32,
    /// Number of arcs of the net.
    arcs: i32,
    /// True if transitions that share an input place share all of them.
    free_choice: bool,
    /// Number of markings that a case can reach, where they were counted; 2,147,483,647 where
    /// there are more.
    states: Option<i32>,
    /// The most tokens that a place can hold, where that is known; 2,147,483,647 where it is more.
    bound: Option<i32>,
    /// Tells if immediate transitions can follow one another for ever, without a caller, a worker or
    /// time. Null if there are none, or if the net is no workflow net.
    runs_for_ever: Option<ForEver>,
    /// The transitions that can follow one another for ever, or may if it is unknown.
    repeating: Vec<ID>,
}

impl From<&analysis::Report> for WorkflowAnalysis {
    fn from(report: &analysis::Report) -> Self {
        let count = |count: usize| int(count as u64);
        Self {
            verdict: report.verdict.into(),
            decided_by: report.decided_by.into(),
            findings: report.findings.iter().map(Finding::from).collect(),
            notes: report.notes.clone(),
            places: count(report.net.places),
            transitions: count(report.net.transitions),
            arcs: count(report.net.arcs),
            free_choice: report.net.free_choice,
            states: report.net.states.map(int),
            bound: report.net.bound.map(int),
            runs_for_ever: report.net.endless.as_ref().map(|of| of.answer.into()),
            repeating: report
                .net
                .endless
                .iter()
                .flat_map(|of| of.transitions.iter().map(ID::from))
                .collect(),
        }
    }
}

impl From<&analysis::Finding> for Finding {
    fn from(finding: &analysis::Finding) -> Self {
        use analysis::Finding as Of;
        let mut to = Self { message: finding.to_string(), ..Self::default() };
        let held = |marking: &[analysis::Held]| {
            let one = |held: &analysis::Held| Held {
                place_id: ID(held.place.clone()),
                tokens: int(held.tokens),
            };
            marking.iter().map(one).collect()
        };
        let mut witness = |kind, marking: &[analysis::Held], path: &[String]| {
            (to.kind, to.marking, to.path) = (kind, held(marking), path.to_vec());
        };
        match finding {
            Of::NotAWorkflowNet { .. } => to.kind = FindingKind::NotAWorkflowNet,
            Of::DeadTransition { transition } => {
                to.kind = FindingKind::DeadTransition;
                to.transition_id = Some(ID(transition.clone()));
            }
            Of::Deadlock { marking, path } => witness(FindingKind::Deadlock, marking, path),
            Of::NoWayToEnd { marking, path } => witness(FindingKind::NoWayToEnd, marking, path),
            Of::LeftOver { marking, path } => witness(FindingKind::LeftOver, marking, path),
            Of::Unbounded { places, path, pump } => {
                to.kind = FindingKind::Unbounded;
                to.place_ids = places.iter().map(|place| ID(place.clone())).collect();
                (to.path, to.pump) = (path.clone(), pump.clone());
            }
            Of::Structure { .. } => to.kind = FindingKind::Structure,
            Of::Limit { .. } => to.kind = FindingKind::Limit,
        }
        to
    }
}
