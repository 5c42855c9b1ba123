mod beats;
mod journals;
mod log;
mod open;
mod presence;
mod timers;
mod view;
mod work;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::sync::watch;

use crate::storage::{Health, Markers, Result, Storage, StorageError};

/// A storage that passes everything on to another one, until it is told to lose or to hold
/// view writes, to lose the answers of appends, or to break after one. It acts like a process
/// that dies, or a network that breaks, between the two halves of a change.
///
/// A clone shares the faults.
#[derive(Debug, Clone)]
pub struct FaultyStorage {
    inner: Arc<dyn Storage>,
    state: watch::Sender<State>,
}

#[derive(Debug, Clone, Copy, Default)]
struct State {
    views: Views,
    appends_unanswered: bool,
    appends_held: bool,
    append_waits: bool,
    breaks_after_append: bool,
    broken: bool,
    view_races: usize,
    held: usize,
    view_writes: usize,
    log_reads: usize,
    history_reads: usize,
    register_reads: usize,
    outline_reads: usize,
    generations: Option<u64>,
    sequences_unanswered: bool,
    markers: Option<Markers>,
    arms_dropped: bool,
    settlements_dropped: bool,
    arm_calls: usize,
    offers_dropped: bool,
    notes_dropped: bool,
    acknowledgements_dropped: bool,
    beats_dropped: bool,
    offer_calls: usize,
    panics_in: Option<&'static str>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq)]
enum Views {
    #[default]
    Pass,
    Drop,
    Hold,
}

impl FaultyStorage {
    /// Passes everything on to `inner`.
    pub fn new(inner: Arc<dyn Storage>) -> Self {
        Self { inner, state: watch::Sender::default() }
    }

    /// Lets all later view writes fail, without passing them on.
    pub fn drop_views(&self) {
        self.state.send_modify(|state| state.views = Views::Drop);
    }

    /// Holds all later view writes until [`pass_views`](Self::pass_views).
    pub fn hold_views(&self) {
        self.state.send_modify(|state| state.views = Views::Hold);
    }

    /// Passes view writes on again, those that wait among them.
    pub fn pass_views(&self) {
        self.state.send_modify(|state| state.views = Views::Pass);
    }

    /// Waits until a call that writes views is being held.
    pub async fn until_views_held(&self) {
        let mut state = self.state.subscribe();
        // Can't fail: `self` holds the sender.
        let _ = state.wait_for(|state| state.held > 0).await;
    }

    /// Waits until so many more calls have written views, or failed to.
    pub async fn until_more_view_writes(&self, count: usize) {
        let mut state = self.state.subscribe();
        let from = state.borrow_and_update().view_writes;
        // Can't fail: `self` holds the sender.
        let _ = state.wait_for(|state| state.view_writes >= from + count).await;
    }

    /// Makes a view write late after this time since the log was read.
    pub fn set_late_after(&self, time: Duration) {
        self.state.send_modify(|state| state.markers = Some(Markers::kept_for(2 * time)));
    }

    /// Number of requests for one record, or for the last one of a case.
    pub fn log_reads(&self) -> usize {
        self.state.borrow().log_reads
    }

    /// Number of records that histories have given.
    pub fn history_reads(&self) -> usize {
        self.state.borrow().history_reads
    }

    /// Number of requests for the outlines of the view.
    pub fn outline_reads(&self) -> usize {
        self.state.borrow().outline_reads
    }

    /// Loses the answers to requests for a record, or a definition, by its sequence, if
    /// `lost`.
    pub fn lose_answers_by_sequence(&self, lost: bool) {
        self.state.send_modify(|state| state.sequences_unanswered = lost);
    }

    /// Makes the log another one each time that somebody asks.
    pub fn change_generations(&self) {
        self.state.send_modify(|state| state.generations = Some(0));
    }

    /// Lets so many calls write no view, since another writer is first each time.
    pub fn lose_view_races(&self, count: usize) {
        self.state.send_modify(|state| state.view_races = count);
    }

