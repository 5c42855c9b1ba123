//! Firings that can be repeated for ever and leave more tokens each time.

use crate::models::{
    ArcKind,
    petri::{Marking, Net},
};

/// A proof that places are unbounded: fire `prefix` from the initial marking, then `pump` as
/// often as you like, and each of `places` has more tokens each time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pump {
    /// The indexes of the places that grow.
    pub places: Vec<usize>,
    /// The transitions to fire once.
    pub prefix: Vec<usize>,
    /// The transitions to fire again and again.
    pub pump: Vec<usize>,
}

impl Pump {
    /// The proof that two sequences make, if they do.
    ///
    /// After the pump no place may have less than before. It can be repeated then, by the
    /// monotonicity of firing, unless an arc or a capacity looks at a place that has grown and
    /// asks for few tokens: a place with an inhibitor arc to the pump, or with a capacity and
    /// given to by the pump, must have exactly as many as before. A place that a reset arc of the
    /// pump empties does not grow, however much was there once.
    pub fn new(net: &Net, prefix: Vec<usize>, pump: Vec<usize>) -> Option<Self> {
        let before = fire_all(net, &prefix, net.initial())?;
        let after = fire_all(net, &pump, before.clone())?;
        if before.iter().zip(&after).any(|(before, after)| after < before) {
            return None;
        }
        let mut grows: Vec<_> = before.iter().zip(&after).map(|(a, b)| b > a).collect();
        let all_arcs = || pump.iter().map(|transition| &net.transitions[*transition].arcs);
        for arcs in all_arcs() {
            let inhibits = |kind| kind == ArcKind::Inhibitor;
            let looked_at = arcs.inputs.iter().filter(|arc| inhibits(arc.kind));
            let filled = arcs.outputs.iter().map(|(place, _)| *place);
            let limited = filled.filter(|place| net.places[*place].capacity.is_some());
            if looked_at.map(|arc| arc.place).chain(limited).any(|place| grows[place]) {
                return None;
            }
        }
        for arc in all_arcs().flat_map(|arcs| &arcs.inputs) {
            if arc.kind == ArcKind::Reset {
                grows[arc.place] = false;
            }
        }
        let places: Vec<_> = (0..grows.len()).filter(|place| grows[*place]).collect();
        (!places.is_empty()).then_some(Self { places, prefix, pump })
    }

    /// The ids of the places that grow, of the transitions to fire once, and of those to repeat.
    pub fn named(&self, net: &Net) -> (Vec<String>, Vec<String>, Vec<String>) {
        let ids = |of: &[usize]| of.iter().map(|t| net.transitions[*t].id.clone()).collect();
        let places = self.places.iter().map(|place| net.places[*place].id.clone());
        (places.collect(), ids(&self.prefix), ids(&self.pump))
    }
}

/// The marking after some firings, or `None` if one of them is not enabled.
fn fire_all(net: &Net, transitions: &[usize], mut marking: Marking) -> Option<Marking> {
    for transition in transitions {
        net.fire(*transition, &mut marking).ok()?;
    }
    Some(marking)
}
