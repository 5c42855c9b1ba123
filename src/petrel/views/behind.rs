//! Views that others left behind.
//!
//! A process that dies between its append and its views leaves them to the reconciler, which comes
//! seconds later. Whoever is answered on top of such a record must find all that the answer
//! rests on in listings, so the next change of the case looks at them.

use std::collections::{HashMap, HashSet};

use crate::petrel::{
    Result,
    cache::slot::Slot,
    views::{
        Views,
        repair::{Key, correction, touched},
    },
};
use crate::{models::Case, storage::Register};

/// Number of records that are looked at: more were not left behind by processes that died, but by
/// a view that is lost.
const MOST_BEHIND: usize = 64;

impl Views {
    /// Returns the registers of `case` that were left behind. `seen` are registers that were read
    /// after it, those of [`Slot::unseen`] among them.
    pub(in crate::petrel) async fn left_behind(
        &self,
        slot: &Slot,
        case: &Case,
        seen: &[Register],
    ) -> Result<Vec<Key>> {
        let mut behind = Vec::new();
        let Some(unseen) = &slot.unseen else { return Ok(behind) };
        let marking = case.marking.0.iter().map(|entry| (&entry.token, entry));
        let marking: HashMap<_, _> = marking.collect();
        let is_right = |register: &Register| {
            let (entry, token) = (marking.get(&register.token), case.tokens.get(&register.token));
            correction(Some(case.sequence), entry.copied(), token, register).is_none()
        };
        let right = seen.iter().filter(|register| is_right(register));
        let right: HashSet<_> = right.map(|register| (&register.token, &register.place)).collect();
        let is_seen = |(token, place): &Key| right.contains(&(token, place));
        if !unseen.is_empty() && unseen.iter().all(is_seen) {
            return Ok(behind);
        }
        let mut sequence = case.sequence;
        for _ in 0..MOST_BEHIND {
            let record = self.reader.storage.record(&case.workflow, &case.id, sequence).await?;
            let Some(record) = record else { break };
            let keys: Vec<_> = touched(&record.value).collect();
            let registers = self.reader.storage.registers_of(&case.workflow, &keys).await?;
            // Whoever appended it has looked at the views of those before it, too, before it wrote its
            // own. (One that died as well, of whose record nothing was to be written, is left to the
            // reconciler.)
            if !keys.is_empty() && registers.iter().all(is_right) {
                break;
            }
            behind.extend(keys);
            let Some(previous) = record.value.previous else { break };
            sequence = previous;
        }
        Ok(behind)
    }

    /// Looks at the views of the last record of a slot's case and of others, and mends them.
    pub(in crate::petrel) async fn show(&self, slot: &mut Slot, others: Vec<Key>) -> Result<()> {
        let Some(case) = slot.case.clone() else { return Ok(()) };
        let mut keys = self.left_behind(slot, &case, &[]).await?;
        keys.extend(others);
        if self.repair(&case.workflow, &case.id, keys).await? > 0 {
            slot.registers.clear();
        }
        slot.unseen = None;
        Ok(())
    }
}
