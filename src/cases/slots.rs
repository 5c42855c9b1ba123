//! The cases that this process touched last, and the queue of those who want to change one.

use std::{
    collections::HashMap,
    ops::{Deref, DerefMut},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{Mutex as Turn, OwnedMutexGuard};

use super::slot::Slot;
use crate::models::{Case, CaseId, WorkflowId};

/// How many bytes a generation of the cache holds, by estimate; two generations are kept.
const GENERATION: usize = 40 * 1024 * 1024;

type Key = (WorkflowId, CaseId);
type Shared = Arc<Turn<Counted>>;

/// The slots of the cases that were touched last, as many as a fixed amount of memory takes.
#[derive(Debug)]
pub(super) struct Slots {
    generations: Mutex<Generations>,
}

#[derive(Debug, Default)]
struct Generations {
    /// How many there were before the young one.
    number: u64,
    young: HashMap<Key, Shared>,
    old: HashMap<Key, Shared>,
    /// About how much memory the young one takes, and how much it may.
    bytes: usize,
    limit: usize,
}

/// A slot, and what of it is in the sum of its generation.
#[derive(Debug, Default)]
struct Counted {
    slot: Slot,
    generation: u64,
    bytes: usize,
}

/// A slot whose turn it is. Its size is counted anew when the turn ends.
pub(super) struct Held<'a> {
    counted: OwnedMutexGuard<Counted>,
    slots: &'a Slots,
}

impl Default for Slots {
    fn default() -> Self {
        Self::holding(GENERATION)
    }
}

impl Slots {
    fn holding(limit: usize) -> Self {
        Self { generations: Mutex::new(Generations { limit, ..Generations::default() }) }
    }

    /// The slot of a case, when it is our turn. Those who wait get it in the order in which
    /// they came. It is held while the store is asked, on purpose: it is a queue, and what
    /// it guards is of no use to anybody else meanwhile.
    pub async fn turn(&self, workflow: &WorkflowId, case: &CaseId) -> Held<'_> {
        let shared = self.shared((workflow.clone(), case.clone()));
        Held { counted: shared.lock_owned().await, slots: self }
    }

    /// The case as this process knows it, if it does and nobody changes it at this moment.
    pub fn known(&self, workflow: &WorkflowId, case: &CaseId) -> Option<Arc<Case>> {
        let key = (workflow.clone(), case.clone());
        let generations = self.generations();
        let shared = generations.young.get(&key).or_else(|| generations.old.get(&key))?;
        shared.try_lock().ok()?.slot.case.clone()
    }

    fn shared(&self, key: Key) -> Shared {
        let mut generations = self.generations();
        if let Some(shared) = generations.young.get(&key) {
            return Arc::clone(shared);
        }
        let shared = generations.old.remove(&key).unwrap_or_default();
        generations.young.insert(key, Arc::clone(&shared));
        shared
    }

    fn generations(&self) -> MutexGuard<'_, Generations> {
        self.generations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Generations {
    /// Counts a slot anew, and gives back those that there is no more room for.
    fn count(&mut self, counted: &mut Counted) -> HashMap<Key, Shared> {
        let already = if counted.generation == self.number { counted.bytes } else { 0 };
        counted.bytes = counted.slot.size();
        counted.generation = self.number;
        self.bytes = (self.bytes + counted.bytes).saturating_sub(already);
        if self.bytes <= self.limit {
            return HashMap::new();
        }
        self.bytes = 0;
        self.number += 1;
        std::mem::replace(&mut self.old, std::mem::take(&mut self.young))
    }
}

impl Deref for Held<'_> {
    type Target = Slot;

    fn deref(&self) -> &Slot {
        &self.counted.slot
    }
}

impl DerefMut for Held<'_> {
    fn deref_mut(&mut self) -> &mut Slot {
        &mut self.counted.slot
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let forgotten = self.slots.generations().count(&mut self.counted);
        // Thousands of cases, perhaps: nobody waits for the lock while they are freed.
        drop(forgotten);
    }
}
