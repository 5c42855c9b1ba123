//! Writing the views of a record, right after its append.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Instant,
};

use chrono::{DateTime, Utc};

use crate::petrel::{
    Error, Result,
    cache::slot::Slot,
    views::{
        Views,
        unseen::{Key, Unseen, touched},
        write_later::may_wait,
    },
};
use crate::{
    models::{Case, Passed, PlaceId, Record, Token, TokenAt},
    storage::{Register, RegisterVersion, ViewContent, ViewOutcome, ViewWrite, WriteOptions},
};

/// Time at which a change began, and whether its views may be written later.
#[derive(Debug, Clone, Copy)]
pub(in crate::petrel) struct Writing {
    pub begun: Instant,
    pub may_wait: bool,
}

impl Views {
    /// Reads the registers that the record's views depend on and that this process does not
    /// know, and those of the record before whose views it has not seen, while the append is under
    /// way. The write finds out those that can't be read.
    pub(in crate::petrel) async fn unknown_registers(
        &self,
        slot: &Slot,
        record: &Record,
    ) -> Vec<Register> {
        let storage = &self.reader.storage;
        let unknown = |at: &&TokenAt| slot.registers.expected(&at.token, &at.place).is_none();
        let is_forgotten = |left: DateTime<Utc>| storage.has_forgotten(left, record.time);
        let made: HashMap<_, _> = record.produced.iter().map(|token| (&token.id, token)).collect();
        let mut wanted = Vec::new();
        for at in record.left().into_iter().filter(unknown) {
            wanted.push((&at.token, &at.place));
            // The same token in another place: its marker may still be there.
            let before = slot.case.as_ref().and_then(|case| case.tokens.get(&at.token));
            let moved = made.get(&at.token);
            let back = moved.filter(|token| {
                before.is_none_or(|before| may_have_left(before, &token.place, is_forgotten))
            });
            wanted.extend(back.map(|token| (&token.id, &token.place)));
        }
        if record.kind.may_edit() {
            let made = record.produced.iter();
            let edited = made.filter(|token| token.created_at != token.updated_at);
            wanted.extend(edited.map(|token| (&token.id, &token.place)));
        }
        let unseen = slot.unseen.iter().flat_map(Unseen::keys);
        wanted.extend(unseen.map(|(token, place)| (token, place)));
        wanted.sort_unstable();
        wanted.dedup();
        let wanted: Vec<_> =
            wanted.into_iter().map(|(token, place)| (token.clone(), place.clone())).collect();
        storage.registers_of(&record.workflow, &wanted).await.unwrap_or_default()
    }

