//! Entries on their way into the index, and out of it.
//!
//! An entry is written a second after its item was opened: most items of a system that keeps up are over
//! by then, and cost nothing here. What a process could not write before it died, the reconciler writes.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use chrono::TimeDelta;
use futures::StreamExt;
use tokio::sync::{Mutex as Turn, Notify};

use super::sweep::is_over;
use crate::petrel::Inner;
use crate::{
    models::{CaseId, WorkflowId},
    storage::{Open, Result, StorageError},
};

/// Age from which on an entry is written.
const NOTED_AFTER: Duration = Duration::from_secs(1);

/// Number of entries that are written together.
const AT_ONCE: usize = 256;

/// Wait before entries are written again that could not be.
const AGAIN: Duration = Duration::from_secs(1);

/// The most entries that wait. A store that is away for so long takes no changes either.
const MOST: usize = 100_000;

/// Returns true if the entry of an item that ends at this age may have been written, also by another
/// process with another clock.
pub(super) fn may_be_noted(age: TimeDelta) -> bool {
    age.to_std().is_ok_and(|age| age >= NOTED_AFTER / 2)
}

/// Entries that wait.
#[derive(Debug, Default)]
pub(in crate::petrel) struct Notes {
    state: Mutex<State>,
    changed: Notify,
    /// Held while a part is taken and written: whoever asks waits for it.
    turn: Turn<()>,
}

#[derive(Debug, Default)]
struct State {
    /// Those to be written, each with the time of its opening, and their order.
    opened: HashMap<Open, Instant>,
    order: VecDeque<(Instant, Open)>,
    /// Those to be struck out.
    ended: Vec<Open>,
    /// True if a task sees to them.
    has_task: bool,
    /// True if nothing is waited for any more.
    hurries: bool,
    /// True if it was told that there are too many.
    is_told: bool,
}

/// A part of them, to be done now.
#[derive(Debug, Default)]
struct Part {
    opened: Vec<Open>,
    ended: Vec<Open>,
}

impl State {
    fn is_empty(&self) -> bool {
        self.opened.is_empty() && self.ended.is_empty()
    }

    /// Takes what is to be done now, `age` after it was opened.
    fn part(&mut self, age: Duration) -> Part {
        let mut part = Part { ended: mem::take(&mut self.ended), ..Part::default() };
        while part.opened.len() < AT_ONCE
            && let Some((since, _)) = self.order.front()
            && since.elapsed() >= age
            && let Some((since, open)) = self.order.pop_front()
        {
            // One that has ended, or was opened anew, is not this one any more.
            if self.opened.get(&open) == Some(&since) {
                self.opened.remove(&open);
                part.opened.push(open);
            }
        }
        part
    }

    /// Time at which the oldest of those that are still open was opened. Those before it are forgotten: a
    /// task that woke for each would wake as often as items open.
    fn oldest(&mut self) -> Option<Instant> {
        while let Some((since, open)) = self.order.front() {
            if self.opened.get(open) == Some(since) {
                return Some(*since);
            }
            self.order.pop_front();
        }
        None
    }
}

impl Notes {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn opened(&self, open: Open) {
        let (mut state, now) = (self.state(), Instant::now());
        if state.opened.len() >= MOST {
            if !mem::replace(&mut state.is_told, true) {
                tracing::warn!(
                    "more than {MOST} entries of the index of open work wait: listings lack others until \
                     the next look at their cases"
                );
            }
            return;
        }
        state.is_told = false;
        state.opened.insert(open.clone(), now);
        state.order.push_back((now, open));
    }

    fn put_back(&self, part: Part) {
        let (mut state, now) = (self.state(), Instant::now());
        for open in part.opened {
            state.opened.insert(open.clone(), now);
            state.order.push_back((now, open));
        }
        state.ended.extend(part.ended);
    }

    /// Notes the end of something. `may_be_noted`: also by others.
    pub(super) fn ended(&self, open: Open, may_be_noted: bool) {
        let mut state = self.state();
        if state.opened.remove(&open).is_none() && may_be_noted {
            state.ended.push(open);
            drop(state);
            self.changed.notify_one();
        }
    }
}

impl Inner {
    /// Sees to it that what waits is written, if nobody does yet.
    pub(in crate::petrel) fn see_to_notes(self: &Arc<Self>) {
        {
            let mut state = self.views.notes.state();
            if state.is_empty() || mem::replace(&mut state.has_task, true) {
                return;
            }
        }
        let inner = Arc::clone(self);
        self.later.spawn(async move { inner.write_notes().await });
    }

