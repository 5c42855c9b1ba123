//! The incidence matrix: the changes by every transition.

use crate::models::{
    ArcKind,
    petri::{Net, Transition},
};

/// A sparse vector: indexes in ascending order, each with its number, never 0.
pub type Sparse<N> = Vec<(usize, N)>;

/// The incidence matrix C: `C[p][t]` is the number of tokens that firing `t` adds to place `p` by
/// its consuming arcs and its outputs. Read arcs take nothing; the tokens that a reset arc takes
/// depend on the marking, so they are not in here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incidence {
    /// Number of places: the rows.
    pub places: usize,
    /// The changes by each transition, by place.
    pub columns: Vec<Sparse<i128>>,
}

impl Incidence {
    /// The matrix of a net.
    pub fn of(net: &Net) -> Self {
        Self { places: net.places.len(), columns: net.transitions.iter().map(effect).collect() }
    }

    /// The changes of each place, by transition.
    pub fn rows(&self) -> Vec<Sparse<i128>> {
        let mut rows = vec![Vec::new(); self.places];
        for (transition, column) in self.columns.iter().enumerate() {
            for &(place, change) in column {
                rows[place].push((transition, change));
            }
        }
        rows
    }
}

/// The effect of a transition. Weights are 64-bit, so their sums stay far below 128 bits.
fn effect(transition: &Transition) -> Sparse<i128> {
    let arcs = &transition.arcs;
    let taken = arcs.inputs.iter().filter(|arc| arc.kind == ArcKind::Consume);
    let mut effect: Sparse<i128> = taken
        .map(|arc| (arc.place, -i128::from(arc.weight)))
        .chain(arcs.outputs.iter().map(|&(place, weight)| (place, i128::from(weight))))
        .collect();
    effect.sort_unstable_by_key(|&(place, _)| place);
    effect.dedup_by(|next, kept| {
        let same = next.0 == kept.0;
        if same {
            kept.1 += next.1;
        }
        same
    });
    effect.retain(|&(_, change)| change != 0);
    effect
}
