//! Invariants without negative weights, as wide as there can be.

use num_bigint::BigInt;

use super::{
    cone::widest,
    incidence::Incidence,
    invariants::{place_equations, transition_equations},
    work::TooComplex,
};
use crate::models::petri::Net;

/// Weights of at least 0, above 0 wherever that is possible at all. They are an exact solution,
/// and that nothing else can be above 0 is proved exactly too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cover {
    /// The weight of each place or transition, by index; without common divisor.
    pub weights: Vec<BigInt>,
}

impl Cover {
    /// Returns true if every weight is above 0.
    pub fn is_complete(&self) -> bool {
        self.weights.iter().all(|weight| *weight != BigInt::ZERO)
    }

    /// The indexes whose weight can't be above 0.
    pub fn missing(&self) -> Vec<usize> {
        let weights = self.weights.iter().enumerate();
        weights.filter(|(_, weight)| **weight == BigInt::ZERO).map(|(at, _)| at).collect()
    }

    /// The weights as machine numbers; `None` if one of them is too large.
    pub fn small(&self) -> Option<Vec<u64>> {
        self.weights.iter().map(|weight| weight.try_into().ok()).collect()
    }
}

/// A P-invariant `y >= 0` with as many places as any has: `y · M` is the same in every marking
/// `M` that is reached. If it is complete, the net is bounded whatever its initial marking, and
/// a token lost, doubled or in a place of another weight changes the sum.
pub fn place_cover(net: &Net) -> Result<Cover, TooComplex> {
    Ok(Cover { weights: widest(place_equations(net), net.places.len())? })
}

/// A T-invariant `x >= 0` with as many transitions as any has. If it is not complete, the net is
/// not live and bounded whatever its initial marking.
pub fn transition_cover(net: &Net) -> Result<Cover, TooComplex> {
    Ok(Cover { weights: widest(transition_equations(net), net.transitions.len())? })
}

/// Numbers of firings `x >= 0` with `C · x >= 0` for as many transitions as can be: fired so often, in
/// an order that can be, they take nothing away. In no firing sequence a transition without a number fires
/// again and again for ever, whatever the initial marking. Arcs of all kinds and capacities only take
/// markings away, so it holds with them too.
pub fn repeating(net: &Net) -> Result<Cover, TooComplex> {
    let transitions = net.transitions.len();
    let mut equations = Incidence::of(net).rows();
    // What is beyond 0 is one more unknown, at least 0, for each place.
    for (at, equation) in equations.iter_mut().enumerate() {
        equation.push((transitions + at, -1));
    }
    let unknowns = transitions + equations.len();
    let mut weights = widest(equations, unknowns)?;
    weights.truncate(transitions);
    Ok(Cover { weights })
}

/// Weights `y >= 0` with `y · C <= 0` for as many places as can be: no firing raises `y · M`,
/// so that each place with a weight is bounded, whatever the initial marking. Arcs of all kinds
/// and capacities only take markings away, so it holds with them too.
pub fn bounding_weights(net: &Net) -> Result<Cover, TooComplex> {
    let places = net.places.len();
    let mut equations = Incidence::of(net).columns;
    // What is lacking to 0 is one more unknown, at least 0, for each transition.
    for (at, equation) in equations.iter_mut().enumerate() {
        equation.push((places + at, 1));
    }
    let unknowns = places + equations.len();
    let mut weights = widest(equations, unknowns)?;
    weights.truncate(places);
    Ok(Cover { weights })
}