    /// Writes the views of the record: first the markers of the tokens that left, then the
    /// tokens that are there. The record is in the log, so no failure here makes the change
    /// fail; it is mended here if it can be, and by the reconciler otherwise. `before` is the case
    /// before the record, and `seen` what [`unknown_registers`](Self::unknown_registers) found.
    pub(in crate::petrel) async fn write_views(
        &self,
        slot: &mut Slot,
        (before, seen): (Option<&Case>, Vec<Register>),
        (record, case): (&Record, &Case),
        writing: Writing,
    ) {
        let (appended, reconnects) = (Instant::now(), self.reader.storage.reconnects());
        slot.registers.adopt(&seen);
        let is_put_off =
            writing.may_wait && may_wait(record, case) && slot.put_off(record, writing.begun);
        let mut unseen = slot.unseen.take();
        // Whoever does not wait leaves the look at what others left to those who do.
        if is_put_off {
            slot.unseen = unseen.take().map(|unseen| unseen.and_last(record));
        }
        let behind = match (before, &unseen) {
            (Some(before), Some(_)) => {
                Box::pin(self.left_behind(unseen.as_ref(), before, &seen)).await
            }
            _ => Ok(Vec::new()),
        };
        // Those of the records before come first: whoever finds this one's looks no further.
        let (behind, unseen, mended) = match behind {
            Ok(behind) if behind.is_empty() => (behind, None, Ok(())),
            Ok(behind) => {
                slot.registers.clear();
                let repaired = self.repair(&case.workflow, &case.id, behind.clone());
                let repaired = Box::pin(repaired).await.map(drop);
                (behind, None, repaired)
            }
            Err(error) => (Vec::new(), unseen, Err(error)),
        };
        // Those that can't be looked at now would be hidden by this one's.
        let waits = is_put_off || unseen.is_some();
        let later = if waits { None } else { slot.later.take() };
        let before_it = later.iter().flat_map(|later| later.keys.iter().cloned());
        let keys: Vec<_> = before_it.chain(touched(record)).collect();
        let written = async {
            match waits {
                true => Ok(()),
                false => self.write_keys(slot, (&keys, writing.begun), case).await,
            }
        };
        // What others wait for goes first.
        let waiting = self.write_waiting(before, record, case);
        let (armed, written) = tokio::join!(waiting, written);
        let failed = mended.and(written).err();
        if let Err(error) = &armed {
            self.metrics.view_failed();
            tracing::warn!(
                workflow = %case.workflow, case = %case.id, sequence = %case.sequence, %error,
                "the change is in the log, but its timers may not be armed, or its work not offered; \
                 the reconciler does it"
            );
        }
        if failed.is_none() && armed.is_ok() {
            let is_written_later = is_put_off && touched(record).next().is_some();
            match slot.later.as_mut().filter(|_| is_written_later) {
                Some(later) => later.confirms(case.sequence, reconnects),
                None => self.confirmed.add(case.sequence, reconnects),
            }
        }
        if failed.is_none() {
            let of_later = later.iter().flat_map(|later| &later.records);
            of_later.for_each(|(sequence, reconnects)| self.confirmed.add(*sequence, *reconnects));
        }
        if let Some(error) = failed {
            slot.unseen = match unseen {
                Some(unseen) => Some(unseen.and_last(record)),
                None => Unseen::failed(behind.into_iter().chain(keys)),
            };
            slot.registers.clear();
            self.metrics.view_failed();
            tracing::warn!(
                workflow = %case.workflow, case = %case.id, sequence = %case.sequence, %error,
                "the change is in the log, but not all views are written; the case's next change, \
                 or the reconciler, mends them"
            );
        }
        if !is_put_off {
            self.metrics.viewed(appended.elapsed());
        }
    }

    /// Arms the timers of a record, and offers its work.
    async fn write_waiting(
        &self,
        before: Option<&Case>,
        record: &Record,
        case: &Case,
    ) -> Result<()> {
        let armed = async {
            match has_timers(before, case) {
                true => Box::pin(self.write_timers(before, case)).await,
                false => Ok(()),
            }
        };
        let offered = async {
            match case.items_made > 0 {
                true => Box::pin(self.write_work(before, record, case)).await,
                false => Ok(()),
            }
        };
        let noted = async {
            match case.items_made + case.incidents_made > 0 {
                true => Box::pin(self.note_changes(before, record, case)).await,
                false => Ok(()),
            }
        };
        let (armed, offered, noted) = tokio::join!(armed, offered, noted);
        armed.map_err(Error::from).and(offered).and(noted)
    }

    /// Writes registers of a slot's case, which was as it is known at `read`. A register that had a token for
    /// a moment only gets its marker, too: another process may be about to write the token there.
    pub(super) async fn write_keys(
        &self,
        slot: &mut Slot,
        (keys, read): (&[Key], Instant),
        case: &Case,
    ) -> Result<()> {
        let writes = self.view_writes(slot, keys, case);
        let written: Vec<_> =
            writes.iter().map(|write| (write.token.clone(), write.place.clone())).collect();
        let options = WriteOptions { log_read: read };
        let outcomes = self.reader.storage.write_views(writes, options).await;
        let (mut doubtful, mut failed) = (false, None);
        for ((token, place), outcome) in written.iter().zip(outcomes) {
            match outcome {
                Ok(ViewOutcome::Written(seen)) => slot.registers.set(token, place, seen),
                Ok(ViewOutcome::Unfenced(_) | ViewOutcome::LostRace) => doubtful = true,
                Err(error) => failed = Some(error),
            }
        }
        slot.registers.forget_gone(case);
        if let Some(error) = failed {
            return Err(error.into());
        }
        if doubtful {
            slot.registers.clear();
            Box::pin(self.repair(&case.workflow, &case.id, keys.to_vec())).await?;
        }
        Ok(())
    }

