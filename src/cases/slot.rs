//! What this process knows about a case, and the queue of those who want to change it.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::{Mutex as Turn, OwnedMutexGuard};

use crate::{
    models::{Case, CaseId, FiringId, PlaceId, TokenId, WorkflowId},
    storage::{Register, RegisterState},
};

/// How many cases a generation of the cache holds; two generations are kept.
const GENERATION: usize = 4_096;

/// What is known about one case. Only who has the turn reads or writes it; it is checked
/// against the store by every append, so knowing something old costs a retry and no more.
#[derive(Debug, Default)]
pub(super) struct Slot {
    /// The case as of the last record that this process has seen.
    pub case: Option<Arc<Case>>,
    /// The sequences of the view's registers.
    pub registers: Registers,
    /// The firing ids that the log has, once somebody asked for one.
    pub firings: Option<Firings>,
}

/// The known sequences of the view's registers of one case.
#[derive(Debug, Default)]
pub(super) struct Registers {
    known: HashMap<(TokenId, PlaceId), Known>,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    sequence: u64,
    marker_since: Option<Instant>,
}

impl Registers {
    /// The sequence that a write to this register must expect, if it is known. A marker
    /// older than `marker_kept` is gone from the store.
    pub fn expected(&self, token: &TokenId, place: &PlaceId, marker_kept: Duration) -> Option<u64> {
        let known = self.known.get(&(token.clone(), place.clone()))?;
        let forgotten = known.marker_since.is_some_and(|at| at.elapsed() > marker_kept);
        Some(if forgotten { 0 } else { known.sequence })
    }

    /// Takes over what the view was found to hold.
    pub fn adopt(&mut self, found: Vec<Register>) {
        for register in found {
            let is_marker = matches!(register.state, RegisterState::Gone { .. });
            self.set(&register.token, &register.place, register.sequence, is_marker);
        }
    }

    pub fn set(&mut self, token: &TokenId, place: &PlaceId, sequence: u64, is_marker: bool) {
        let marker_since = is_marker.then(Instant::now);
        let known = Known { sequence, marker_since };
        self.known.insert((token.clone(), place.clone()), known);
    }

    /// Forgets the registers of tokens that are gone, and all but the newest markers.
    pub fn forget_gone(&mut self, case: &Case) {
        if self.known.len() > 4 * (case.marking.0.len() + 8) {
            self.known.retain(|(token, _), known| {
                known.marker_since.is_none() && case.tokens.contains_key(token)
            });
        }
    }

    pub fn clear(&mut self) {
        self.known.clear();
    }
}

/// Which firing ids the log of a case has, as hashes with their log sequences; a hit is
/// checked against the log.
#[derive(Debug, Default)]
pub(super) struct Firings {
    hasher: RandomState,
    sequences: HashMap<u64, u64>,
    /// Everything up to this log sequence is in.
    pub up_to: u64,
}

impl Firings {
    pub fn insert(&mut self, firing: &FiringId, sequence: u64) {
        self.sequences.entry(self.hasher.hash_one(firing)).or_insert(sequence);
        self.up_to = self.up_to.max(sequence);
    }

    /// Where a firing id may be.
    pub fn find(&self, firing: &FiringId) -> Option<u64> {
        self.sequences.get(&self.hasher.hash_one(firing)).copied()
    }
}

type Key = (WorkflowId, CaseId);
type Shared = Arc<Turn<Slot>>;

/// The slots of the cases that were touched last.
#[derive(Debug, Default)]
pub(super) struct Slots {
    generations: Mutex<[HashMap<Key, Shared>; 2]>,
}

impl Slots {
    /// The slot of a case, when it is our turn. Those who wait get it in the order in which
    /// they came. It is held while the store is asked, on purpose: it is a queue, and what
    /// it guards is of no use to anybody else meanwhile.
    pub async fn turn(&self, workflow: &WorkflowId, case: &CaseId) -> OwnedMutexGuard<Slot> {
        let shared = self.shared((workflow.clone(), case.clone()));
        shared.lock_owned().await
    }

    /// The case as this process knows it, if it does and nobody changes it at this moment.
    pub fn known(&self, workflow: &WorkflowId, case: &CaseId) -> Option<Arc<Case>> {
        let key = (workflow.clone(), case.clone());
        let generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        let shared = generations.iter().find_map(|generation| generation.get(&key))?;
        shared.try_lock().ok()?.case.clone()
    }

    fn shared(&self, key: Key) -> Shared {
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        let [young, old] = &mut *generations;
        if let Some(shared) = young.get(&key) {
            return Arc::clone(shared);
        }
        let shared = old.remove(&key).unwrap_or_default();
        if young.len() >= GENERATION {
            *old = std::mem::take(young);
        }
        young.insert(key, Arc::clone(&shared));
        shared
    }
}
