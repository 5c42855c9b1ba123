//! The suite of timers, and their takers.
//!
//! The store's clock and that of the machine that runs the suite must differ by less than 0.2 s.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, TimeDelta, Utc};

use super::{Behaviour, armings, each, fixture::PATIENCE, takers};
use crate::{
    models::{CaseId, LogSequence, WorkflowId},
    storage::{Arming, Due, Timers as Trait},
};

/// Timers to be tested.
pub type Timers = Arc<dyn Trait>;

/// Time in which nothing must come.
const QUIET: Duration = Duration::from_millis(700);

/// Longest pull of a taker.
const TURN: Duration = Duration::from_millis(200);

/// Wait before what is another behaviour's is given out again.
const NOT_OURS: Duration = Duration::from_millis(10);

/// The behaviours of all timers.
pub fn behaviours() -> impl Iterator<Item = &'static Behaviour<Timers>> {
    [armings::BEHAVIOURS, takers::BEHAVIOURS].into_iter().flatten()
}

/// Checks every behaviour, one after the other. `make` is called before each and returns
/// timers among which that behaviour has not run: always the same ones, or new ones.
///
/// # Panics
///
/// When a behaviour does not hold. Standard error names the one that was being checked.
pub async fn all(make: impl AsyncFn() -> Timers) {
    each(behaviours(), make).await;
}

/// An arming that is due in a number of seconds from now.
pub(super) fn arming(workflow: &WorkflowId, case: &CaseId, timer: u64, seconds: f64) -> Arming {
    let due = super::fixture::now() + TimeDelta::milliseconds((seconds * 1_000.0) as i64);
    at(workflow, case, timer, due)
}

/// An arming that is due at a time.
pub(super) fn at(workflow: &WorkflowId, case: &CaseId, timer: u64, due: DateTime<Utc>) -> Arming {
    let (workflow, case) = (workflow.clone(), case.clone());
    Arming { workflow, case, timer, armed: LogSequence::FIRST, due }
}

/// One who takes the timers of one workflow, and gives those of others back at once: other behaviours may
/// run in the same store.
pub(super) struct Taker {
    timers: Timers,
    workflow: WorkflowId,
}

impl Taker {
    pub(super) fn new(timers: &Timers, workflow: &WorkflowId) -> Self {
        Self { timers: timers.clone(), workflow: workflow.clone() }
    }

    /// Ours of what has come due, at most so many; none if none comes in a moment.
    pub(super) async fn turn(&self, most: usize) -> Vec<Due> {
        let due = self.timers.take_due(most, TURN).await.expect("an answer");
        assert!(due.len() <= most, "{most} were asked for: {due:?}");
        let (ours, others): (Vec<_>, Vec<_>) =
            due.into_iter().partition(|due| due.arming.workflow == self.workflow);
        for due in others {
            self.timers.give_back(&due, NOT_OURS).await.expect("it is given back");
        }
        ours
    }

    /// The next ones, exactly so many, which must come.
    pub(super) async fn take(&self, count: usize) -> Vec<Due> {
        let (begun, mut taken) = (Instant::now(), Vec::new());
        while taken.len() < count {
            taken.extend(self.turn(count - taken.len()).await);
            let missing = count - taken.len();
            assert!(begun.elapsed() < PATIENCE, "{missing} of {count} did not come: {taken:?}");
        }
        taken
    }

    /// The next one, which must come, and is settled.
    pub(super) async fn settled(&self) -> Arming {
        let due = self.take(1).await.remove(0);
        self.timers.settle(&due).await.expect("it is settled");
        due.arming
    }

    /// Checks that nothing comes for a moment.
    pub(super) async fn is_quiet(&self) {
        let begun = Instant::now();
        while begun.elapsed() < QUIET {
            let came = self.turn(10).await;
            assert!(came.is_empty(), "nothing was to come: {came:?}");
        }
    }
}
