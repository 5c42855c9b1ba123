//! A state space: every marking that was found, and the counts made on the way.

use super::{
    batch::{Batch, Compiled, UNKNOWN},
    graph::FITS,
    limits::Stopped,
    store::Store,
};
use crate::models::petri::{Marking, Net};

/// Counts made while exploring.
#[derive(Debug, Clone)]
pub(super) struct Counts {
    pub firings: u64,
    pub distinct_edges: u64,
    /// All markings that enable nothing.
    pub dead: Vec<u32>,
    /// The first state in which each transition is enabled, or [`UNKNOWN`].
    pub first_enabled: Vec<u32>,
    pub bounds: Vec<u64>,
    pub max_tokens: u128,
}

impl Counts {
    pub(super) fn new(net: &Net, tokens: u128) -> Self {
        Self {
            firings: 0,
            distinct_edges: 0,
            dead: Vec::new(),
            first_enabled: vec![UNKNOWN; net.transitions.len()],
            bounds: Vec::new(),
            max_tokens: tokens,
        }
    }
}

/// The markings that a net reaches from its initial one, by index: 0 is the initial marking, and
/// a marking that takes more firings to reach has a greater index.
#[derive(Debug, Clone)]
pub struct StateSpace<'n> {
    pub(super) compiled: Compiled<'n>,
    pub(super) store: Store,
    parents: Vec<u32>,
    counts: Counts,
    stopped: Option<Stopped>,
}

impl<'n> StateSpace<'n> {
    pub(super) fn new(
        compiled: Compiled<'n>,
        store: Store,
        parents: Vec<u32>,
        counts: Counts,
        stopped: Option<Stopped>,
    ) -> Self {
        Self { compiled, store, parents, counts, stopped }
    }

    /// Reason for which this is not the whole state space; `None` if it is. In a part, each
    /// marking is reached and each path leads to it, but counts are lower bounds, other markings
    /// may exist, and a transition may be enabled in a marking that was not looked at.
    pub fn stopped(&self) -> Option<Stopped> {
        self.stopped
    }

    /// The memory that it takes, in bytes.
    pub fn bytes(&self) -> usize {
        self.store.bytes(0).0 + 4 * (self.parents.capacity() + self.counts.dead.capacity())
    }

    /// The net.
    pub fn net(&self) -> &'n Net {
        self.compiled.net
    }

    /// Number of markings.
    pub fn states(&self) -> usize {
        self.store.len()
    }

    /// Number of enabled transitions, summed over all markings.
    pub fn firings(&self) -> u64 {
        self.counts.firings
    }

    /// Number of pairs of markings of which some transition leads from the first to the second.
    pub fn distinct_edges(&self) -> u64 {
        self.counts.distinct_edges
    }

    /// Number of markings that enable nothing.
    pub fn dead_markings(&self) -> u64 {
        self.counts.dead.len() as u64
    }

    /// The first marking that enables nothing. No other is reached by fewer firings.
    pub fn first_dead(&self) -> Option<usize> {
        self.counts.dead.first().map(|state| *state as usize)
    }

    /// The markings that enable nothing, in the order of their indexes.
    pub fn dead(&self) -> &[u32] {
        &self.counts.dead
    }

    /// The most tokens that each place holds, by the place's index.
    pub fn bounds(&self) -> &[u64] {
        &self.counts.bounds
    }

    /// The most tokens that any place holds.
    pub fn k_bound(&self) -> u64 {
        self.bounds().iter().copied().max().unwrap_or(0)
    }

    /// Returns true if no place ever holds more than one token.
    pub fn is_safe(&self) -> bool {
        self.k_bound() <= 1
    }

    /// The most tokens that all places hold together.
    pub fn max_tokens(&self) -> u128 {
        self.counts.max_tokens
    }

    /// The first marking in which a transition is enabled; `None` if it is dead.
    pub fn first_enabling(&self, transition: usize) -> Option<usize> {
        let first = self.counts.first_enabled[transition];
        (first != UNKNOWN).then_some(first as usize)
    }

    /// The transitions that no marking enables.
    pub fn dead_transitions(&self) -> impl Iterator<Item = usize> {
        let all = 0..self.counts.first_enabled.len();
        all.filter(|transition| self.first_enabling(*transition).is_none())
    }

    /// A marking by its index.
    pub fn marking(&self, state: usize) -> Marking {
        let mut marking = vec![0; self.net().places.len()];
        self.read(state, &mut marking);
        marking
    }

    /// Writes a marking to `marking`, which is as long as there are places.
    pub fn read(&self, state: usize, marking: &mut [u64]) {
        self.compiled.layout.unpack(self.store.get(state), marking);
    }

    /// Returns true if one of some places holds a token. Nothing else of the marking is looked at.
    pub fn is_marked(&self, state: usize, places: &[usize]) -> bool {
        let words = self.store.get(state);
        places.iter().any(|place| self.compiled.layout.fields[*place].get(words) > 0)
    }

    /// The transitions that are enabled in a state, and the states that they lead to. In a space
    /// that was only explored in part, successors that were not found are left out.
    pub fn successors(&self, state: usize) -> Vec<(usize, usize)> {
        let mut batch = Batch::default();
        let added = batch.add::<0>(&self.compiled, &self.store, state);
        if self.stopped.is_some() && added.is_err() {
            return Vec::new();
        }
        added.expect(FITS);
        let successor = |at: usize| {
            let (hash, row) = batch.row::<0>(at, &self.store);
            let target = self.store.find(hash, row).ok()?;
            Some((batch.transitions[at] as usize, target))
        };
        (0..batch.len()).filter_map(successor).collect()
    }

    /// The state from which a state was first reached; `None` for the initial one.
    pub fn parent(&self, state: usize) -> Option<usize> {
        (state != 0).then(|| self.parents[state] as usize)
    }

    /// Returns true if a state has at least the tokens of another at every place.
    pub fn covers(&self, state: usize, other: usize) -> bool {
        self.compiled.layout.covers(self.store.get(state), self.store.get(other))
    }

    /// The transitions to fire, in this order, to come from the initial marking to a state. There
    /// is no shorter sequence.
    pub fn path(&self, state: usize) -> Vec<usize> {
        let (mut path, mut state) = (Vec::new(), state);
        while let Some(parent) = self.parent(state) {
            let leads = |(_, target): &(usize, usize)| *target == state;
            let found = self.successors(parent).into_iter().find(leads);
            path.push(found.expect("a state is a successor of its parent").0);
            state = parent;
        }
        path.reverse();
        path
    }
}
