//! Properties of a net with its own initial marking, be it a workflow or not.

use num_bigint::BigInt;
use serde::{Serialize, Serializer};

use super::{
    coverability::{Bounded, Boundedness, Pump, boundedness},
    state_space::{Limits, StateSpace, Stopped, Watch, explore_partly},
    structure::{
        Class, Commoner, Cover, Invariant, Minimal, PlaceSets, WorkflowNet, bounding_weights,
        place_cover, place_invariants, rank, transition_cover, transition_invariants,
    },
};
use crate::models::{ArcKind, petri::Net};

/// Minimal siphons and traps that are searched for at most.
const MOST_SETS: usize = 1_000;

/// Steps, roughly, that the search for siphons may take, and that for traps: a fraction of a
/// second. One search looks at the arcs once for each place.
const STEPS: usize = 50_000_000;

/// Properties of a net. An absent one was not found out within the limits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Properties {
    /// Number of places.
    pub places: usize,
    /// Number of transitions.
    pub transitions: usize,
    /// Number of arcs.
    pub arcs: usize,
    /// Number of tokens of the initial marking.
    #[serde(serialize_with = "super::count::count")]
    pub tokens: u128,
    /// The class of the net, by its arcs alone.
    pub class: Class,
    /// True if it has one source, one sink, and everything on a way between them.
    pub workflow_net: bool,
    /// The rank of the incidence matrix.
    pub rank: Option<usize>,
    /// A basis of the P-invariants: weights of places whose weighted sum of tokens no firing
    /// changes.
    pub place_invariants: Option<Vec<Weights>>,
    /// A basis of the T-invariants: numbers of firings that together change nothing.
    pub transition_invariants: Option<Vec<Weights>>,
    /// True if a P-invariant has a weight above 0 for each place: the net is bounded then, with
    /// any initial marking.
    pub covered_by_place_invariants: Option<bool>,
    /// True if a T-invariant has a number above 0 for each transition: a net that is live and
    /// bounded has.
    pub covered_by_transition_invariants: Option<bool>,
    /// The minimal siphons: sets of places that stay empty once they are, with no other in them.
    pub siphons: PlaceLists,
    /// The minimal traps: sets of places that stay marked once they are, with no other in them.
    pub traps: PlaceLists,
    /// True if every siphon contains a trap with a token in the initial marking (Commoner's
    /// condition): an ordinary net without other arcs than consuming ones never gets stuck then,
    /// and a free-choice one is live exactly then.
    pub commoner: Option<bool>,
    /// A minimal siphon without such a trap.
    pub siphon_without_marked_trap: Option<Vec<String>>,
    /// True if no place can hold more than some number of tokens.
    pub bounded: Option<bool>,
    /// A way in which a place can get any number of tokens, if one can.
    pub pump: Option<Pumped>,
    /// The markings that can be reached, if they are bounded and within the limits.
    pub state_space: Option<Markings>,
    /// The part of the markings that was seen until a limit ended the look at them.
    pub so_far: Option<SoFar>,
    /// The limit that ended the look at the markings.
    #[serde(serialize_with = "text")]
    pub stopped: Option<Stopped>,
}

/// Sets of places.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlaceLists {
    /// The sets found.
    pub minimal: Vec<Vec<String>>,
    /// True if these are all.
    pub complete: bool,
}

/// Weights by the id of a place or transition; those that are 0 are left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Weights(pub Vec<Weight>);

/// One weight of an invariant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Weight {
    /// The place or transition.
    pub id: String,
    /// Its weight; text where readers of JSON would round it.
    #[serde(serialize_with = "number")]
    pub weight: BigInt,
}

/// A firing sequence that can be repeated for ever and adds tokens each time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pumped {
    /// The places that grow.
    pub places: Vec<String>,
    /// The transitions to fire once.
    pub path: Vec<String>,
    /// The transitions to fire again and again.
    pub pump: Vec<String>,
}

