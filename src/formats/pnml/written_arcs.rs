//! The arcs of a net as a file has them: one for all that lead the same way between the same two.
//! Tools differ in the meaning of several. PM4Py asks each for its own weight and takes all of
//! them; others keep the last one.

use std::collections::HashMap;

use super::{Arc, Direction, PnmlNet, read_arcs};
use crate::models::ArcKind;

/// An arc of a file.
pub(super) struct WrittenArc<'a> {
    /// The first of the arcs that it stands for, with its id and drawing.
    pub(super) first: &'a Arc,
    /// Its direction.
    pub(super) direction: Direction,
    /// Its effect. There are no read arcs: one is an arc that takes and one that gives back.
    pub(super) kind: ArcKind,
    /// Number of tokens; `None` is more than 64 bits hold.
    pub(super) weight: Option<u64>,
    /// True if it does nothing but give back the tokens that a read arc needs.
    pub(super) gives_back: bool,
    /// The indexes of the arcs that it stands for.
    pub(super) of: Vec<usize>,
}

/// The arcs of a net as a file has them, in the order in which the first of each comes.
pub(super) fn of(net: &PnmlNet) -> Vec<WrittenArc<'_>> {
    let mut written: Vec<WrittenArc<'_>> = Vec::with_capacity(net.arcs.len());
    let mut known: HashMap<_, usize> = HashMap::with_capacity(net.arcs.len());
    for ((index, arc), own) in net.arcs.iter().enumerate().zip(read_arcs::own_weights(net)) {
        let mut add = |direction, kind, weight, gives_back| {
            let at =
                *known.entry((arc.place, arc.transition, direction, kind)).or_insert_with(|| {
                    let first = WrittenArc {
                        first: arc,
                        direction,
                        kind,
                        weight: Some(weight),
                        gives_back: true,
                        of: Vec::new(),
                    };
                    written.push(first);
                    written.len() - 1
                });
            let there = &mut written[at];
            there.weight = match kind {
                _ if there.of.is_empty() => Some(weight),
                ArcKind::Inhibitor => there.weight.map(|least| least.min(weight)),
                ArcKind::Reset => Some(1),
                _ => there.weight.and_then(|sum| sum.checked_add(weight)),
            };
            there.gives_back &= gives_back;
            there.of.push(index);
        };
        match arc.kind {
            ArcKind::Read if own == 0 => {}
            ArcKind::Read => {
                add(Direction::ToTransition, ArcKind::Consume, own, false);
                add(Direction::ToPlace, ArcKind::Consume, own, true);
            }
            ArcKind::Reset => add(arc.direction, arc.kind, 1, false),
            kind => add(arc.direction, kind, arc.weight, false),
        }
    }
    written
}
