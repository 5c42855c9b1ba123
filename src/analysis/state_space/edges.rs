//! The edges between the states, forwards and backwards.

/// Edges in the order of the states that they belong to.
#[derive(Debug, Clone, Default)]
pub(super) struct Edges {
    /// The end of each state's edges.
    ends: Vec<u64>,
    others: Vec<u32>,
}

impl Edges {
    /// Edges of no states yet, with room for so many of both.
    pub(super) fn with_capacity(states: usize, edges: usize) -> Self {
        Self { ends: Vec::with_capacity(states), others: Vec::with_capacity(edges) }
    }

    /// Adds states, one for each of `ends`: the end of its edges in `others`.
    pub(super) fn extend(
        &mut self,
        ends: impl Iterator<Item = u32>,
        others: impl Iterator<Item = u32>,
    ) {
        let base = self.others.len() as u64;
        self.ends.extend(ends.map(|end| base + u64::from(end)));
        self.others.extend(others);
    }

    /// Number of states.
    pub(super) fn states(&self) -> usize {
        self.ends.len()
    }

    /// Number of edges.
    pub(super) fn len(&self) -> usize {
        self.others.len()
    }

    /// The beginning and the end of a state's edges.
    pub(super) fn range(&self, state: usize) -> (u64, u64) {
        (if state == 0 { 0 } else { self.ends[state - 1] }, self.ends[state])
    }

    /// The other end of an edge.
    pub(super) fn other(&self, edge: u64) -> usize {
        self.others[edge as usize] as usize
    }

    /// The other ends of a state's edges.
    pub(super) fn of(&self, state: usize) -> &[u32] {
        let (begin, end) = self.range(state);
        &self.others[begin as usize..end as usize]
    }

    /// The same edges, in the order of their other ends.
    pub(super) fn reversed(&self) -> Self {
        let mut counts = vec![0u64; self.states() + 1];
        for other in &self.others {
            counts[*other as usize + 1] += 1;
        }
        for state in 0..self.states() {
            counts[state + 1] += counts[state];
        }
        // What begins as the start of each state's edges ends as their end.
        let mut others = vec![0; self.others.len()];
        for state in 0..self.states() {
            for other in self.of(state) {
                let at = &mut counts[*other as usize];
                others[*at as usize] = state as u32;
                *at += 1;
            }
        }
        counts.truncate(self.states());
        Self { ends: counts, others }
    }
}

/// A set of states.
#[derive(Debug, Clone)]
pub(super) struct States(Vec<u64>);

impl States {
    /// The empty set, of so many states.
    pub(super) fn none(states: usize) -> Self {
        Self(vec![0; states.div_ceil(64)])
    }

    /// Adds a state; returns true if it is new.
    #[inline(always)]
    pub(super) fn add(&mut self, state: usize) -> bool {
        let (word, bit) = (&mut self.0[state / 64], 1 << (state % 64));
        let new = *word & bit == 0;
        *word |= bit;
        new
    }

    /// Returns true if a state is in the set.
    pub(super) fn has(&self, state: usize) -> bool {
        self.0[state / 64] & (1 << (state % 64)) != 0
    }

    /// Adds all states that one of them is reached from, by edges that are those of their targets.
    pub(super) fn close(&mut self, edges: &Edges) {
        let all = (0..edges.states()).filter(|state| self.has(*state));
        let mut open: Vec<u32> = all.map(|state| state as u32).collect();
        let mut next = Vec::new();
        while !open.is_empty() {
            for state in open.drain(..) {
                for other in edges.of(state as usize) {
                    if self.add(*other as usize) {
                        next.push(*other);
                    }
                }
            }
            std::mem::swap(&mut open, &mut next);
            // In their order, the edges are read from one end of the memory to the other.
            open.sort_unstable();
        }
    }
}
