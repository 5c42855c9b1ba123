//! The reachability graph: the steps from marking to marking, and the liveness that they show.

use std::{ops::ControlFlow, sync::OnceLock};

use super::{
    batch::{Batch, UNKNOWN, WATCHED_EVERY},
    components::Components,
    edges::{Edges, States},
    limits::{Limits, Progress, Stopped, Watch},
    space::StateSpace,
};

/// The invariant that firing again leads only to markings that have a place.
pub(super) const FITS: &str = "all successors in a whole state space fit into its layout";

/// Bytes that each state needs beside its edges, while components are looked for.
const BYTES_A_STATE: usize = 52;

/// The edges of a whole state space, and its strongly connected components.
#[derive(Debug, Clone)]
pub struct Graph<'s, 'n> {
    space: &'s StateSpace<'n>,
    edges: Edges,
    /// The same edges by their targets, once they are needed.
    backwards: OnceLock<Edges>,
    components: OnceLock<Components>,
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
        Ok(Graph { space: self, edges, backwards: OnceLock::new(), components: OnceLock::new() })
    }

    fn edges(&self, limits: &Limits, watch: &mut Watch<'_>) -> Result<Edges, Stopped> {
        let states = self.states();
        let bytes = u128::from(self.firings()) * 8 + (states * BYTES_A_STATE) as u128;
        if bytes + (self.bytes() as u128) > limits.bytes as u128 {
            return Err(Stopped::Memory { limit: limits.bytes, states });
        }
        let mut edges = Edges::with_capacity(states, self.firings() as usize);
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
        let (states, mut batch, mut unwatched) = (self.states(), Batch::default(), 0);
        let mut next = 0;
        while next < states {
            batch.clear();
            while next < states && !batch.is_full() {
                let added = batch.add::<W>(&self.compiled, &self.store, next);
                added.expect(FITS);
                next += 1;
            }
            batch.look::<W>(&self.store);
            for at in 0..batch.len() {
                if batch.targets[at] == UNKNOWN {
                    let (hash, row) = batch.row::<W>(at, &self.store);
                    let found = self.store.find(hash, row);
                    batch.targets[at] = found.expect("a whole state space has it") as u32;
                }
            }
            edges.extend(batch.sources.iter().map(|(_, end)| *end), batch.targets.iter().copied());
            unwatched += batch.work(&self.compiled);
            if unwatched >= WATCHED_EVERY {
                unwatched = 0;
                let firings = edges.len() as u64;
                if watch(Progress { states, explored: next, firings }).is_break() {
                    return Err(Stopped::Interrupted { states });
                }
            }
        }
        Ok(())
    }
}

impl<'s, 'n> Graph<'s, 'n> {
    /// The states that the enabled transitions of a state lead to, in their order.
    pub fn successors(&self, state: usize) -> &[u32] {
        self.edges.of(state)
    }

    /// The strongly connected components. Each comes after those that its edges lead to.
    pub fn components(&self) -> impl Iterator<Item = &[u32]> {
        self.found_components().iter()
    }

    fn found_components(&self) -> &Components {
        self.components.get_or_init(|| Components::of(&self.edges))
    }

    fn backwards(&self) -> &Edges {
        self.backwards.get_or_init(|| self.edges.reversed())
    }

    /// Returns true if the initial marking can be reached again from every marking.
    pub fn is_reversible(&self) -> bool {
        if self.space.first_dead().is_some() {
            return self.space.states() == 1;
        }
        let mut reaching = States::none(self.edges.states());
        reaching.add(0);
        reaching.close(self.backwards());
        (0..self.edges.states()).all(|state| reaching.has(state))
    }

    /// Returns true if every transition can fire again from every marking.
    pub fn is_live(&self) -> bool {
        self.not_live().is_empty()
    }

    /// The transitions that are not live, each with a state from which it can't fire any more.
    pub fn not_live(&self) -> Vec<(usize, usize)> {
        let transitions = 0..self.space.net().transitions.len();
        if let Some(dead) = self.space.first_dead() {
            return transitions.map(|transition| (transition, dead)).collect();
        }
        if self.is_reversible() {
            return self.space.dead_transitions().map(|transition| (transition, 0)).collect();
        }
        self.lost_in_components()
    }

    /// The transitions that are missing in some component that is never left.
    fn lost_in_components(&self) -> Vec<(usize, usize)> {
        let transitions = self.space.net().transitions.len();
        let mut lost_in: Vec<Option<usize>> = vec![None; transitions];
        let mut fires = vec![false; transitions];
        let alive = transitions - self.space.dead_transitions().count();
        let mut batch = Batch::default();
        for states in self.components() {
            if !self.is_never_left(states) {
                continue;
            }
            fires.fill(false);
            let mut missing = alive;
            for state in states {
                batch.clear();
                let (compiled, store) = (&self.space.compiled, &self.space.store);
                batch.add::<0>(compiled, store, *state as usize).expect(FITS);
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
            for (lost_in, _) in lost_in.iter_mut().zip(&fires).filter(|(_, fires)| !**fires) {
                *lost_in = (*lost_in).min(first).or(first);
            }
        }
        let found = lost_in.into_iter().enumerate();
        found.filter_map(|(transition, state)| Some((transition, state?))).collect()
    }

    fn is_never_left(&self, states: &[u32]) -> bool {
        let component = |state: u32| self.found_components().component(state as usize);
        let own = component(states[0]);
        let targets = states.iter().flat_map(|state| self.edges.of(*state as usize));
        targets.into_iter().all(|target| component(*target) == own)
    }

    /// The states that this is the graph of.
    pub fn space(&self) -> &'s StateSpace<'n> {
        self.space
    }

    /// The first state from which no state can be reached of which `goal` holds. There is none
    /// that takes fewer firings to reach.
    pub fn cannot_reach(&self, goal: impl FnMut(&usize) -> bool) -> Option<usize> {
        let mut reaching = States::none(self.edges.states());
        (0..self.edges.states()).filter(goal).for_each(|state| {
            reaching.add(state);
        });
        reaching.close(self.backwards());
        (0..self.edges.states()).find(|state| !reaching.has(*state))
    }
}
