//! Strongly connected components, by Tarjan's algorithm (1972) without recursion.

use super::edges::Edges;

/// The number of a state that was not visited yet.
const NEW: u32 = u32::MAX;

/// The number of a state whose component is known: greater than those of the others, so that it
/// changes no minimum.
const CLOSED: u32 = u32::MAX - 1;

/// The components of a graph. Each comes after those that its edges lead to.
#[derive(Debug, Clone)]
pub(super) struct Components {
    /// The component of each state.
    component: Vec<u32>,
    /// All states, those of one component together.
    states: Vec<u32>,
    /// The end of each component's states.
    ends: Vec<u32>,
}

/// A state whose edges are being followed.
struct Visit {
    state: u32,
    /// Number of states that were visited before it.
    number: u32,
    /// Its next edge.
    edge: u64,
}

impl Components {
    /// The components of all that is reached from state 0, which is everything.
    pub(super) fn of(edges: &Edges) -> Self {
        let count = edges.states();
        let mut found =
            Self { component: vec![0; count], states: Vec::with_capacity(count), ends: vec![] };
        // The least number of a state on the stack that is known to be reached.
        let mut least = vec![NEW; count];
        let (mut visits, mut stack, mut number) = (Vec::new(), Vec::new(), 0);
        let mut enter = Some(0u32);
        loop {
            if let Some(state) = enter.take() {
                least[state as usize] = number;
                visits.push(Visit { state, number, edge: edges.range(state as usize).0 });
                stack.push(state);
                number += 1;
            }
            let Some(visit) = visits.last_mut() else { break };
            let state = visit.state as usize;
            let end = edges.range(state).1;
            let mut lowest = least[state];
            while visit.edge < end {
                let target = edges.other(visit.edge);
                visit.edge += 1;
                if least[target] == NEW {
                    enter = Some(target as u32);
                    break;
                }
                lowest = lowest.min(least[target]);
            }
            least[state] = lowest;
            if enter.is_some() {
                continue;
            }
            let (state, number) = (visit.state, visit.number);
            visits.pop();
            if lowest == number {
                found.close(state, &mut stack, &mut least);
            } else if let Some(parent) = visits.last() {
                let parent = &mut least[parent.state as usize];
                *parent = (*parent).min(lowest);
            }
        }
        found
    }

    /// Makes a component of the states on the stack from `root` on.
    fn close(&mut self, root: u32, stack: &mut Vec<u32>, least: &mut [u32]) {
        let component = self.ends.len() as u32;
        while let Some(state) = stack.pop() {
            self.component[state as usize] = component;
            least[state as usize] = CLOSED;
            self.states.push(state);
            if state == root {
                break;
            }
        }
        self.ends.push(self.states.len() as u32);
    }

    /// The component of a state.
    pub(super) fn component(&self, state: usize) -> usize {
        self.component[state] as usize
    }

    /// The states of each component.
    pub(super) fn iter(&self) -> impl Iterator<Item = &[u32]> {
        let begins = std::iter::once(0).chain(self.ends.iter().copied());
        begins.zip(&self.ends).map(|(begin, end)| &self.states[begin as usize..*end as usize])
    }
}