    /// Writes what waits, until nothing does.
    async fn write_notes(&self) {
        let notes = &self.views.notes;
        loop {
            let turn = notes.turn.lock().await;
            let (part, next) = {
                let mut state = notes.state();
                if state.is_empty() {
                    state.order.clear();
                    state.has_task = false;
                    return;
                }
                let age = if state.hurries { Duration::ZERO } else { NOTED_AFTER };
                let part = state.part(age);
                (part, state.oldest().map(|since| since + age))
            };
            if part.opened.is_empty() && part.ended.is_empty() {
                drop(turn);
                let next = next.unwrap_or_else(|| Instant::now() + NOTED_AFTER);
                tokio::select! {
                    () = notes.changed.notified() => {}
                    () = self.later.closing() => notes.state().hurries = true,
                    () = tokio::time::sleep_until(next.into()) => {}
                }
                continue;
            }
            let written = self.write_aged(&part).await;
            drop(turn);
            if let Err(error) = written {
                if self.later.is_closing() || !error.retryable() {
                    tracing::warn!(
                        %error,
                        "entries of the index of open work are not written: listings may lack some \
                         until the next look at their cases, or `petrel rebuild`"
                    );
                    continue;
                }
                tracing::debug!(%error, "the index of open work is written again");
                notes.put_back(part);
                tokio::time::sleep(AGAIN).await;
            }
        }
    }

    /// Writes a part, of which other processes may have ended some.
    async fn write_aged(&self, part: &Part) -> Result<()> {
        let mut workflows: BTreeMap<&WorkflowId, BTreeMap<CaseId, Vec<&Open>>> = BTreeMap::new();
        for open in &part.opened {
            let (workflow, case) = open.of();
            let cases = workflows.entry(workflow).or_default();
            cases.entry(case.clone()).or_default().push(open);
        }
        let mut opened = Vec::new();
        for (workflow, cases) in workflows {
            let ids: Vec<_> = cases.keys().cloned().collect();
            let mut heads = self.reader.storage.heads(workflow, &ids);
            while let Some((case, head)) = heads.next().await {
                let head = match head {
                    Ok(head) => head,
                    // Its entries are written: whoever lists them tells why they are not shown.
                    Err(StorageError::Corrupt { .. }) => None,
                    Err(error) => return Err(error),
                };
                let is_open =
                    |open: &&&Open| head.as_ref().is_none_or(|head| !is_over(open, &head.value));
                opened.extend(cases[&case].iter().filter(is_open).map(|open| Open::clone(open)));
            }
        }
        self.write_part(&Part { opened, ended: part.ended.clone() }).await
    }

    async fn write_part(&self, Part { opened, ended }: &Part) -> Result<()> {
        let storage = &self.reader.storage;
        if !opened.is_empty() {
            storage.note_open(opened).await?;
        }
        if !ended.is_empty() {
            storage.strike_open(ended).await?;
        }
        Ok(())
    }

    /// Writes what waits in this process, whatever its age: whoever asks here finds what was done here.
    pub(super) async fn write_notes_now(&self) {
        let (notes, asked) = (&self.views.notes, Instant::now());
        let _turn = notes.turn.lock().await;
        loop {
            // What comes meanwhile is not waited for.
            let part = notes.state().part(asked.elapsed());
            if part.opened.is_empty() && part.ended.is_empty() {
                return;
            }
            if let Err(error) = self.write_part(&part).await {
                tracing::warn!(%error, "a listing may lack what this process has opened");
                notes.put_back(part);
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::QueueId;

    fn item(item: u64) -> Open {
        let queue = QueueId::new("default").unwrap();
        let (workflow, case) = (WorkflowId::new("w").unwrap(), CaseId::new("k").unwrap());
        Open::Item { queue, workflow, case, item }
    }

    #[test]
    fn what_is_over_wakes_nobody() {
        let notes = Notes::default();
        (1..=3).for_each(|number| notes.opened(item(number)));
        notes.ended(item(1), false);
        notes.ended(item(2), false);
        let mut state = notes.state();
        let third = state.opened[&item(3)];
        assert_eq!(state.oldest(), Some(third));
        assert_eq!(state.order.len(), 1);
        drop(state);
        // Opened anew, it is as old as that.
        notes.opened(item(3));
        let mut state = notes.state();
        assert!(state.oldest() > Some(third));
    }
}
