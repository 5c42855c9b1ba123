//! The reachability graph: which marking leads to which, and what that says of liveness.

use std::ops::ControlFlow;

use super::{
    batch::{Batch, UNKNOWN},
    components::Components,
    limits::{Limits, Progress, Stopped, Watch},
    space::StateSpace,
};

/// After how many states whoever watches is asked.
const WATCHED_EVERY: usize = 4096;

/// Bytes that each state needs beside its edges, while components are looked for.
const BYTES_A_STATE: usize = 44;

/// The edges of a whole state space, and its strongly connected components.
#[derive(Debug, Clone)]
pub struct Graph<'s, 'n> {
    space: &'s StateSpace<'n>,
    edges: Edges,
    components: Components,
}

/// Edges, one for each transition that is enabled in a state, in the order of the sources.
#[derive(Debug, Clone, Default)]
pub struct Edges {
    /// Where the edges of each state end.
    ends: Vec<u64>,
    targets: Vec<u32>,
}

impl Edges {
    /// How many states there are.
    pub fn states(&self) -> usize {
        self.ends.len()
    }

    /// Where the edges of a state begin and end.
    pub fn range(&self, state: usize) -> (u64, u64) {
        (if state == 0 { 0 } else { self.ends[state - 1] }, self.ends[state])
    }

    /// The target of an edge.
    pub fn target(&self, edge: u64) -> usize {
        self.targets[edge as usize] as usize
    }

    /// The targets of a state's edges.
    pub fn of(&self, state: usize) -> &[u32] {
        let (begin, end) = self.range(state);
        &self.targets[begin as usize..end as usize]
    }
}

impl<'n> StateSpace<'n> {
    /// The graph of all states. It is an error where this is not the whole state space.
    pub fn graph(
        &self,
        limits: &Limits,
        mut watch: impl FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Graph<'_, 'n>, Stopped> {
        if let Some(stopped) = self.stopped() {
            return Err(stopped);
        }
        let edges = self.edges(limits, &mut watch)?;
        let components = Components::of(&edges);
        Ok(Graph { space: self, edges, components })
    }

    fn edges(&self, limits: &Limits, watch: &mut Watch<'_>) -> Result<Edges, Stopped> {
        let states = self.states();
        let bytes = u128::from(self.firings()) * 4 + (states * BYTES_A_STATE) as u128;
        if bytes + (self.bytes() as u128) > limits.bytes as u128 {
            return Err(Stopped::Memory { limit: limits.bytes, states });
        }
        let mut edges = Edges {
            ends: Vec::with_capacity(states),
            targets: Vec::with_capacity(self.firings() as usize),
        };
        match self.store.words() {
            1 => self.collect::<1>(&mut edges, watch)?,
            2 => self.collect::<2>(&mut edges, watch)?,
            3 => self.collect::<3>(&mut edges, watch)?,
            4 => self.collect::<4>(&mut edges, watch)?,
            _ => self.collect::<0>(&mut edges, watch)?,
        }
        Ok(edges)
    }

    fn collect<const W: usize>(
        &self,
        edges: &mut Edges,
        watch: &mut Watch<'_>,
    ) -> Result<(), Stopped> {
        let (states, mut batch, mut watched) = (self.states(), Batch::default(), 0);
        let mut next = 0;
        while next < states {
            batch.clear();
            while next < states && !batch.is_full() {
                // All successors of a whole state space fit into its layout.
                let added = batch.add::<W>(&self.compiled, &self.store, next);
                debug_assert!(added.is_ok(), "{added:?}");
                next += 1;
            }
            batch.look::<W>(&self.store);
            let base = edges.targets.len() as u64;
            for at in 0..batch.len() {
                let target = match batch.targets[at] {
                    UNKNOWN => {
                        let (hash, row) = batch.row::<W>(at, &self.store);
                        self.store.find(hash, row).map_or(UNKNOWN, |index| index as u32)
                    }
                    target => target,
                };
                edges.targets.push(target);
            }
            edges.ends.extend(batch.sources.iter().map(|(_, end)| base + u64::from(*end)));
            if next - watched >= WATCHED_EVERY {
                watched = next;
                let firings = edges.targets.len() as u64;
                if watch(Progress { states, explored: next, firings }).is_break() {
                    return Err(Stopped::Interrupted { states });
                }
            }
        }
        Ok(())
    }
}

impl Graph<'_, '_> {
    /// Where the enabled transitions of a state lead to, in the order of the transitions.
    pub fn successors(&self, state: usize) -> &[u32] {
        self.edges.of(state)
    }

    /// How many strongly connected components there are.
    pub fn components(&self) -> usize {
        self.components.len()
    }

    /// Whether the initial marking can be reached again from every marking.
    pub fn is_reversible(&self) -> bool {
        // Every marking is reached from the initial one.
        self.components() == 1
    }

    /// Whether every transition can fire again from every marking.
    pub fn is_live(&self) -> bool {
        self.not_live().is_none()
    }

    /// The transitions that are not live, each with a state from which it can't fire any more;
    /// `None` if all are live. The state is one in a component that is never left.
    pub fn not_live(&self) -> Option<Vec<(usize, usize)>> {
        let transitions = self.space.net().transitions.len();
        let mut dead_in: Vec<Option<usize>> = vec![None; transitions];
        let mut fires = vec![false; transitions];
        let alive = transitions - self.space.dead_transitions().count();
        let mut batch = Batch::default();
        for states in self.components.iter() {
            if !self.is_never_left(states) {
                continue;
            }
            fires.fill(false);
            let mut missing = alive;
            for state in states {
                batch.clear();
                let added =
                    batch.add::<0>(&self.space.compiled, &self.space.store, *state as usize);
                debug_assert!(added.is_ok(), "{added:?}");
                for transition in &batch.transitions {
                    let fires = &mut fires[*transition as usize];
                    missing -= usize::from(!*fires);
                    *fires = true;
                }
                if missing == 0 {
                    break;
                }
            }
            let first = states.iter().min().map(|state| *state as usize);
            for (dead_in, _) in dead_in.iter_mut().zip(&fires).filter(|(_, fires)| !**fires) {
                *dead_in = (*dead_in).min(first).or(first);
            }
        }
        let found = dead_in.into_iter().enumerate();
        let found: Vec<_> = found.filter_map(|(by, state)| Some((by, state?))).collect();
        (!found.is_empty()).then_some(found)
    }

    fn is_never_left(&self, states: &[u32]) -> bool {
        let component = |state: u32| self.components.component(state as usize);
        let own = component(states[0]);
        let targets = states.iter().flat_map(|state| self.edges.of(*state as usize));
        targets.into_iter().all(|target| component(*target) == own)
    }

    /// The first state from which no marking can be reached of which `goal` holds. There is none
    /// that takes fewer firings to reach.
    pub fn cannot_reach(&self, mut goal: impl FnMut(&[u64]) -> bool) -> Option<usize> {
        let mut marking = vec![0; self.space.net().places.len()];
        // Components come after those that they lead to.
        let mut can = Vec::with_capacity(self.components());
        for states in self.components.iter() {
            let onwards = states.iter().flat_map(|state| self.edges.of(*state as usize));
            let mut reaches = onwards
                .map(|target| self.components.component(*target as usize))
                .any(|component| can.get(component).copied().unwrap_or(false));
            reaches = reaches
                || states.iter().any(|state| {
                    self.space.read(*state as usize, &mut marking);
                    goal(&marking)
                });
            can.push(reaches);
        }
        (0..self.edges.states()).find(|state| !can[self.components.component(*state)])
    }
}
