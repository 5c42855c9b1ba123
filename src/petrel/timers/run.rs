//! The task that fires what has come due.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::petrel::{Error, Petrel, Result};
use crate::{
    models::{CaseId, CaseStatus, Timer, WorkflowId},
    storage::Due,
};

/// Number of cases whose timers are fired at once in a process.
const MOST_AT_ONCE: usize = 256;

/// Number of armings that are taken together, and the longest wait for the first.
const TAKEN_AT_ONCE: usize = 256;
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Waits before an arming is given out again that could not be looked at: since the store was away, or
/// since its case can't be read, or is not there as far as it should be.
const SOON: Duration = Duration::from_secs(1);
const LATER: Duration = Duration::from_secs(30);

/// Wait after a failed request for what has come due.
const AFTER_FAILURE: Duration = Duration::from_millis(500);

impl Petrel {
    /// Fires the timers that come due, of all cases, until `shutdown`. Run it in every process that serves:
    /// they share the work.
    pub async fn run_timers(&self, shutdown: CancellationToken) {
        let (turns, running) = (Arc::new(Semaphore::new(MOST_AT_ONCE)), TaskTracker::new());
        running.spawn(self.clone().fill_timers(shutdown.clone()));
        let soon = self.clone().fire_soon(Arc::clone(&turns), running.clone(), shutdown.clone());
        running.spawn(soon);
        loop {
            // Cancel-safe: what was on its way comes again.
            let taken = tokio::select! {
                () = shutdown.cancelled() => break,
                taken = self.storage().take_due(TAKEN_AT_ONCE, LONGEST_WAIT) => taken,
            };
            let taken = match taken {
                Ok(taken) => taken,
                Err(error) => {
                    tracing::debug!(%error, "what has come due can't be asked for; trying again");
                    tokio::select! {
                        () = shutdown.cancelled() => break,
                        () = tokio::time::sleep(AFTER_FAILURE) => continue,
                    }
                }
            };
            let mut cases: HashMap<(WorkflowId, CaseId), Vec<Due>> = HashMap::new();
            for due in taken {
                let of = (due.arming.workflow.clone(), due.arming.case.clone());
                cases.entry(of).or_default().push(due);
            }
            for (of, due) in cases {
                // The semaphore is never closed.
                let Ok(turn) = Arc::clone(&turns).acquire_owned().await else { break };
                let petrel = self.clone();
                running.spawn(async move {
                    petrel.look_at_due(&of.0, &of.1, due).await;
                    drop(turn);
                });
            }
        }
        running.close();
        running.wait().await;
    }

    /// Fires what has come due of a case, and settles it.
    async fn look_at_due(&self, workflow: &WorkflowId, case: &CaseId, due: Vec<Due>) {
        let next = self.fire_due(workflow, case, &due).await.unwrap_or_else(|error| {
            if error.retryable() {
                tracing::debug!(%workflow, %case, %error, "timers are looked at again");
                return Next::Again(SOON);
            }
            tracing::warn!(
                %workflow, %case, %error,
                "timers of this case have come due and can't fire; they are looked at again"
            );
            Next::Again(LATER)
        });
        for due in &due {
            let done = match next {
                Next::Again(delay) => self.storage().give_back(due, delay).await,
                Next::Done | Next::PutAway => self.storage().settle(due).await,
            };
            // It comes again when its lease is over.
            if let Err(error) = done {
                tracing::debug!(%workflow, %case, %error, "a timer that has come due comes again");
            }
        }
        // It may have been resumed just before, when the message was still there, or has to be armed anew.
        if next == Next::PutAway
            && let Err(error) = self.inner.views.mend_waiting(workflow, case).await
        {
            tracing::warn!(%workflow, %case, %error, "timers of this case may not be armed");
        }
    }

    /// Fires what has come due of a case.
    async fn fire_due(&self, workflow: &WorkflowId, case: &CaseId, due: &[Due]) -> Result<Next> {
        let Some(until) = due.iter().map(|due| due.at).max() else { return Ok(Next::Done) };
        let named = due.iter().map(|due| due.arming.armed).max();
        let changed = match self.elapse_all(workflow, case, until).await {
            Ok((changed, _)) => changed,
            Err(Error::NotFound(_)) => {
                // A log that ends before the record that armed it has gone back; else somebody took
                // the case away.
                let last = self.storage().last_sequence().await?;
                return Ok(if last < named { Next::Again(LATER) } else { Next::Done });
            }
            Err(error) => return Err(error),
        };
        if Some(changed.case.sequence) < named && self.storage().last_sequence().await? < named {
            tracing::warn!(
                %workflow, %case, sequence = ?named,
                "a timer follows from a record that the log has not got; it is looked at again"
            );
            return Ok(Next::Again(LATER));
        }
        // What is armed for another time than the case's timer has came from another log, or somebody's hand.
        let is_early = |timer: &Timer| {
            let is_it =
                |of: &Due| (of.arming.timer, Some(of.arming.armed)) == (timer.number, timer.armed);
            !timer.elapsed && due.iter().any(is_it)
        };
        let is_paused = changed.case.status == CaseStatus::Paused;
        let is_put_away = is_paused || changed.case.timers.iter().any(is_early);
        Ok(if is_put_away { Next::PutAway } else { Next::Done })
    }
}

/// Next step with what has come due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Done,
    /// The case is paused, and whoever resumes it arms its timers; or it came too early, and is armed anew.
    PutAway,
    /// It is looked at again after this time.
    Again(Duration),
}