/// The markings that a net reaches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Markings {
    /// Number of markings.
    pub states: usize,
    /// Number of enabled transitions, summed over all markings.
    pub firings: u64,
    /// Number of pairs of markings of which a firing leads from the first to the second.
    pub distinct_edges: u64,
    /// Number of markings that enable nothing.
    pub dead_markings: u64,
    /// A shortest firing sequence to a marking that enables nothing.
    pub deadlock: Option<Vec<String>>,
    /// The most tokens that a place holds.
    #[serde(serialize_with = "super::count::count")]
    pub k_bound: u64,
    /// True if no place holds more than one.
    pub safe: bool,
    /// The most tokens that a marking has.
    #[serde(serialize_with = "super::count::count")]
    pub max_tokens: u128,
    /// The transitions that are never enabled.
    pub dead_transitions: Vec<String>,
    /// True if from every marking every transition can be enabled again.
    pub live: Option<bool>,
    /// True if the initial marking can be reached again from every marking.
    pub reversible: Option<bool>,
}

/// The part of a net's markings that was seen, where not all could be looked at: all of it is so,
/// and there may be more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SoFar {
    /// Number of markings found.
    pub states: usize,
    /// Number of enabled transitions, summed over the markings that were looked at.
    pub firings: u64,
    /// The most tokens that a place holds in those that were found.
    #[serde(serialize_with = "super::count::count")]
    pub bound_at_least: u64,
    /// A shortest firing sequence to a marking that enables nothing, if one was found.
    pub deadlock: Option<Vec<String>>,
    /// The transitions that none of the markings that were looked at enables.
    pub not_enabled_yet: Vec<String>,
}

fn number<S: Serializer>(weight: &BigInt, serializer: S) -> Result<S::Ok, S::Error> {
    match i64::try_from(weight) {
        Ok(weight) if weight.unsigned_abs() < 1 << 53 => serializer.serialize_i64(weight),
        _ => serializer.serialize_str(&weight.to_string()),
    }
}

fn text<S: Serializer>(stopped: &Option<Stopped>, serializer: S) -> Result<S::Ok, S::Error> {
    stopped.map(|stopped| stopped.to_string()).serialize(serializer)
}

