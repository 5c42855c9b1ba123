//! The reconciler: follows the log a few seconds behind, and mends the views of changes whose
//! writer did not come to it.

use std::{
    collections::BTreeSet,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;

use crate::models::LogSequence;
use crate::petrel::{
    Petrel, Repaired, Result,
    views::Views,
    views::batch::{Cases, Touched},
    views::checkpoints::Checkpoints,
    views::rebuild::Item,
    views::settled::{SETTLED_AFTER, Settled},
};

/// Time between two looks at the log.
const EVERY: Duration = Duration::from_millis(500);

/// Time between two reports of a lasting failure.
const COMPLAIN_EVERY: Duration = Duration::from_secs(60);
/// Number of records that are looked at again at the start and after a lost connection: all that were
/// under way when a process or the server died.
const LOOK_BACK: u64 = 10_000;

/// The records whose views this process has written itself.
#[derive(Debug, Default)]
pub(in crate::petrel) struct Confirmed {
    followed: AtomicBool,
    /// True as long as something is to be looked at that the store may have lost.
    catches_up: AtomicBool,
    records: Mutex<Records>,
}

#[derive(Debug, Default)]
struct Records {
    sequences: BTreeSet<LogSequence>,
    /// The number of connections that there had been when they were written. What was acknowledged
    /// through an earlier one may be lost.
    reconnects: u64,
}

impl Confirmed {
    /// Returns true if this process looks at what the store may have lost, and has not come to the end.
    #[cfg(feature = "analysis")]
    pub(in crate::petrel) fn catches_up(&self) -> bool {
        self.catches_up.load(Ordering::Relaxed)
    }

    fn records(&self) -> MutexGuard<'_, Records> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that the views of a record are written, and how many connections there had been before.
    /// Without a reconciler nobody would ever take the note away, so none is made.
    pub(crate) fn add(&self, sequence: LogSequence, reconnects: u64) {
        if self.followed.load(Ordering::Relaxed) {
            let mut records = self.records();
            if records.reconnects == reconnects {
                records.sequences.insert(sequence);
            }
        }
    }

    /// The first sequence after `done` and up to `to` that is not confirmed.
    pub(super) fn first_open(
        &self,
        done: Option<LogSequence>,
        to: LogSequence,
    ) -> Option<LogSequence> {
        let sequences = &self.records().sequences;
        let mut first = LogSequence::after(done);
        while first <= to && sequences.contains(&first) {
            first = first.next();
        }
        (first <= to).then_some(first)
    }

    pub(super) fn contains(&self, sequence: LogSequence) -> bool {
        self.records().sequences.contains(&sequence)
    }

    fn forget_up_to(&self, sequence: LogSequence) {
        let sequences = &mut self.records().sequences;
        *sequences = sequences.split_off(&sequence.next());
    }

    /// Forgets all of them, and those that were written before there had been so many connections.
    fn forget(&self, reconnects: u64) {
        *self.records() = Records { sequences: BTreeSet::new(), reconnects };
    }
}

impl Petrel {
    /// Follows the log and mends views until `shutdown`. Run it in every process that
    /// serves: it costs one request a tick when this process wrote all there is.
    pub async fn run_reconciler(&self, shutdown: CancellationToken) {
        let inner = &self.inner;
        inner.views.confirmed.followed.store(true, Ordering::Relaxed);
        let mut follower = Follower::default();
        loop {
            // Both arms are cancel-safe: a tick that is cut off is done again by the next.
            tokio::select! {
                () = shutdown.cancelled() => break,
                () = tokio::time::sleep(EVERY) => {}
            }
            tokio::select! {
                () = shutdown.cancelled() => break,
                result = follower.tick(&inner.views) => {
                    match result {
                        Err(error) if !error.retryable() && follower.complain() => {
                            tracing::warn!(%error, "views can't be mended now; trying again");
                        }
                        Err(error) => tracing::debug!(%error, "the reconciler will try again"),
                        Ok(()) => follower.complained = None,
                    }
                }
            }
        }
        inner.views.confirmed.followed.store(false, Ordering::Relaxed);
        inner.views.confirmed.catches_up.store(false, Ordering::Relaxed);
        inner.views.confirmed.forget(0);
    }

    /// Returns true if this process runs the reconciler, and that has not come through what a crash of the
    /// server may have taken.
    #[cfg(feature = "analysis")]
    pub(crate) fn catches_up(&self) -> bool {
        self.inner.views.confirmed.catches_up()
    }

    /// Looks at the views of all records after the log sequence `done`, of any age, and mends
    /// the wrong ones; without one, at those of all records.
    pub async fn reconcile_after(&self, mut done: Option<LogSequence>) -> Result<Repaired> {
        let last = self.inner.reader.storage.last_sequence().await?;
        let mut repaired = Repaired::default();
        while let Some(last) = last.filter(|last| done < Some(*last)) {
            let batch = self.inner.views.reconcile_batch(done, last, false).await?;
            repaired += batch.repaired;
            repaired.failed += batch.contended.len() as u64;
            done = Some(batch.upto);
        }
        Ok(repaired)
    }
}

/// Position of the reconciler.
#[derive(Default)]
struct Follower {
    /// True if it has a position.
    has_begun: bool,
    /// True if the view turned out to be another one, or in another life: it is begun with anew.
    is_another: bool,
    /// Everything up to here is done, but for what is earlier.
    done: Option<LogSequence>,
    /// Records after the first of these and up to the second whose views may be lost, too. They come
    /// behind the last ones, among which it is in all likelihood.
    earlier: Option<(Option<LogSequence>, LogSequence)>,
    /// State of the store and the log's last sequence, when they were last asked for.
    store: Store,
    settled: Settled,
    checkpoints: Checkpoints,
    /// Records of a look at the view that is due: the view's messages since the first are to
    /// be looked at, once the log is done up to the second.
    view: Option<(Option<LogSequence>, Option<LogSequence>)>,
    /// The same for what is earlier: the first record, once all the earlier ones are done.
    earlier_view: Option<Option<LogSequence>>,
    /// Registers of records that are done, which others wrote all the time.
    contended: Touched,
    /// Views of cases that others wrote all the time, after a look at all others.
    contended_views: Vec<Item>,
    /// Time of the last report that it does not get on.
    complained: Option<Instant>,
}

/// The signs by which the store is still the one that it was.
#[derive(Default, Clone, Copy, PartialEq)]
struct Store {
    reconnects: u64,
    generation: u64,
}

impl Follower {
    /// Returns true if it is time to report again that it does not get on.
    fn complain(&mut self) -> bool {
        let due = self.complained.is_none_or(|at| at.elapsed() >= COMPLAIN_EVERY);
        if due {
            self.complained = Some(Instant::now());
        }
        due
    }

    async fn tick(&mut self, views: &Views) -> Result<()> {
        let storage = &views.reader.storage;
        let last = storage.last_sequence().await?;
        let generation = storage.generation().await?;
        let store = Store { reconnects: storage.reconnects(), generation };
        let is_shorter = last < self.settled.last();
        if !self.has_begun || self.is_another || store != self.store || is_shorter {
            views.confirmed.catches_up.store(true, Ordering::Relaxed);
            self.begin(views, last).await?;
            self.store = store;
        }
        // Kept until they have been looked at, whatever fails meanwhile.
        // What they carry is not known any more.
        let (none, all) = (Cases::new(), self.contended.keys().cloned().collect());
        let (_, contended) = views.look_at(self.contended.clone(), (&none, &all)).await?;
        self.contended = contended;
        if !self.contended_views.is_empty() {
            let (repaired, contended) = views.judge_again(self.contended_views.clone()).await?;
            self.contended_views = contended;
            tell(repaired);
        }
        self.settled.note(last);
        let settled = self.settled.sequence(SETTLED_AFTER);
        while let Some(settled) = settled.filter(|settled| self.done < Some(*settled)) {
            let batch = views.reconcile_batch(self.done, settled, true).await?;
            views.confirmed.forget_up_to(batch.upto);
            self.done = Some(batch.upto);
            for (case, registers) in batch.contended {
                self.contended.entry(case).or_default().extend(registers);
            }
            self.tell_lag(views);
        }
        self.look_at_earlier(views).await?;
        if let Some((since, upto)) = self.view
            && self.done >= upto
        {
            self.judge(views, since).await?;
            self.view = None;
        }
        if let Some(since) = self.earlier_view
            && self.earlier.is_none()
        {
            self.judge(views, since).await?;
            self.earlier_view = None;
        }
        let is_done = self.contended.is_empty() && self.contended_views.is_empty();
        let is_through = self.view.is_none() && self.earlier_view.is_none();
        views.confirmed.catches_up.store(!(is_done && is_through), Ordering::Relaxed);
        if is_done && is_through {
            self.is_another = !self.checkpoints.note(storage.as_ref(), self.done).await?;
        }
        self.tell_lag(views);
        Ok(())
    }

    /// Tells how many records are to be looked at.
    fn tell_lag(&self, views: &Views) {
        let number = |sequence: Option<LogSequence>| sequence.map_or(0, LogSequence::get);
        let earlier = self.earlier.map_or(0, |(since, upto)| upto.get() - number(since));
        let last = number(self.settled.last());
        views.metrics.reconciled(last.saturating_sub(number(self.done)) + earlier);
    }
}

impl Follower {
    /// Begins with a view of which it is not known what it has: what a killed server had not yet written
    /// down may have come back, and the log may have lost what it had.
    async fn begin(&mut self, views: &Views, last: Option<LogSequence>) -> Result<()> {
        let storage = &views.reader.storage;
        views.confirmed.forget(storage.reconnects());
        let back = last.and_then(|last| last.minus(LOOK_BACK));
        let (lost, is_the_same) = self.checkpoints.begin(storage.as_ref(), back).await?;
        // In the same life, what was looked at before is right.
        let looked_at = self.earlier.filter(|_| is_the_same).and_then(|(since, _)| since);
        let open = lost.max(looked_at);
        self.done = if self.has_begun { self.done.min(back) } else { back };
        self.earlier = self.done.filter(|done| open < Some(*done)).map(|done| (open, done));
        (self.has_begun, self.is_another) = (true, false);
        self.settled = Settled::default();
        self.view = Some((back, last));
        let since = self.earlier.map(|(since, _)| since);
        self.earlier_view = match (self.earlier_view, since) {
            (Some(due), Some(since)) => Some(due.min(since)),
            (due, since) => due.or(since),
        };
        self.contended_views.clear();
        Ok(())
    }

    /// Looks at all that the view has got since this record.
    async fn judge(&mut self, views: &Views, since: Option<LogSequence>) -> Result<()> {
        let (repaired, contended) = views.judge_lately(since).await?;
        self.contended_views.extend(contended);
        tell(repaired);
        Ok(())
    }

    /// Looks at the views of earlier records, for as long as the next look at the new ones can wait.
    async fn look_at_earlier(&mut self, views: &Views) -> Result<()> {
        let begun = Instant::now();
        while let Some((since, upto)) = self.earlier {
            let batch = views.reconcile_batch(since, upto, false).await?;
            for (case, registers) in batch.contended {
                self.contended.entry(case).or_default().extend(registers);
            }
            self.earlier = (batch.upto < upto).then_some((Some(batch.upto), upto));
            self.tell_lag(views);
            if begun.elapsed() >= EVERY {
                break;
            }
        }
        Ok(())
    }
}

/// Tells of the registers that a look at the view has mended, and left alone.
fn tell(Repaired { mended, ahead, unknown, unknown_subjects, .. }: Repaired) {
    if unknown > 0 {
        tracing::warn!(
            unknown,
            first = unknown_subjects.first(),
            "the view has tokens of cases that the log has not got: if it was lost, restore it; if \
             not, `petrel rebuild --remove-unknown` takes them away"
        );
    }
    if mended > 0 {
        tracing::warn!(mended, ahead, "the view had what the log has not got");
    }
}
