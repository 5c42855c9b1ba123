//! The cases that this process touched last, and the queue of those who want to change one.

use std::{
    collections::HashMap,
    ops::{Deref, DerefMut},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{Mutex as Turn, OwnedMutexGuard};

use crate::models::{Case, CaseId, WorkflowId};
use crate::petrel::{Error, Result, cache::slot::Slot};

/// Approximate bytes that the cache holds unless it is told otherwise.
const MEMORY: usize = 80 * 1024 * 1024;

/// Number of callers that wait for one case at most.
const MOST_IN_LINE: usize = 1_000;

type Key = (WorkflowId, CaseId);
pub(in crate::petrel) type Shared = Arc<Turn<Counted>>;

/// The slots of the cases that were touched last, as many as the memory for them takes.
#[derive(Debug)]
pub(in crate::petrel) struct Slots {
    generations: Mutex<Generations>,
}

#[derive(Debug, Default)]
struct Generations {
    /// Number of generations before the young one.
    number: u64,
    young: HashMap<Key, Shared>,
    old: HashMap<Key, Shared>,
    /// Approximate memory of the young one in bytes, and its limit.
    bytes: usize,
    limit: usize,
}

/// A slot, and its part in the sum of its generation.
#[derive(Debug, Default)]
pub(in crate::petrel) struct Counted {
    slot: Slot,
    generation: u64,
    bytes: usize,
}

/// A slot in its turn. Its size is counted anew when the turn ends.
pub(in crate::petrel) struct Held<'a> {
    counted: OwnedMutexGuard<Counted>,
    slots: &'a Slots,
}

impl Default for Slots {
    fn default() -> Self {
        Self::holding(MEMORY)
    }
}

impl Slots {
    fn holding(bytes: usize) -> Self {
        let slots = Self { generations: Mutex::default() };
        slots.hold(bytes);
        slots
    }

    /// Holds as many slots as so many bytes take, from the next one on that is counted.
    pub(in crate::petrel) fn hold(&self, bytes: usize) {
        // Two generations are kept.
        self.generations().limit = bytes / 2;
    }

    /// The slot of a case, when it is our turn. Those who wait get it in the order in which
    /// they came. It is held while the store is asked, on purpose: it is a queue, and the slot
    /// is of no use to anybody else meanwhile.
    ///
    /// # Errors
    ///
    /// When [`MOST_IN_LINE`] wait already.
    pub(crate) async fn turn(&self, workflow: &WorkflowId, case: &CaseId) -> Result<Held<'_>> {
        let shared = self.shared((workflow.clone(), case.clone()));
        // Whoever waits has one, and so have we and a generation.
        if Arc::strong_count(&shared) > MOST_IN_LINE + 2 {
            let reason = format!("{MOST_IN_LINE} changes of case {case} wait for their turn");
            return Err(Error::Overloaded { reason });
        }
        Ok(Held { counted: shared.lock_owned().await, slots: self })
    }

    /// A slot that is held elsewhere, when it is our turn.
    pub(crate) async fn turn_of(&self, shared: Shared) -> Held<'_> {
        Held { counted: shared.lock_owned().await, slots: self }
    }

    /// Returns true if this is the slot of the case: it may have been forgotten, and another made.
    pub(crate) fn is_current(&self, key: &Key, shared: &Shared) -> bool {
        let generations = self.generations();
        let found = generations.young.get(key).or_else(|| generations.old.get(key));
        found.is_some_and(|found| Arc::ptr_eq(found, shared))
    }

    /// The case as this process knows it, if it does and nobody changes it at this moment.
    pub(crate) fn known(&self, workflow: &WorkflowId, case: &CaseId) -> Option<Arc<Case>> {
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
    fn count(&mut self, counted: &mut Counted, bytes: usize) -> HashMap<Key, Shared> {
        let already = if counted.generation == self.number { counted.bytes } else { 0 };
        counted.bytes = bytes;
        counted.generation = self.number;
        self.bytes = (self.bytes + bytes).saturating_sub(already);
        if self.bytes <= self.limit {
            return HashMap::new();
        }
        self.bytes = 0;
        self.number += 1;
        std::mem::replace(&mut self.old, std::mem::take(&mut self.young))
    }
}