    /// The writes of registers of a case: the markers first.
    fn view_writes(&self, slot: &Slot, keys: &[Key], case: &Case) -> Vec<ViewWrite> {
        let (mut seen, mut gone, mut live) = (HashSet::new(), Vec::new(), Vec::new());
        for key @ (token, place) in keys {
            if !seen.insert(key) {
                continue;
            }
            let now = case.tokens.get(token);
            let known = slot.registers.expected(token, place);
            let is_here = now.is_some_and(|now| now.place == *place);
            let content = match now {
                Some(now) if is_here => ViewContent::Live(Arc::clone(now)),
                now => ViewContent::Gone {
                    revision: Some(case.sequence),
                    moved_to: now.map(|now| now.place.clone()),
                },
            };
            let writes = if is_here { &mut live } else { &mut gone };
            writes.push(ViewWrite {
                workflow: case.workflow.clone(),
                case: case.id.clone(),
                place: place.clone(),
                token: token.clone(),
                expected: known.unwrap_or(RegisterVersion::NOTHING),
                content,
            });
        }
        gone.append(&mut live);
        gone
    }
}

/// Returns true if the case has timers or waits, or had some before its last record.
fn has_timers(before: Option<&Case>, case: &Case) -> bool {
    let has =
        |case: &Case| !case.timers.is_empty() || case.items.iter().any(|item| item.wait.is_some());
    has(case) || before.is_some_and(has)
}

/// Returns true if the token may have left `place` at a time that is not forgotten; also if its
/// history is too short to tell.
fn may_have_left(
    token: &Token,
    place: &PlaceId,
    is_forgotten: impl Fn(DateTime<Utc>) -> bool,
) -> bool {
    let is_later = |event: &&Passed| !is_forgotten(event.time);
    let told = token.history.first().is_none_or(|first| is_forgotten(first.time))
        || token.history.len() as u64 == token.history_total;
    let mut later = token.history.iter().rev().take_while(is_later);
    !told || later.any(|event| event.from == *place)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A token that left `a` at the first minute and `b` at the third, with so many
    /// transitions in all.
    fn token(total: u64) -> Token {
        let passed = |from: &str, to: &str, minute: u64| json!({"from": from, "to": to, "transition": "t", "time": format!("2026-01-01T00:0{minute}:00Z")});
        let token = json!({
            "id": "k-t-1", "workflow": "w", "case": "k", "place": "c",
            "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:03:00Z",
            "history": [passed("a", "b", 1), passed("b", "c", 3)], "history_total": total
        });
        serde_json::from_value(token).unwrap()
    }

    #[test]
    fn a_place_that_a_token_left_lately_may_have_its_marker() {
        let left = |total: u64, place: &str, minute: u64| {
            let since: DateTime<Utc> = format!("2026-01-01T00:0{minute}:00Z").parse().unwrap();
            let is_forgotten = |left| left <= since;
            may_have_left(&token(total), &PlaceId::new(place).unwrap(), is_forgotten)
        };
        assert!(left(2, "b", 2));
        assert!(!left(2, "a", 2), "it left a before that");
        assert!(left(2, "a", 0));
        assert!(!left(2, "x", 0), "it never was in x");
        assert!(left(9, "x", 0), "the two that are known do not tell");
        assert!(!left(9, "x", 2), "the two that are known tell");
    }
}
