//! A run of a handler: from the first line, with the results that the journal has, to its end or a point where nothing
//! more of it may be carried out.

use std::{
    convert::Infallible,
    future,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use chrono::{DateTime, Utc};
use tokio::sync::Notify;

use super::{
    beside::{Under, UnderWay},
    environment::Environment,
    error::{Difference, Fatal},
    journal::Journal,
    past::{Past, PastOperation},
    step::cut,
    waits::{Idle, Up, UpToIdle, Waits},
};
use crate::{
    models::{EntryKind, JournalEntry, JournalId, Operation, StoredEntry},
    storage::StorageError,
    worker::WorkError,
};

/// Parts that all contexts of a run share.
#[derive(Debug)]
pub(super) struct Run {
    pub environment: Arc<dyn Environment>,
    pub seed: String,
    pub waits: Waits,
    pub under_way: UnderWay,
    journal: Journal,
    past: Mutex<Past>,
    fatal: OnceLock<Fatal>,
    ends: Notify,
    heard: Notify,
}

tokio::task_local! {
    /// There while a step runs.
    static STEP: ();
}

/// Carries out a step's own code, in which no context may be used.
pub(super) async fn in_step<T>(step: impl Future<Output = T>) -> T {
    STEP.scope((), step).await
}

impl Run {
    /// Ends the run, and the step, where a running step uses the context.
    pub(super) fn must_be_outside_of_steps(&self) {
        if STEP.try_with(|()| ()).is_ok() {
            self.fail(Fatal::InStep);
            // Before it has another effect.
            std::panic::resume_unwind(Box::new("a running step uses the context"));
        }
    }
}

/// An operation that a handler asks for, and its past.
#[derive(Debug)]
pub(super) struct Asked {
    pub of: Operation,
    pub past: Option<PastOperation>,
    /// Times at which other claims began after runs that may have begun it.
    pub begun: Vec<DateTime<Utc>>,
    /// Held until it ends.
    pub under: Under,
}

impl Run {
    /// Begins a run under a claim.
    pub(super) fn new(environment: Arc<dyn Environment>, journal: Journal, past: Past) -> Self {
        let seed = past.seed.clone();
        let (fatal, ends, heard, waits, under_way) = Default::default();
        Self {
            environment,
            seed,
            waits,
            under_way,
            journal,
            past: Mutex::new(past),
            fatal,
            ends,
            heard,
        }
    }

    fn past(&self) -> MutexGuard<'_, Past> {
        // Nothing panics between the parts of one change, so the past is whole.
        self.past.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns true as long as the journal had operations that the code has not asked for.
    pub(super) fn is_replaying(&self) -> bool {
        self.past().len() > 0
    }

    /// Returns if something may begin; where the run has ended, or is to stop or to go on later, never.
    pub(super) async fn go_on(&self) {
        if self.environment.is_stopped() {
            self.fail(Fatal::Stopped);
        }
        // What has once stood still in a run goes on in the next one, and so does all else.
        let is_paused = self.waits.is_paused() || self.environment.is_paused();
        if is_paused {
            self.waits.pause();
        }
        if is_paused || self.fatal.get().is_some() {
            future::pending().await
        }
    }

    /// The item that is carried out.
    pub(super) fn item(&self) -> &JournalId {
        self.journal.item()
    }

    /// Looks for an operation in the past.
    pub(super) async fn ask(&self, of: Operation) -> Asked {
        if self.fatal.get().is_some() {
            return future::pending().await;
        }
        let (past, begun, scope) = {
            let mut all = self.past();
            let scope = all.scope_at(&of.scope, of.number).map(|path| as_scope(path));
            (all.take(&of), all.begun.clone(), scope)
        };
        if let Some(stored) = scope {
            let asked = of.to_string();
            return self.end_by(Fatal::Differs(Difference::Scope { stored, asked })).await;
        }
        match past {
            Some(past) if past.of != of => {
                let (stored, asked) = (past.of, of);
                self.end_by(Fatal::Differs(Difference::Other { stored, asked })).await
            }
            past => {
                let under = self.under_way.enter(&of);
                Asked { of, past, begun, under }
            }
        }
    }

    /// Looks if the past has something else at the place of a scope.
    pub(super) fn enter(&self, outer: &str, number: u64, path: &str) {
        let stored = {
            let past = self.past();
            let operation = past.operation_at(outer, number).map(ToString::to_string);
            let scope = past.scope_at(outer, number).filter(|stored| *stored != path);
            operation.or_else(|| scope.map(|path| as_scope(path)))
        };
        if let Some(stored) = stored {
            let asked = as_scope(path);
            self.fail(Fatal::Differs(Difference::Scope { stored, asked }));
        }
    }

    /// Writes an entry.
    pub(super) async fn write(&self, what: EntryKind) -> Result<(), TooLarge> {
        if self.fatal.get().is_some() {
            return future::pending().await;
        }
        let _busy = self.waits.busy();
        let of_operation = what.operation().is_some();
        let written = self.journal.append(what, self.environment.now()).await;
        self.hear();
        match written {
            Ok(()) => {
                if of_operation {
                    // What is asked for from now on was begun by no run before.
                    self.past().begun.clear();
                }
                Ok(())
            }
            Err(Fatal::Journal(StorageError::TooLarge { size, limit, .. })) => {
                Err(TooLarge { size, limit })
            }
            Err(fatal) => self.end_by(fatal).await,
        }
    }

    /// Returns true if the handler takes a new way in a scope, where it has made so many operations.
    pub(super) async fn patched(&self, scope: String, id: String, made: u64) -> bool {
        if self.fatal.get().is_some() {
            return future::pending().await;
        }
        let known = self.past().is_patched((&scope, &id), made);
        if let Some(known) = known {
            return known;
        }
        self.go_on().await;
        let (change, of) = ((scope.clone(), id.clone()), EntryKind::Patched { id, scope, made });
        self.write_whole(of).await;
        self.past().patch(change, made);
        true
    }

    /// Writes an entry that has to fit into a message.
    pub(super) async fn write_whole(&self, what: EntryKind) {
        if let Err(TooLarge { size, limit }) = self.write(what).await {
            let subject = "an entry of a journal".to_owned();
            self.end_by(Fatal::Journal(StorageError::TooLarge { subject, size, limit })).await
        }
    }

    /// Leaves out what the past has of some scopes: nobody asks for it.
    pub(super) fn leave_out<'s>(&self, scopes: impl Iterator<Item = &'s str>) {
        self.past().leave_out(&scopes.collect());
    }

    /// Writes the end of an operation that waits for an answer, unless that has come before. Returns true if it was
    /// written.
    pub(super) async fn write_unless_answered(&self, of: &Operation, what: EntryKind) -> bool {
        if self.fatal.get().is_some() {
            return future::pending().await;
        }
        let _busy = self.waits.busy();
        let is_other = |stored: &StoredEntry| !matches!(&stored.entry.what, EntryKind::Resolved { of: answered, .. } if answered == of);
        let goes_on =
            |heard: &[StoredEntry]| heard.iter().all(is_other) && !self.past().is_answered(of);
        let written = self.journal.append_if(what, self.environment.now(), goes_on).await;
        self.hear();
        match written {
            Ok(written) => written,
            Err(fatal) => self.end_by(fatal).await,
        }
    }

    /// Waits for an answer from outside, or a time. `None` if that came first.
    pub(super) async fn answer(
        &self,
        of: &Operation,
        until: DateTime<Utc>,
    ) -> Option<PastOperation> {
        loop {
            let mut heard = pin!(self.heard.notified());
            heard.as_mut().enable();
            let answer = self.past().take_answer(of);
            if answer.is_some() {
                return answer;
            }
            let _waits = self.waits.wait(until, true);
            tokio::select! {
                biased;
                () = heard => {}
                () = self.environment.sleep_until(until) => return None,
            }
        }
    }

    /// Takes what others wrote into the journal.
    fn hear(&self) {
        let heard = self.journal.take_heard();
        if heard.is_empty() {
            return;
        }
        {
            let mut past = self.past();
            // All else is of this run: what a branch wrote that was dropped before it heard of it.
            let answers = heard.into_iter().map(|stored| stored.entry);
            let is_answer = |entry: &JournalEntry| matches!(entry.what, EntryKind::Resolved { .. });
            answers.filter(is_answer).for_each(|entry| past.hear(entry));
        }
        self.heard.notify_waiters();
    }

    /// Looks into the journal where something may have happened.
    async fn listen(&self) -> Infallible {
        loop {
            // Also where nothing waits yet: whoever answers beside many quick steps gets a turn meanwhile.
            self.environment.news().await;
            match self.journal.look_on().await {
                Ok(()) => self.hear(),
                Err(fatal) => self.fail(fatal),
            }
        }
    }

    /// Ends the run here: whoever waits for this waits for ever.
    pub(super) async fn end_by<T>(&self, fatal: Fatal) -> T {
        self.fail(fatal);
        future::pending().await
    }

    /// Ends the run at its next pause. Nothing begins until then.
    pub(super) fn fail(&self, fatal: Fatal) {
        // The first one counts.
        let _ = self.fatal.set(fatal);
        self.ends.notify_one();
    }

    /// Waits for a time. If nothing else goes on meanwhile, and it is far away, the run ends.
    pub(super) async fn wait_until(&self, time: DateTime<Utc>) {
        let _waits = self.waits.wait(time, false);
        self.environment.sleep_until(time).await;
    }

    /// Lets the worker go, unless something came for which the run waits.
    async fn give_back(&self, idle: Idle) {
        let put_off = match idle {
            Idle::Until(put_off) => Some(put_off),
            Idle::Paused => None,
        };
        let parked = EntryKind::Parked { until: put_off.map(|of| of.until) };
        // Nothing was heard of since the handler came to rest.
        let heard_of = self.journal.heard_of();
        let rests = |heard: &[StoredEntry]| heard.is_empty() && self.journal.heard_of() == heard_of;
        match self.journal.append_if(parked, self.environment.now(), rests).await {
            Ok(true) => {
                self.environment.give_back(put_off);
                self.fail(Fatal::GivenBack);
            }
            Ok(false) => self.hear(),
            Err(fatal) => self.fail(fatal),
        }
    }

    /// Notes that the handler has ended with an error.
    pub(super) async fn failed(&self, error: &WorkError) -> Result<(), Fatal> {
        // Its answer may not count, and then the next run comes to the same end.
        if self.environment.is_stopped() {
            return Err(Fatal::Stopped);
        }
        let (of, failure) = (error.operation().cloned(), cut(error.failure().clone()));
        // It is on its way from here on, and may be stored whatever is heard of it.
        self.environment.fails();
        self.end(EntryKind::Failed { of, failure }).await
    }

    /// Writes an entry after the end of the handler.
    pub(super) async fn end(&self, what: EntryKind) -> Result<(), Fatal> {
        self.journal.append(what, self.environment.now()).await
    }

    /// The reason for which the run can end here, where it waits; `None` if something goes on, or the worker is kept.
    fn can_be_given_back(&self) -> Option<Idle> {
        let idle = self.waits.idle()?;
        let is_long = |until| until - self.environment.now() > self.environment.keeps_worker_for();
        let can_end = match idle {
            Idle::Until(put_off) => is_long(put_off.until),
            Idle::Paused => true,
        };
        (can_end && self.fatal.get().is_none() && !self.environment.is_stopped()).then_some(idle)
    }

    /// Carries a handler out, up to its end or the point where its run ends.
    pub(super) async fn carry<T>(&self, handler: impl Future<Output = T>) -> Result<T, &Fatal> {
        let mut handler = UpToIdle::new(handler, || self.can_be_given_back());
        let carried = async {
            loop {
                match (&mut handler).await {
                    Up::Ended(ended) => return ended,
                    Up::Idle(idle) => self.give_back(idle).await,
                }
            }
        };
        let ended = tokio::select! {
            biased;
            () = self.ends.notified() => None,
            ended = carried => Some(ended),
            never = self.listen() => match never {},
        };
        if let Some(fatal) = self.fatal.get() {
            return Err(fatal);
        }
        let early = {
            let past = self.past();
            let first = past.first_left().cloned();
            first.map(|first| Difference::EndsEarly { more: past.len(), first })
        };
        match (ended, early) {
            (Some(ended), None) => Ok(ended),
            (_, early) => {
                let fatal = early.map_or(Fatal::LeaseLost, Fatal::Differs);
                Err(self.fatal.get_or_init(|| fatal))
            }
        }
    }
}

/// A scope in words, by its path.
fn as_scope(path: &str) -> String {
    format!("scope {path}")
}

/// An entry that does not fit into a message. Nothing was stored.
#[derive(Debug)]
pub(super) struct TooLarge {
    pub size: usize,
    pub limit: usize,
}