/// Finds the properties of a net, within the limits.
pub fn properties(net: &Net, limits: &Limits, watch: &mut Watch<'_>) -> Properties {
    let places = |at: usize| net.places[at].id.clone();
    let transitions = |at: usize| net.transitions[at].id.clone();
    let basis = |basis: Vec<Invariant>, id: &dyn Fn(usize) -> String| {
        let weight = |(at, weight): (usize, BigInt)| Weight { id: id(at), weight };
        let weights = |of: Invariant| Weights(of.weights.into_iter().map(weight).collect());
        basis.into_iter().map(weights).collect()
    };
    let covered = |cover: &Cover| cover.is_complete();
    let place_basis = place_invariants(net).ok();
    // A reset arc takes away from the basis, but not from the rank.
    let mut inputs = net.transitions.iter().flat_map(|transition| &transition.arcs.inputs);
    let resets = inputs.any(|arc| arc.kind == ArcKind::Reset);
    let rank = match &place_basis {
        Some(basis) if !resets => Some(net.places.len() - basis.len()),
        _ => rank(net).ok(),
    };
    let place_cover = place_cover(net).ok();
    let sets = PlaceSets::of(net);
    let searches =
        (STEPS / (net.places.len() * (net.places.len() + net.arcs())).max(1)).min(MOST_SETS);
    let (siphons, traps) = (sets.minimal_siphons(searches), sets.minimal_traps(searches));
    let list = |set: &Vec<usize>| set.iter().map(|place| places(*place)).collect();
    let lists = |of: &Minimal| PlaceLists {
        minimal: of.sets.iter().map(list).collect(),
        complete: of.complete,
    };
    let (commoner, failing) = match sets.commoner(&net.initial(), &siphons) {
        Commoner::Holds => (Some(true), None),
        Commoner::Fails { siphon, .. } => (Some(false), Some(list(&siphon))),
        Commoner::Unknown => (None, None),
    };
    let mut found = Properties {
        places: net.places.len(),
        transitions: net.transitions.len(),
        arcs: net.arcs(),
        tokens: net.places.iter().map(|place| u128::from(place.tokens)).sum(),
        class: Class::of(net),
        workflow_net: WorkflowNet::of(net).is_ok(),
        rank,
        place_invariants: place_basis.map(|of| basis(of, &places)),
        transition_invariants: transition_invariants(net).ok().map(|of| basis(of, &transitions)),
        covered_by_place_invariants: place_cover.as_ref().map(covered),
        covered_by_transition_invariants: transition_cover(net).ok().as_ref().map(covered),
        siphons: lists(&siphons),
        traps: lists(&traps),
        commoner,
        siphon_without_marked_trap: failing,
        bounded: None,
        pump: None,
        state_space: None,
        so_far: None,
        stopped: None,
    };
    // Weights of which the sum is kept are such of which it is not raised.
    let small = |cover: Cover| cover.small().filter(|_| cover.is_complete());
    let kept = place_cover.and_then(small);
    let weights = kept.or_else(|| bounding_weights(net).ok().and_then(small));
    match boundedness(net, weights.as_deref(), limits, &mut *watch) {
        Boundedness::Bounded(Bounded::States(space)) | Boundedness::Unknown(space) => {
            found.note(&space, limits, watch);
        }
        Boundedness::Bounded(Bounded::Weights) => {
            found.bounded = Some(true);
            found.note(&explore_partly(net, limits, &mut *watch), limits, watch);
        }
        Boundedness::Unbounded(pump) => {
            found.bounded = Some(false);
            found.pump = Some(Pumped::of(net, &pump));
        }
    }
    found
}

impl Properties {
    fn note(&mut self, space: &StateSpace<'_>, limits: &Limits, watch: &mut Watch<'_>) {
        if let Some(stopped) = space.stopped() {
            self.stopped = Some(stopped);
            self.so_far = Some(SoFar::of(space));
            return;
        }
        self.bounded = Some(true);
        let (markings, stopped) = Markings::of(space, limits, watch);
        (self.state_space, self.stopped) = (Some(markings), stopped);
    }
}

impl SoFar {
    fn of(space: &StateSpace<'_>) -> Self {
        let id = |transition: usize| space.net().transitions[transition].id.clone();
        Self {
            states: space.states(),
            firings: space.firings(),
            bound_at_least: space.k_bound(),
            deadlock: space.first_dead().map(|at| space.path(at).into_iter().map(id).collect()),
            not_enabled_yet: space.dead_transitions().map(id).collect(),
        }
    }
}

impl Pumped {
    fn of(net: &Net, found: &Pump) -> Self {
        let (places, path, pump) = found.named(net);
        Self { places, path, pump }
    }
}

impl Markings {
    fn of(
        space: &StateSpace<'_>,
        limits: &Limits,
        watch: &mut Watch<'_>,
    ) -> (Self, Option<Stopped>) {
        let id = |transition: usize| space.net().transitions[transition].id.clone();
        let graph = space.graph(limits, &mut *watch);
        let markings = Self {
            states: space.states(),
            firings: space.firings(),
            distinct_edges: space.distinct_edges(),
            dead_markings: space.dead_markings(),
            deadlock: space.first_dead().map(|at| space.path(at).into_iter().map(id).collect()),
            k_bound: space.k_bound(),
            safe: space.is_safe(),
            max_tokens: space.max_tokens(),
            dead_transitions: space.dead_transitions().map(id).collect(),
            live: graph.as_ref().ok().map(|graph| graph.is_live()),
            reversible: graph.as_ref().ok().map(|graph| graph.is_reversible()),
        };
        (markings, graph.err())
    }
}
