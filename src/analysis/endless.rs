//! Nets that run by themselves for ever: immediate transitions alone, without a caller, a worker or
//! time.

use std::collections::{BTreeSet, VecDeque};

use num_bigint::BigInt;

use super::{
    report::{Endless, ForEver},
    state_space::{Limits, StateSpace, Watch, explore_partly},
    structure::repeating,
};
use crate::models::petri::Net;

/// Tells if immediate transitions can follow one another for ever, from any marking that the net
/// reaches; `None` for a net without any. Conditions and priorities are left out, as everywhere:
/// they can only stop them. `origins` has the ids of its transitions.
///
/// First by the net's structure: a run without end repeats firings that together take nothing away,
/// whatever the marking (Dickson's lemma), and if no firings do so there is none. Else by the markings:
/// in a state space that was seen whole such a run is a cycle.
pub(super) fn endless(
    net: &Net,
    origins: &[&str],
    limits: &Limits,
    watch: &mut Watch<'_>,
) -> Option<Endless> {
    let is_immediate: Vec<_> = net.transitions.iter().map(|of| of.immediate.is_some()).collect();
    if !is_immediate.contains(&true) {
        return None;
    }
    let mut alone = net.clone();
    alone.transitions.retain(|of| of.immediate.is_some());
    let immediate = (0..is_immediate.len()).filter(|of| is_immediate[*of]);
    let mut can_repeat = vec![false; is_immediate.len()];
    match repeating(&alone) {
        Ok(cover) => {
            for (transition, weight) in immediate.zip(&cover.weights) {
                can_repeat[transition] = *weight != BigInt::ZERO;
            }
        }
        // It may be any of them.
        Err(_) => immediate.for_each(|transition| can_repeat[transition] = true),
    }
    let named = |of: BTreeSet<usize>| {
        let ids: BTreeSet<_> = of.into_iter().map(|transition| origins[transition]).collect();
        ids.into_iter().map(str::to_owned).collect()
    };
    let never = Endless { answer: ForEver::No, transitions: Vec::new() };
    if !can_repeat.contains(&true) {
        return Some(never);
    }
    let space = explore_partly(net, limits, watch);
    let cycles = cycles(&space, &can_repeat);
    if !cycles.is_empty() {
        return Some(Endless { answer: ForEver::Yes, transitions: named(cycles) });
    }
    if space.stopped().is_none() {
        return Some(never);
    }
    let candidates = (0..can_repeat.len()).filter(|of| can_repeat[*of]).collect();
    Some(Endless { answer: ForEver::Unknown, transitions: named(candidates) })
}

/// Some of the transitions that lead from marking to marking in cycles. What can't be in one is taken
/// away again and again: markings without a way in, or out.
fn cycles(space: &StateSpace<'_>, among: &[bool]) -> BTreeSet<usize> {
    let count = space.states();
    let mut steps = Vec::new();
    for state in 0..count {
        let leading = space.successors(state).into_iter().filter(|(of, _)| among[*of]);
        steps.extend(leading.map(|(of, to)| (state, of, to)));
    }
    for backwards in [false, true] {
        let ends = |(from, _, to): &(usize, usize, usize)| match backwards {
            true => (*to, *from),
            false => (*from, *to),
        };
        let (mut ways_in, mut next) = (vec![0_usize; count], vec![Vec::new(); count]);
        for step in &steps {
            let (from, to) = ends(step);
            ways_in[to] += 1;
            next[from].push(to);
        }
        let mut todo: VecDeque<_> = (0..count).filter(|state| ways_in[*state] == 0).collect();
        while let Some(state) = todo.pop_front() {
            for to in &next[state] {
                ways_in[*to] -= 1;
                if ways_in[*to] == 0 {
                    todo.push_back(*to);
                }
            }
        }
        steps.retain(|step| {
            let (from, _) = ends(step);
            ways_in[from] > 0
        });
    }
    steps.into_iter().map(|(_, transition, _)| transition).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        analysis::state_space::unwatched,
        models::{
            ArcKind,
            petri::{Arcs, Input, Place, Transition},
        },
    };

    /// A net with a token in its first place, and transitions by inputs and outputs; those whose id
    /// begins with `i` are immediate.
    fn net(places: usize, transitions: &[(&str, &[usize], &[usize])]) -> Net {
        let place =
            |at| Place { id: format!("p{at}"), tokens: u64::from(at == 0), ..Place::default() };
        let input = |place: &usize| Input { place: *place, weight: 1, kind: ArcKind::Consume };
        let transition = |(id, inputs, outputs): &(&str, &[usize], &[usize])| Transition {
            id: (*id).to_owned(),
            arcs: Arcs {
                inputs: inputs.iter().map(input).collect(),
                outputs: outputs.iter().map(|place| (*place, 1)).collect(),
            },
            immediate: id.starts_with('i').then_some(0),
            ..Transition::default()
        };
        Net {
            name: String::new(),
            places: (0..places).map(place).collect(),
            transitions: transitions.iter().map(transition).collect(),
        }
    }

    fn found(net: &Net, states: usize) -> Option<(ForEver, Vec<String>)> {
        let ids: Vec<_> = net.transitions.iter().map(|of| &*of.id).collect();
        let limits = Limits { states, ..Limits::default() };
        endless(net, &ids, &limits, &mut unwatched).map(|of| (of.answer, of.transitions))
    }

    #[test]
    fn a_cycle_of_immediate_transitions_alone_runs_for_ever() {
        let by_callers: &[(&str, &[usize], &[usize])] = &[("t", &[0], &[1]), ("u", &[1], &[0])];
        assert_eq!(found(&net(2, by_callers), 100), None);
        let half: &[(&str, &[usize], &[usize])] = &[("i", &[0], &[1]), ("u", &[1], &[0])];
        assert_eq!(found(&net(2, half), 100), Some((ForEver::No, vec![])));
        let whole: &[(&str, &[usize], &[usize])] =
            &[("ia", &[0], &[1]), ("ib", &[1], &[0]), ("ic", &[1], &[2])];
        let both = vec!["ia".to_owned(), "ib".to_owned()];
        assert_eq!(found(&net(3, whole), 100), Some((ForEver::Yes, both)));
    }

    #[test]
    fn a_cycle_that_no_token_comes_to_runs_never() {
        let apart: &[(&str, &[usize], &[usize])] =
            &[("t", &[0], &[1]), ("ia", &[2], &[3]), ("ib", &[3], &[2])];
        assert_eq!(found(&net(4, apart), 100), Some((ForEver::No, vec![])));
    }

    #[test]
    fn where_a_limit_ends_the_look_it_is_unknown() {
        // A caller makes tokens without end, and far away there is a cycle.
        let far: &[(&str, &[usize], &[usize])] =
            &[("t", &[0], &[0, 1]), ("ia", &[2], &[3]), ("ib", &[3], &[2]), ("ic", &[1], &[4])];
        let both = vec!["ia".to_owned(), "ib".to_owned()];
        assert_eq!(found(&net(5, far), 50), Some((ForEver::Unknown, both)));
        // By the structure alone, however large it is.
        let none: &[(&str, &[usize], &[usize])] = &[("t", &[0], &[0, 1]), ("ia", &[1], &[2])];
        assert_eq!(found(&net(3, none), 50), Some((ForEver::No, vec![])));
    }
}