impl Held<'_> {
    /// The slot, to be held beyond this turn.
    pub(in crate::petrel) fn shared(&self) -> Shared {
        Arc::clone(OwnedMutexGuard::mutex(&self.counted))
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
        // A case may be large, and those that are forgotten are many: nobody waits for the lock
        // while the one is sized up and the others are freed.
        let bytes = self.counted.slot.size();
        let forgotten = self.slots.generations().count(&mut self.counted, bytes);
        drop(forgotten);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::models::{CaseStatus, Chain, LogSequence, Marking, Token};

    fn id(number: usize) -> CaseId {
        CaseId::new(format!("k{number}")).unwrap()
    }

    /// Learns a case with a token that carries `data`.
    async fn learn(slots: &Slots, number: usize, data: &Value) {
        let (workflow, id) = (WorkflowId::new("w").unwrap(), id(number));
        let token: Token = serde_json::from_value(json!({
            "id": format!("{id}-t-1"), "workflow": "w", "case": id, "place": "a", "data": data,
            "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z"
        }))
        .unwrap();
        let mut slot = slots.turn(&workflow, &id).await.unwrap();
        slot.case = Some(Arc::new(Case {
            workflow: workflow.clone(),
            id: id.clone(),
            definition: LogSequence::FIRST,
            status: CaseStatus::Running,
            marking: Marking::default(),
            tokens: HashMap::from([(token.id.clone(), Arc::new(token))]),
            history_bases: HashMap::new(),
            incidents: Vec::new(),
            incidents_made: 0,
            timers: Vec::new(),
            timers_made: 0,
            items: Vec::new(),
            items_made: 0,
            paused: None,
            tokens_made: 1,
            sequence: LogSequence::FIRST,
            head_hash: String::new(),
            digests: Default::default(),
            chain: Chain::default(),
            aside: Vec::new(),
            unknown: Vec::new(),
        }));
    }

    fn known(slots: &Slots, numbers: std::ops::Range<usize>) -> usize {
        let workflow = WorkflowId::new("w").unwrap();
        numbers.filter(|number| slots.known(&workflow, &id(*number)).is_some()).count()
    }

    #[tokio::test]
    async fn as_many_cases_are_known_as_the_memory_takes() {
        let slots = Slots::holding(200_000);
        let (small, large) = (json!({}), json!({"text": "x".repeat(10_000)}));
        for number in 0..1_000 {
            learn(&slots, number, &small).await;
        }
        let small_ones = known(&slots, 0..1_000);
        assert!((40..100).contains(&small_ones), "{small_ones} of 2 kB each in 200 kB at most");
        assert_eq!(known(&slots, 1_000 - small_ones..1_000), small_ones, "not the last ones");
        for number in 1_000..1_100 {
            learn(&slots, number, &large).await;
        }
        let large_ones = known(&slots, 1_000..1_100);
        assert!((8..20).contains(&large_ones), "{large_ones} of 12 kB each in 200 kB at most");
        assert_eq!(known(&slots, 0..1_000), 0);
    }

    #[tokio::test]
    async fn a_case_that_is_touched_again_and_again_is_counted_once_and_stays_known() {
        let slots = Slots::holding(200_000);
        let data = json!({"text": "x".repeat(5_000)});
        for number in 1..1_000 {
            learn(&slots, 0, &data).await;
            learn(&slots, number % 4, &data).await;
        }
        assert_eq!(known(&slots, 0..4), 4);
        for number in 4..1_000 {
            learn(&slots, 0, &data).await;
            learn(&slots, number, &data).await;
            assert_eq!(known(&slots, 0..1), 1, "after {number}");
        }
    }

    #[tokio::test]
    async fn ids_that_name_no_case_do_not_pile_up() {
        let slots = Slots::holding(200_000);
        let workflow = WorkflowId::new("w").unwrap();
        for number in 0..10_000 {
            drop(slots.turn(&workflow, &id(number)).await.unwrap());
        }
        let generations = slots.generations();
        let remembered = generations.young.len() + generations.old.len();
        assert!(remembered < 250, "{remembered}");
    }
}
