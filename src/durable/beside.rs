//! Operations of a run that are under way.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::models::Operation;

/// The operations that were asked for, and have not ended.
#[derive(Debug, Default)]
pub(super) struct UnderWay(Arc<Mutex<BTreeSet<Vec<u64>>>>);

impl UnderWay {
    /// Notes that an operation is under way, until the guard is dropped.
    pub(super) fn enter(&self, of: &Operation) -> Under {
        let (all, at) = (Arc::clone(&self.0), places(of));
        locked(&all).insert(at.clone());
        Under { all, at }
    }

    /// The operations and scopes with something under way beside an operation, at each level of scopes round it: the first
    /// and the last number of each row.
    pub(super) fn beside(&self, of: &Operation) -> Vec<Vec<[u64; 2]>> {
        let own = places(of);
        let mut levels: BTreeMap<usize, BTreeSet<u64>> = BTreeMap::new();
        for other in locked(&self.0).iter() {
            let level = own.iter().zip(other).position(|(own, other)| own != other);
            if let Some((level, place)) = level.and_then(|level| Some((level, *other.get(level)?)))
            {
                levels.entry(level).or_default().insert(place);
            }
        }
        let count = levels.keys().last().map_or(0, |last| last + 1);
        (0..count).map(|level| levels.remove(&level).map(rows).unwrap_or_default()).collect()
    }
}

/// Numbers as rows that follow one another.
pub(super) fn rows(numbers: BTreeSet<u64>) -> Vec<[u64; 2]> {
    let mut rows: Vec<[u64; 2]> = Vec::new();
    for number in numbers {
        match rows.last_mut() {
            Some([_, last]) if *last + 1 == number => *last = number,
            _ => rows.push([number, number]),
        }
    }
    rows
}

/// An operation that is under way.
#[derive(Debug)]
pub(super) struct Under {
    all: Arc<Mutex<BTreeSet<Vec<u64>>>>,
    at: Vec<u64>,
}

impl Drop for Under {
    fn drop(&mut self) {
        locked(&self.all).remove(&self.at);
    }
}

fn locked(all: &Mutex<BTreeSet<Vec<u64>>>) -> MutexGuard<'_, BTreeSet<Vec<u64>>> {
    // Nothing panics between the parts of one change, so it is whole.
    all.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The numbers of an operation's scopes, from the outer one, and its own.
pub(super) fn places(of: &Operation) -> Vec<u64> {
    let scopes = of.scope.split('/').filter_map(|scope| scope.split_once(':'));
    let numbers = scopes.map(|(number, _)| number.parse().unwrap_or_default());
    numbers.chain([of.number]).collect()
}
