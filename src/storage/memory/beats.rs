//! Beats in memory: by the machine's clock, or by one that is given.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures::{StreamExt, stream, stream::BoxStream};
use tokio::sync::broadcast::{self, error::RecvError};

use super::{MemoryStorage, clock::StoreClock, timers::later};
use crate::{
    models::{CaseId, Clock, LogSequence, WorkflowId},
    storage::{
        Beat, BeatSequence, Beats, Hint, LastBeat, LastProgress, Progress, Result, StorageError,
        beats::whole_seconds,
    },
};

/// Beats in memory. A clone shares them.
#[derive(Debug, Clone, Default)]
pub struct MemoryBeats {
    state: Arc<Mutex<State>>,
    told: Told,
    clock: StoreClock,
}

/// Number of hints that are kept for one who has not heard them yet.
const KEPT: usize = 1_024;

/// Those who listen for hints.
#[derive(Debug, Clone)]
struct Told(broadcast::Sender<Hint>);

impl Default for Told {
    fn default() -> Self {
        Self(broadcast::Sender::new(KEPT))
    }
}

type Item = (WorkflowId, CaseId, u64);

#[derive(Debug, Default)]
struct State {
    beats: BTreeMap<Item, LastBeat>,
    progress: BTreeMap<Item, LastProgress>,
    /// The time at which the turn at each duty is over.
    turns: BTreeMap<&'static str, DateTime<Utc>>,
    last: u64,
}

impl State {
    fn next(&mut self) -> BeatSequence {
        self.last += 1;
        BeatSequence(self.last)
    }
}

/// Refuses a write after another one than was expected.
fn must_be_last(
    what: &str,
    (workflow, case, item): &Item,
    last: Option<BeatSequence>,
    expected: Option<BeatSequence>,
) -> Result<()> {
    if last == expected {
        return Ok(());
    }
    let subject = format!("memory.beats.{workflow}.{case}.{item}{what}");
    let expected = expected.and_then(|BeatSequence(number)| LogSequence::new(number));
    Err(StorageError::LostRace { subject, expected })
}

impl MemoryBeats {
    /// No beats, by the machine's clock.
    pub fn new() -> Self {
        Self::default()
    }

    /// No beats, by a clock that may be moved.
    pub fn with_clock(clock: Arc<dyn Clock>) -> Self {
        Self { clock: StoreClock::of(clock), ..Self::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics between the parts of one change, so the state is whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The beat of an item, if its life is not over.
    fn live(&self, state: &mut State, item: &Item) -> Option<LastBeat> {
        let last = state.beats.get(item)?;
        if later(last.at, last.life) <= self.clock.now() {
            state.beats.remove(item);
        }
        state.beats.get(item).cloned()
    }
}

#[async_trait]
impl Beats for MemoryBeats {
    async fn beat(
        &self,
        beat: &Beat,
        life: Duration,
        expected: Option<BeatSequence>,
    ) -> Result<BeatSequence> {
        let item = (beat.workflow.clone(), beat.case.clone(), beat.item);
        let mut state = self.state();
        let last = self.live(&mut state, &item).map(|last| last.sequence);
        must_be_last("", &item, last, expected)?;
        let sequence = state.next();
        let life = Duration::from_secs(whole_seconds(life));
        let last = LastBeat { beat: beat.clone(), sequence, at: self.clock.now(), life };
        state.beats.insert(item, last);
        Ok(sequence)
    }

    async fn last_beat(
        &self,
        workflow: &WorkflowId,
        case: &CaseId,
        item: u64,
    ) -> Result<Option<LastBeat>> {
        Ok(self.live(&mut self.state(), &(workflow.clone(), case.clone(), item)))
    }

    async fn end_beats(&self, workflow: &WorkflowId, case: &CaseId, item: u64) -> Result<()> {
        let (mut state, item) = (self.state(), (workflow.clone(), case.clone(), item));
        state.beats.remove(&item);
        state.progress.remove(&item);
        Ok(())
    }

    async fn progress(
        &self,
        progress: &Progress,
        expected: Option<BeatSequence>,
    ) -> Result<BeatSequence> {
        let item = (progress.workflow.clone(), progress.case.clone(), progress.item);
        let mut state = self.state();
        let last = state.progress.get(&item).map(|last| last.sequence);
        must_be_last(".progress", &item, last, expected)?;
        let (sequence, at) = (state.next(), self.clock.now());
        state.progress.insert(item, LastProgress { progress: progress.clone(), sequence, at });
        Ok(sequence)
    }

    async fn last_progress(
        &self,
        workflow: &WorkflowId,
        case: &CaseId,
        item: u64,
    ) -> Result<Option<LastProgress>> {
        Ok(self.state().progress.get(&(workflow.clone(), case.clone(), item)).cloned())
    }

    async fn take_turn(&self, duty: &'static str, life: Duration) -> Result<bool> {
        let (mut state, now) = (self.state(), self.clock.now());
        if state.turns.get(duty).is_some_and(|over| *over > now) {
            return Ok(false);
        }
        state.turns.insert(duty, later(now, Duration::from_secs(whole_seconds(life))));
        Ok(true)
    }

    async fn tell(&self, hints: &[Hint]) -> Result<()> {
        for hint in hints {
            // Nobody may listen.
            let _ = self.told.0.send(hint.clone());
        }
        Ok(())
    }

    async fn hints(&self) -> Result<BoxStream<'static, Hint>> {
        let hints = stream::unfold(self.told.0.subscribe(), |mut told| async move {
            loop {
                match told.recv().await {
                    Ok(hint) => return Some((hint, told)),
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return None,
                }
            }
        });
        Ok(hints.boxed())
    }
}

#[async_trait]
impl Beats for MemoryStorage {
    async fn beat(
        &self,
        beat: &Beat,
        life: Duration,
        expected: Option<BeatSequence>,
    ) -> Result<BeatSequence> {
        self.beats.beat(beat, life, expected).await
    }

    async fn last_beat(
        &self,
        workflow: &WorkflowId,
        case: &CaseId,
        item: u64,
    ) -> Result<Option<LastBeat>> {
        self.beats.last_beat(workflow, case, item).await
    }

    async fn end_beats(&self, workflow: &WorkflowId, case: &CaseId, item: u64) -> Result<()> {
        self.beats.end_beats(workflow, case, item).await
    }

    async fn progress(
        &self,
        progress: &Progress,
        expected: Option<BeatSequence>,
    ) -> Result<BeatSequence> {
        self.beats.progress(progress, expected).await
    }

    async fn last_progress(
        &self,
        workflow: &WorkflowId,
        case: &CaseId,
        item: u64,
    ) -> Result<Option<LastProgress>> {
        self.beats.last_progress(workflow, case, item).await
    }

    async fn take_turn(&self, duty: &'static str, life: Duration) -> Result<bool> {
        self.beats.take_turn(duty, life).await
    }

    async fn tell(&self, hints: &[Hint]) -> Result<()> {
        self.beats.tell(hints).await
    }

    async fn hints(&self) -> Result<BoxStream<'static, Hint>> {
        self.beats.hints().await
    }
}
