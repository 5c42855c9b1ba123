//! All that cases of a small net can do on the engine.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use stormpetrel::engine::Net;

use super::replay::Replay;

/// More markings than this are not looked at: each firing makes tokens and a record.
const LIMIT: usize = 200;

/// Number of tokens in each place, in the order of the definition.
type Counts = Vec<u64>;

/// The markings that a case can come to from one, and the transitions that fire on the way.
pub(super) struct Courses {
    /// True if these are all.
    pub whole: bool,
    successors: BTreeMap<Counts, Vec<Counts>>,
    fired: BTreeSet<String>,
    /// Markings in which the engine says that the case is completed.
    completed: BTreeSet<Counts>,
}

impl Courses {
    /// The courses of a case that has come so far.
    pub(super) fn after(run: Replay<'_>) -> Self {
        let mut courses = Self {
            whole: true,
            successors: BTreeMap::new(),
            fired: BTreeSet::new(),
            completed: BTreeSet::new(),
        };
        let mut todo = VecDeque::from([run]);
        while let Some(run) = todo.pop_front() {
            let counts = run.tokens_by_place();
            if courses.successors.contains_key(&counts) {
                continue;
            }
            if courses.successors.len() == LIMIT {
                courses.whole = false;
                break;
            }
            if run.ended() {
                courses.completed.insert(counts.clone());
            }
            let next = run.nexts();
            courses.fired.extend(next.iter().map(|(mode, _)| mode.clone()));
            let after = next.iter().map(|(_, run)| run.tokens_by_place());
            courses.successors.insert(counts, after.collect());
            todo.extend(next.into_iter().map(|(_, run)| run));
        }
        courses
    }

    /// Returns true if a transition, or one alternative of it, can fire.
    pub(super) fn fire(&self, mode: &str) -> bool {
        self.fired.contains(mode)
    }

    /// Returns true if a case goes on for ever: it never completes, and it never gets stuck.
    pub(super) fn never_stop(&self) -> bool {
        self.completed.is_empty() && self.successors.values().all(|next| !next.is_empty())
    }

    /// Soundness by its definition, if these are all courses from the start: every case can
    /// complete, with one token in each end at most, nothing is left over, and everything can
    /// fire.
    pub(super) fn are_sound(&self, net: &Net) -> bool {
        let ends = net.ends();
        let once = |counts: &Counts| ends.iter().all(|end| counts[*end] <= 1);
        let alone = |counts: &Counts| match ends[..] {
            [end] => counts[end] == 0 || counts.iter().sum::<u64>() == 1,
            _ => true,
        };
        let mut good: BTreeSet<_> = self.completed.iter().filter(|counts| once(counts)).collect();
        loop {
            let before = good.len();
            let leads = |(_, next): &(&Counts, &Vec<_>)| next.iter().any(|at| good.contains(at));
            let more: Vec<_> = self.successors.iter().filter(leads).map(|(at, _)| at).collect();
            good.extend(more);
            if good.len() == before {
                break;
            }
        }
        let all = net.petri().transitions;
        good.len() == self.successors.len()
            && self.successors.keys().all(|counts| once(counts) && alone(counts))
            && all.iter().all(|transition| self.fire(&transition.id))
    }
}
