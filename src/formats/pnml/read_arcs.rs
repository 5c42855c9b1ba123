//! What a read arc looks at. In a file it looks at whatever tokens there are, those that another
//! arc of the transition takes among them; in our nets it needs tokens of its own. Both say the
//! same with other weights.

use super::{Arc, Direction, PnmlNet};
use crate::models::{
    ArcKind,
    petri::{Arcs, Input},
};

/// The inputs that mean in our nets what `inputs` mean in a file. What is looked at and taken
/// needs no read arc; of several the largest says all.
pub(super) fn from_file(inputs: Vec<Input>) -> Vec<Input> {
    with_reads(inputs, |arcs, place| {
        let reads = arcs.inputs.iter().filter(|arc| is_read(arc, place));
        let most = reads.map(|arc| arc.weight).max().unwrap_or_default();
        most.saturating_sub(arcs.weight(place, ArcKind::Consume))
    })
}

/// The inputs that mean in a file what `inputs` mean in our nets.
pub(super) fn to_file(inputs: Vec<Input>) -> Vec<Input> {
    with_reads(inputs, |arcs, place| {
        let taken = arcs.weight(place, ArcKind::Consume);
        taken.saturating_add(arcs.weight(place, ArcKind::Read))
    })
}

/// How many tokens a read arc of a file looks at that no other arc of its transition takes or
/// looks at: 0 if a read arc before it says all.
pub(super) fn own_weight(net: &PnmlNet, index: usize) -> u64 {
    let Arc { place, transition, .. } = net.arcs[index];
    let beside = |arc: &&Arc| {
        arc.transition == transition
            && arc.place == place
            && arc.direction == Direction::ToTransition
    };
    let input = |arc: &Arc| Input { place, weight: arc.weight, kind: arc.kind };
    let read = |arc: &&Arc| arc.kind == ArcKind::Read;
    if net.arcs[..index].iter().filter(beside).any(|arc| read(&arc)) {
        return 0;
    }
    let ours = from_file(net.arcs.iter().filter(beside).map(input).collect());
    ours.iter().find(|arc| is_read(arc, place)).map_or(0, |arc| arc.weight)
}

fn is_read(arc: &Input, place: usize) -> bool {
    arc.kind == ArcKind::Read && arc.place == place
}

/// The inputs with the first read arc of each place at the weight that is given for it, and no
/// other; with none where that is 0.
fn with_reads(inputs: Vec<Input>, weight: impl Fn(&Arcs, usize) -> u64) -> Vec<Input> {
    if inputs.iter().all(|arc| arc.kind != ArcKind::Read) {
        return inputs;
    }
    let arcs = Arcs { inputs, outputs: Vec::new() };
    let mut changed = Vec::with_capacity(arcs.inputs.len());
    for (at, arc) in arcs.inputs.iter().enumerate() {
        let known = arcs.inputs[..at].iter().any(|before| is_read(before, arc.place));
        let weight = match arc.kind {
            ArcKind::Read if known => 0,
            ArcKind::Read => weight(&arcs, arc.place),
            _ => arc.weight,
        };
        if weight > 0 {
            changed.push(Input { weight, ..*arc });
        }
    }
    changed
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
    }
}
