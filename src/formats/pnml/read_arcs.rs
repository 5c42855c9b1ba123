//! Read arcs. In a file one looks at all the tokens there are, those that another arc of the
//! transition takes among them; in our nets it needs tokens of its own. Both say the same with
//! other weights.

use std::collections::HashMap;

use super::{Arc, Direction, PnmlNet};
use crate::models::{ArcKind, petri::Input};

/// The demands of a transition's arcs on one place.
#[derive(Default)]
struct Looks {
    /// Number of tokens that they take.
    taken: u64,
    /// The most that one of them reads.
    most: u64,
    /// Number of tokens that they read together.
    sum: u64,
}

impl Looks {
    fn add(&mut self, kind: ArcKind, weight: u64) {
        match kind {
            ArcKind::Consume => self.taken = self.taken.saturating_add(weight),
            ArcKind::Read => {
                self.most = self.most.max(weight);
                self.sum = self.sum.saturating_add(weight);
            }
            ArcKind::Inhibitor | ArcKind::Reset => {}
        }
    }

    /// The tokens to read in our nets where this is meant in a file.
    fn ours(&self) -> u64 {
        self.most.saturating_sub(self.taken)
    }

    /// The tokens to read in a file where this is meant in our nets.
    fn in_file(&self) -> u64 {
        self.taken.saturating_add(self.sum)
    }
}

/// The inputs for our nets that mean the same as `inputs` in a file. Tokens that are looked at and
/// taken need no read arc; of several the largest says all.
pub(in crate::formats) fn from_file(inputs: Vec<Input>) -> Vec<Input> {
    with_reads(inputs, Looks::ours)
}

/// The inputs for a file that mean the same as `inputs` in our nets.
pub(in crate::formats) fn to_file(inputs: Vec<Input>) -> Vec<Input> {
    with_reads(inputs, Looks::in_file)
}

/// Number of tokens that each read arc of a file, by the arc's index, looks at and no other arc of
/// its transition takes or looks at: 0 if a read arc before it says all, and for other arcs.
pub(in crate::formats) fn own_weights(net: &PnmlNet) -> Vec<u64> {
    let mut looks: HashMap<(usize, usize), Looks> = HashMap::new();
    let inputs = net.arcs.iter().filter(|arc| arc.direction == Direction::ToTransition);
    for Arc { place, transition, kind, weight, .. } in inputs {
        looks.entry((*transition, *place)).or_default().add(*kind, *weight);
    }
    let own = |arc: &Arc| match arc.kind {
        ArcKind::Read => looks.remove(&(arc.transition, arc.place)).map_or(0, |of| of.ours()),
        _ => 0,
    };
    net.arcs.iter().map(own).collect()
}

/// The inputs with the first read arc of each place at the weight that is given for it, and no
/// other; with none where that is 0.
fn with_reads(mut inputs: Vec<Input>, weight: impl Fn(&Looks) -> u64) -> Vec<Input> {
    if inputs.iter().all(|arc| arc.kind != ArcKind::Read) {
        return inputs;
    }
    let mut looks: HashMap<usize, Looks> = HashMap::new();
    for arc in &inputs {
        looks.entry(arc.place).or_default().add(arc.kind, arc.weight);
    }
    inputs.retain_mut(|arc| {
        if arc.kind == ArcKind::Read {
            arc.weight = looks.remove(&arc.place).map_or(0, |of| weight(&of));
        }
        arc.kind != ArcKind::Read || arc.weight > 0
    });
    inputs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inputs(of: &[(ArcKind, u64)]) -> Vec<Input> {
        of.iter().map(|&(kind, weight)| Input { place: 0, weight, kind }).collect()
    }

    #[test]
    fn what_is_taken_is_looked_at_too_in_a_file_and_not_in_our_nets() {
        use ArcKind::{Consume, Read};
        for (file, ours) in [
            (&[(Read, 2)][..], &[(Read, 2)][..]),
            (&[(Consume, 1), (Read, 2)], &[(Consume, 1), (Read, 1)]),
            (&[(Read, 3), (Consume, 2)], &[(Read, 1), (Consume, 2)]),
        ] {
            assert_eq!(from_file(inputs(file)), inputs(ours));
            assert_eq!(to_file(inputs(ours)), inputs(file));
        }
        assert_eq!(from_file(inputs(&[(Consume, 2), (Read, 1)])), inputs(&[(Consume, 2)]));
        assert_eq!(from_file(inputs(&[(Read, 2), (Read, 3)])), inputs(&[(Read, 3)]));
        assert_eq!(to_file(inputs(&[(Read, 2), (Read, 3)])), inputs(&[(Read, 5)]));
        // A reset arc ignores its weight, and says something with any.
        let with_reset = inputs(&[(ArcKind::Reset, 0), (Read, 1)]);
        assert_eq!(from_file(with_reset.clone()), with_reset);
    }
}
