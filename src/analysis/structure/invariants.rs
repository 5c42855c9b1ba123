//! Weighted sums that no firing changes, and firings that change nothing.

use num_bigint::BigInt;

use super::{
    elimination::kernel,
    incidence::{Incidence, Sparse},
    work::TooComplex,
};
use crate::models::{ArcKind, petri::Net};

/// An integer vector over the places (a P-invariant) or the transitions (a T-invariant) of a
/// net.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invariant {
    /// The weights that are not 0, by ascending index. Their greatest common divisor is 1.
    pub weights: Sparse<BigInt>,
}

impl Invariant {
    /// The weighted sum of a marking, or of the numbers of firings of the transitions.
    pub fn sum(&self, counts: &[u64]) -> BigInt {
        self.weights.iter().map(|(at, weight)| weight * counts[*at]).sum()
    }
}

/// The rank of the incidence matrix. A net has as many independent P-invariants as places
/// beyond it, and as many T-invariants as transitions beyond it.
pub fn rank(net: &Net) -> Result<usize, TooComplex> {
    let incidence = Incidence::of(net);
    // The system with fewer columns has fewer solutions to prove.
    if net.places.len() < net.transitions.len() {
        Ok(incidence.places - kernel(&incidence.columns, incidence.places)?.len())
    } else {
        let transitions = incidence.columns.len();
        Ok(transitions - kernel(&incidence.rows(), transitions)?.len())
    }
}

/// A basis of the P-invariants: vectors `y` with `y · C = 0`, so that `y · M` is the same in
/// every reachable marking `M`. A place that a reset arc empties can't be in one.
pub fn place_invariants(net: &Net) -> Result<Vec<Invariant>, TooComplex> {
    let equations = place_equations(net);
    let basis = kernel(&equations, net.places.len())?;
    Ok(basis.into_iter().map(|weights| Invariant { weights }).collect())
}

/// A basis of the T-invariants: vectors `x` with `C · x = 0`. Firing each transition as often as
/// a non-negative one says leads back to the same marking, if it can be done. A transition with
/// a reset arc can't be in one.
pub fn transition_invariants(net: &Net) -> Result<Vec<Invariant>, TooComplex> {
    let equations = transition_equations(net);
    let basis = kernel(&equations, net.transitions.len())?;
    Ok(basis.into_iter().map(|weights| Invariant { weights }).collect())
}

/// The equations that a P-invariant must solve.
pub(super) fn place_equations(net: &Net) -> Vec<Sparse<i128>> {
    let mut equations = Incidence::of(net).columns;
    let inputs = net.transitions.iter().flat_map(|transition| &transition.arcs.inputs);
    let emptied = inputs.filter(|arc| arc.kind == ArcKind::Reset);
    equations.extend(emptied.map(|arc| vec![(arc.place, 1)]));
    equations
}

/// The equations that a T-invariant must solve.
pub(super) fn transition_equations(net: &Net) -> Vec<Sparse<i128>> {
    let mut equations = Incidence::of(net).rows();
    for (at, transition) in net.transitions.iter().enumerate() {
        if transition.arcs.inputs.iter().any(|arc| arc.kind == ArcKind::Reset) {
            equations.push(vec![(at, 1)]);
        }
    }
    equations
}
