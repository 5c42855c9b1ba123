//! Soundness of free-choice workflow nets, from their structure alone.

use super::{
    class::{Class, clusters},
    cover::{place_cover, transition_cover},
    invariants::rank,
    siphons::PlaceSets,
    work::TooComplex,
    workflow_net::{WorkflowNet, list, short_circuit},
};
use crate::models::petri::Net;

/// The verdict of the rank theorem on a workflow net.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RankVerdict {
    /// It is sound.
    Sound,
    /// It is not sound, with every flaw that shows it; at least one.
    NotSound(Vec<Flaw>),
    /// The theorem says nothing of this net, for these reasons; at least one.
    NotApplicable(Vec<Inapplicable>),
}

/// A flaw that keeps the short-circuited net from being live and bounded. Ids are of its nodes, in
/// the order of the net.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// No weighted sum with these places in it is kept: tokens there pile up or get lost.
    #[error("the number of tokens is not kept in balance at {}", list(.0))]
    PlacesNotCovered(Vec<String>),
    /// No repetition has these transitions in it: a case that fires one of them can't end with
    /// nothing else left.
    #[error("no way through the net from its beginning to its end makes up for {}", list(.0))]
    TransitionsNotCovered(Vec<String>),
    /// The rank of the incidence matrix is not one less than there are clusters.
    #[error(
        "choices and joins don't match: the rank is {rank} for {clusters} clusters and not one less"
    )]
    Rank {
        /// The rank.
        rank: usize,
        /// Number of clusters.
        clusters: usize,
    },
    /// A siphon without the place where a case begins: it never gets a token, so that the
    /// transitions that take from it never fire.
    #[error("no token ever comes to {}", list(.0))]
    UnmarkedSiphon(Vec<String>),
}

/// Reason for which the rank theorem can't be asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Inapplicable {
    /// Arcs of a weight above 1.
    #[error("it has arcs with weights")]
    Weights,
    /// Read, inhibitor or reset arcs, or places with capacities.
    #[error("it has read, inhibitor or reset arcs, or capacities")]
    Extended,
    /// Places share some of their output transitions, but not all.
    #[error("it is not free-choice")]
    NotFreeChoice,
    /// The arithmetic takes too long.
    #[error(transparent)]
    TooComplex(#[from] TooComplex),
}

/// Decides the soundness of a workflow net, in polynomial time, if it is ordinary and (extended)
/// free-choice.
///
/// It is sound exactly if the short-circuited net is live and bounded with one token in the source
/// (van der Aalst 1997). A strongly connected free-choice net is so with some marking (it is
/// well-formed) exactly if it has a positive P-invariant, a positive T-invariant, and a rank one
/// less than there are clusters. It is then live with a marking exactly if this marks every siphon
/// (Desel and Esparza 1995, chapters 6 and 5).
pub fn rank_theorem(net: &Net, ends: WorkflowNet) -> RankVerdict {
    let class = Class::of(net);
    let reasons: Vec<_> = [
        (!class.plain).then_some(Inapplicable::Extended),
        (!class.ordinary).then_some(Inapplicable::Weights),
        (!class.extended_free_choice).then_some(Inapplicable::NotFreeChoice),
    ]
    .into_iter()
    .flatten()
    .collect();
    if !reasons.is_empty() {
        return RankVerdict::NotApplicable(reasons);
    }
    // A workflow net is strongly connected once its end leads to its beginning.
    match flaws(&short_circuit(net, ends)) {
        Ok(flaws) if flaws.is_empty() => RankVerdict::Sound,
        Ok(flaws) => RankVerdict::NotSound(flaws),
        Err(reason) => RankVerdict::NotApplicable(vec![reason.into()]),
    }
}

fn flaws(closed: &Net) -> Result<Vec<Flaw>, TooComplex> {
    let place = |at: &usize| closed.places[*at].id.clone();
    let transition = |at: &usize| closed.transitions[*at].id.clone();
    let mut flaws = Vec::new();
    let missing = place_cover(closed)?.missing();
    if !missing.is_empty() {
        flaws.push(Flaw::PlacesNotCovered(missing.iter().map(place).collect()));
    }
    let missing = transition_cover(closed)?.missing();
    if !missing.is_empty() {
        flaws.push(Flaw::TransitionsNotCovered(missing.iter().map(transition).collect()));
    }
    let (rank, clusters) = (rank(closed)?, clusters(closed).len());
    if rank + 1 != clusters {
        flaws.push(Flaw::Rank { rank, clusters });
    }
    let siphon = PlaceSets::of(closed).unmarked_siphon(&closed.initial());
    if !siphon.is_empty() {
        flaws.push(Flaw::UnmarkedSiphon(siphon.iter().map(place).collect()));
    }
    Ok(flaws)
}
