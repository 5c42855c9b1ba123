//! Soundness as the textbook defines it, marking by marking; slow, and with nothing in common
//! with the analysis but the counting rule. As in the engine, nothing fires after a case's end.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use stormpetrel::{engine::Net, models::petri::Marking};

/// More markings than this are not looked at.
const MOST: usize = 3_000;

/// Properties of a net, from every marking that can be reached.
#[derive(Debug)]
pub(super) struct Truth {
    /// A marking in which a case has ended can be reached from every marking.
    can_end: bool,
    /// No end gets a second token, and a case that reaches its only end has nothing else.
    clean: bool,
    /// Every transition can fire.
    quasi_live: bool,
}

impl Truth {
    /// `None`: there are too many markings.
    pub(super) fn of(net: &Net) -> Option<Self> {
        let (petri, ends) = (net.petri(), net.ends());
        let mut successors: BTreeMap<Marking, Vec<Marking>> = BTreeMap::new();
        let mut fired = BTreeSet::new();
        let mut todo = VecDeque::from([petri.initial()]);
        while let Some(marking) = todo.pop_front() {
            if successors.contains_key(&marking) {
                continue;
            }
            let mut next = Vec::new();
            let elsewhere = (0..marking.len()).any(|at| marking[at] > 0 && !ends.contains(&at));
            for transition in (0..petri.transitions.len()).filter(|_| elsewhere) {
                let mut after = marking.clone();
                if petri.fire(transition, &mut after).is_ok() {
                    fired.insert(transition);
                    next.push(after);
                }
            }
            todo.extend(next.iter().cloned());
            successors.insert(marking, next);
            if successors.len() > MOST {
                return None;
            }
        }
        let in_ends = |marking: &Marking| ends.iter().map(|end| marking[*end]).sum::<u64>();
        let tokens = |marking: &Marking| marking.iter().sum::<u64>();
        let once = |marking: &Marking| ends.iter().all(|end| marking[*end] <= 1);
        let ended = |marking: &Marking| {
            in_ends(marking) > 0 && once(marking) && tokens(marking) == in_ends(marking)
        };
        let clean = |marking: &Marking| match ends.len() {
            1 => in_ends(marking) == 0 || ended(marking),
            _ => once(marking),
        };
        let mut good: BTreeSet<_> = successors.keys().filter(|m| ended(m)).collect();
        loop {
            let more: Vec<_> = successors
                .iter()
                .filter(|(marking, next)| {
                    !good.contains(marking) && next.iter().any(|next| good.contains(next))
                })
                .map(|(marking, _)| marking)
                .collect();
            if more.is_empty() {
                break;
            }
            good.extend(more);
        }
        Some(Self {
            can_end: good.len() == successors.len(),
            clean: successors.keys().all(clean),
            quasi_live: fired.len() == petri.transitions.len(),
        })
    }

    pub(super) fn sound(&self) -> bool {
        self.can_end && self.clean && self.quasi_live
    }
}
