//! Views that others left behind.
//!
//! A process that dies between its append and its views leaves them to the reconciler, which comes
//! seconds later. Whoever is answered on top of such a record must find all that the answer
//! rests on in listings, so the next change of the case looks at them.

use std::collections::{HashMap, HashSet};

use chrono::TimeDelta;

use crate::petrel::{
    Result,
    cache::slot::Slot,
    views::{
        Views,
        repair::correction,
        unseen::{Key, Unseen, may_be_put_off, touched},
    },
};
use crate::{
    models::Case,
    storage::{Register, StorageError},
};

/// Number of records that are looked at: more were not left behind by processes that died, but by
/// a view that is lost.
const MOST_BEHIND: usize = 64;

/// Number of records in a row that tell nothing of the views, as those about no token. Whoever
/// appended one of them had looked as well, so that as many processes would have died in a row.
const MOST_SILENT: usize = 4;

/// Time after which what a worker put off is written, or was mended by the reconciler; and the number of
/// younger records that are looked at.
const PUT_OFF_FOR: TimeDelta = TimeDelta::seconds(5);
const MOST_OF_WORKERS: usize = 64;

impl Views {
    /// Returns the registers of `case` that were left behind, those of the oldest record first.
    /// `seen` are registers that were read after it, those of `unseen` among them.
    pub(in crate::petrel) async fn left_behind(
        &self,
        unseen: Option<&Unseen>,
        case: &Case,
        seen: &[Register],
    ) -> Result<Vec<Key>> {
        let Some(unseen) = unseen else { return Ok(Vec::new()) };
        let marking = case.marking.0.iter().map(|entry| (&entry.token, entry));
        let marking: HashMap<_, _> = marking.collect();
        let is_right = |register: &Register| {
            let (entry, token) = (marking.get(&register.token), case.tokens.get(&register.token));
            correction(Some(case.sequence), entry.copied(), token, register).is_none()
        };
        let right = seen.iter().filter(|register| is_right(register));
        let right: HashSet<_> = right.map(|register| (&register.token, &register.place)).collect();
        let is_seen = |(token, place): &Key| right.contains(&(token, place));
        let failed = if unseen.failed.iter().all(is_seen) { &[] } else { &unseen.failed[..] };
        let is_last_right =
            |last: &Vec<Key>| !last.is_empty() && !unseen.is_by_worker && last.iter().all(is_seen);
        if unseen.last.as_ref().is_none_or(is_last_right) {
            return Ok(failed.to_vec());
        }
        let (mut behind, mut silent, mut sequence) = (Vec::new(), 0, case.sequence);
        let (mut wrong, mut newest, mut of_workers) = (HashSet::new(), None, 0);
        while silent < MOST_SILENT {
            if behind.len() == MOST_BEHIND {
                let (workflow, case) = (&case.workflow, &case.id);
                tracing::warn!(
                    %workflow, %case,
                    "the views of {MOST_BEHIND} records and more are behind; the reconciler, or \
                     `petrel rebuild`, mends the others"
                );
                break;
            }
            let record = match self.reader.storage.record(&case.workflow, &case.id, sequence).await
            {
                Ok(Some(record)) => record,
                // A record that can't be read has no views, and does not say what comes before it.
                Ok(None) | Err(StorageError::Corrupt { .. }) => break,
                Err(error) => return Err(error.into()),
            };
            // A worker writes its views a moment later, and says nothing of those before it until then.
            let age = *newest.get_or_insert(record.value.time) - record.value.time;
            let is_open = may_be_put_off(&record.value) && age < PUT_OFF_FOR;
            of_workers += usize::from(is_open);
            let says_nothing = is_open && of_workers < MOST_OF_WORKERS;
            // What is wrong since a later record tells nothing of this one: a token that goes to and
            // fro has the same registers each time.
            let (again, keys): (Vec<_>, Vec<_>) =
                touched(&record.value).partition(|key| wrong.contains(key));
            match keys.is_empty() {
                true => silent += usize::from(!says_nothing),
                false => {
                    let storage = &self.reader.storage;
                    let registers = storage.registers_of(&case.workflow, &keys).await?;
                    // Whoever appended it has looked at the views of those before it, too, before it
                    // wrote its own. (One that died as well, of whose record nothing was to be
                    // written, is left to the reconciler.)
                    let all_right = registers.iter().all(is_right);
                    match (all_right, again.is_empty()) {
                        (true, _) if says_nothing => {}
                        (true, true) => break,
                        // Its other registers may only seem to be right: a place that a token has left
                        // is empty before it comes, too.
                        (true, false) => silent += 1,
                        (false, _) => silent = 0,
                    }
                    let of = |register: &Register| (register.token.clone(), register.place.clone());
                    wrong.extend(registers.iter().filter(|register| !is_right(register)).map(of));
                    if !(all_right && says_nothing) {
                        behind.push(keys);
                    }
                }
            }
            let Some(previous) = record.value.previous else { break };
            sequence = previous;
        }
        Ok(behind.into_iter().rev().flatten().chain(failed.iter().cloned()).collect())
    }

    /// Looks at the views of the last record of a slot's case and of others, and mends them.
    pub(in crate::petrel) async fn show(&self, slot: &mut Slot, others: Vec<Key>) -> Result<()> {
        let Some(case) = slot.case.clone() else { return Ok(()) };
        self.write_later(slot, (&case.workflow, &case.id), true).await;
        let behind = self.left_behind(slot.unseen.as_ref(), &case, &[]).await;
        let (behind, missed) = match behind {
            Ok(behind) => (behind, None),
            Err(error) => (Vec::new(), Some(error)),
        };
        let keys = behind.into_iter().chain(others).collect();
        if self.repair(&case.workflow, &case.id, keys).await? > 0 {
            slot.registers.clear();
        }
        missed.map_or(Ok(()), Err)?;
        slot.unseen = None;
        Ok(())
    }
}