    /// Holds appends before they happen, if `held`.
    pub fn hold_appends(&self, held: bool) {
        self.state.send_modify(|state| state.appends_held = held);
    }

    /// Waits until an append is being held.
    pub async fn until_append_held(&self) {
        let mut state = self.state.subscribe();
        // Can't fail: `self` holds the sender.
        let _ = state.wait_for(|state| state.append_waits).await;
    }

    /// Number of requests for the register of a token at a place.
    pub fn register_reads(&self) -> usize {
        self.state.borrow().register_reads
    }

    /// Loses the answers of appends, which still happen, if `lost`.
    pub fn lose_append_answers(&self, lost: bool) {
        self.state.send_modify(|state| state.appends_unanswered = lost);
    }

    /// Lets one more append happen; its answer is lost, and after it nothing gets through any
    /// more until [`restore`](Self::restore).
    pub fn break_after_append(&self) {
        self.state.send_modify(|state| state.breaks_after_append = true);
    }

    /// Ends the fault that [`break_after_append`](Self::break_after_append) began.
    pub fn restore(&self) {
        self.state.send_modify(|state| {
            state.breaks_after_append = false;
            state.broken = false;
        });
    }

    /// Lets all arming of timers fail without passing it on, if `dropped`.
    pub fn drop_arms(&self, dropped: bool) {
        self.state.send_modify(|state| state.arms_dropped = dropped);
    }

    /// Lets all settlements of timers fail without passing them on, if `dropped`.
    pub fn drop_settlements(&self, dropped: bool) {
        self.state.send_modify(|state| state.settlements_dropped = dropped);
    }

    /// Number of calls that armed timers, or failed to.
    pub fn arm_calls(&self) -> usize {
        self.state.borrow().arm_calls
    }

    /// Lets all offers of work fail without passing them on, if `dropped`.
    pub fn drop_offers(&self, dropped: bool) {
        self.state.send_modify(|state| state.offers_dropped = dropped);
    }

    /// Lets all notes of what is open fail without passing them on, if `dropped`.
    pub fn drop_notes(&self, dropped: bool) {
        self.state.send_modify(|state| state.notes_dropped = dropped);
    }

    /// Lets all acknowledgements of work fail without passing them on, if `dropped`.
    pub fn drop_acknowledgements(&self, dropped: bool) {
        self.state.send_modify(|state| state.acknowledgements_dropped = dropped);
    }

    /// Lets all beats and all progress fail without passing them on, if `dropped`.
    pub fn drop_beats(&self, dropped: bool) {
        self.state.send_modify(|state| state.beats_dropped = dropped);
    }

    /// Number of calls that offered work, or failed to.
    pub fn offer_calls(&self) -> usize {
        self.state.borrow().offer_calls
    }

    /// Lets this method panic from now on: `last_sequence`, `statuses`, `take_due`, `take`, or `watch` at the
    /// next record.
    pub fn panic_in(&self, method: &'static str) {
        self.state.send_modify(|state| state.panics_in = Some(method));
    }

    fn may_panic(&self, method: &str) {
        assert_ne!(self.state.borrow().panics_in, Some(method), "a fault that a test asked for");
    }

    /// The storage beneath, if it can be reached.
    fn reach(&self) -> Result<&dyn Storage> {
        if self.state.borrow().broken { Err(unanswered()) } else { Ok(self.inner.as_ref()) }
    }

    fn must_answer_by_sequence(&self) -> Result<()> {
        if self.state.borrow().sequences_unanswered { Err(unanswered()) } else { Ok(()) }
    }
}

fn unanswered() -> StorageError {
    let reason = "a fault that a test asked for".to_owned();
    StorageError::Unavailable { reason, away_since: None }
}

#[async_trait]
impl Storage for FaultyStorage {
    async fn health(&self) -> Health {
        self.inner.health().await
    }
}
