//! The book of a worker's attempts: those that run, and the numbers of those that have ended.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use super::answer::End;
use crate::{
    models::QueueId,
    storage::{Doing, EndedAttempts, EndedLately, Hint, RunningAttempt},
};

/// The most attempts that an answer names: those that run longest. An answer must fit into a message.
const MOST_NAMED: usize = 500;

/// Time for which the end of an attempt counts as one of late, and the part of it that is counted together.
const LATELY: Duration = Duration::from_secs(60);
const TOGETHER: Duration = Duration::from_secs(1);

/// The attempts of a worker.
#[derive(Debug, Default)]
pub(super) struct Book {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// By numbers that rise, each with what wakes who keeps its lease.
    running: BTreeMap<u64, (RunningAttempt, Arc<Notify>)>,
    begun: u64,
    ended: EndedAttempts,
    lately: BTreeMap<QueueId, Lately>,
}

/// Numbers of the attempts that have ended lately, by the time of the first that is counted together.
#[derive(Debug, Default)]
struct Lately(VecDeque<(Instant, u64)>);

impl Lately {
    fn note(&mut self, now: Instant) {
        match self.0.back_mut() {
            Some((since, count)) if now.duration_since(*since) < TOGETHER => *count += 1,
            _ => {
                self.0.push_back((now, 1));
                self.ended(now);
            }
        }
    }

    /// Returns the number of those that are of late, and forgets the others.
    fn ended(&mut self, now: Instant) -> u64 {
        let is_past = |(since, _): &(Instant, u64)| now.duration_since(*since) >= LATELY;
        while self.0.front().is_some_and(is_past) {
            self.0.pop_front();
        }
        self.0.iter().map(|(_, count)| count).sum()
    }
}

impl Book {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics between the parts of one change, so the state is whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that an attempt runs, until the entry says how it ended or is dropped.
    pub(super) fn enter(&self, attempt: RunningAttempt) -> Entry<'_> {
        let mut state = self.state();
        state.begun += 1;
        let number = state.begun;
        let told = Arc::<Notify>::default();
        state.running.insert(number, (attempt, Arc::clone(&told)));
        Entry { book: self, number, told, ended: None }
    }

    /// Tells the attempts at an item that something has happened to it.
    pub(super) fn hint(&self, hint: &Hint) {
        let state = self.state();
        let meant = state.running.values().filter(|(attempt, _)| {
            (attempt.item, &attempt.case, &attempt.workflow)
                == (hint.item, &hint.case, &hint.workflow)
        });
        // Who does not wait at this moment hears it when he does.
        meant.for_each(|(_, told)| told.notify_one());
    }

    /// The attempts that run now.
    pub(super) fn now(&self, stopping: bool) -> Doing {
        let (mut state, now) = (self.state(), Instant::now());
        let attempts =
            state.running.values().take(MOST_NAMED).map(|(attempt, _)| attempt.clone()).collect();
        let (running, ended) = (state.running.len() as u64, state.ended);
        let lately = state.lately.iter_mut();
        let lately =
            lately.map(|(queue, of)| EndedLately { queue: queue.clone(), ended: of.ended(now) });
        Doing { attempts, running, ended, lately: lately.collect(), stopping }
    }
}

/// An attempt that runs.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    book: &'a Book,
    number: u64,
    told: Arc<Notify>,
    ended: Option<fn(&mut EndedAttempts)>,
}

impl Entry<'_> {
    /// Word that something has happened to its item.
    pub(super) fn told(&self) -> &Notify {
        &self.told
    }

    /// Ends it; `None` if its answer counts no more.
    pub(super) fn ended(mut self, end: Option<&End>) {
        self.ended = Some(match end {
            Some(End::Done(_)) => |ended| ended.done += 1,
            Some(End::Failed(_)) => |ended| ended.failed += 1,
            Some(End::Released(_)) => |ended| ended.released += 1,
            None => |ended| ended.stopped += 1,
        });
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        let mut state = self.book.state();
        let entry = state.running.remove(&self.number);
        let Some(count) = self.ended else { return };
        let answered = state.ended.done + state.ended.failed;
        count(&mut state.ended);
        // What was given back or told to stop is no work that is done.
        if state.ended.done + state.ended.failed > answered
            && let Some((attempt, _)) = entry
        {
            state.lately.entry(attempt.queue).or_default().note(Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::models::{CaseId, KindId, QueueId, WorkflowId};

    fn attempt(item: u64) -> RunningAttempt {
        RunningAttempt {
            workflow: WorkflowId::new("w").unwrap(),
            case: CaseId::new("c").unwrap(),
            item,
            claim: 1,
            attempt: 1,
            kind: KindId::new("k").unwrap(),
            queue: QueueId::new("q").unwrap(),
            since: DateTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn attempts_that_end_are_counted_and_those_that_are_dropped_are_only_gone() {
        let book = Book::default();
        let [done, failed, released, stopped, dropped] = [1, 2, 3, 4, 5].map(attempt);
        let entries = [done, failed, released, stopped].map(|attempt| book.enter(attempt));
        let dropped = book.enter(dropped);
        assert_eq!(book.now(false).running, 5);
        let ends = [Some(End::Done(Default::default())), Some(End::Failed(Default::default()))];
        let ends = ends.into_iter().chain([Some(End::Released(None)), None]);
        for (entry, end) in entries.into_iter().zip(ends) {
            entry.ended(end.as_ref());
        }
        assert_eq!(book.now(false).attempts, [attempt(5)]);
        drop(dropped);
        let ended = EndedAttempts { done: 1, failed: 1, released: 1, stopped: 1 };
        let lately = vec![EndedLately { queue: QueueId::new("q").unwrap(), ended: 2 }];
        let none = Doing { ended, lately, stopping: true, ..Doing::default() };
        assert_eq!(book.now(true), none);
    }

    #[test]
    fn what_ended_more_than_a_minute_ago_is_not_of_late() {
        let (mut lately, begun) = (Lately::default(), Instant::now());
        let at = |seconds: u64| begun + Duration::from_millis(1_000 * seconds);
        assert_eq!(lately.ended(at(0)), 0);
        for seconds in [0, 0, 0, 10, 59] {
            lately.note(at(seconds));
        }
        let counts = [59, 60, 69, 70, 118, 119].map(|seconds| lately.ended(at(seconds)));
        assert_eq!(counts, [5, 2, 2, 1, 1, 0]);
        (120..400).for_each(|second| lately.note(at(second)));
        assert_eq!((lately.ended(at(399)), lately.0.len()), (60, 60));
    }

    #[test]
    fn of_very_many_those_that_run_longest_are_named() {
        let book = Book::default();
        let entries: Vec<_> = (0..1_000).map(|item| book.enter(attempt(item))).collect();
        let now = book.now(false);
        assert_eq!((now.running, now.attempts.len()), (1_000, MOST_NAMED));
        assert_eq!((now.attempts[0].item, now.attempts[MOST_NAMED - 1].item), (0, 499));
        drop(entries);
    }
}
