//! Arming of all timers, where the store of timers is another one than before, or lost what it had.

use std::{collections::BTreeSet, time::Instant};

use futures::{StreamExt, stream};
use tokio_util::sync::CancellationToken;

use crate::petrel::{Petrel, Result};
use crate::{
    models::{CaseId, CaseStatus, LogSequence, Record, WorkflowDefinition, WorkflowId},
    storage::{Lifecycle, StorageError},
};

/// Number of cases whose last records are asked for together, and looked at at once.
const CASES_AT_ONCE: usize = 256;
const AT_ONCE: usize = 16;

/// Time between two looks at the store of timers: one request.
const EVERY: std::time::Duration = std::time::Duration::from_secs(5);

/// Time between two looks at running cases, whoever makes them, and the most of them that are looked at in one.
const SWEEP_EVERY: std::time::Duration = std::time::Duration::from_secs(60);
const MOST_SWEPT: usize = 20_000;

/// The last case that was looked at.
#[derive(Debug, Default)]
struct Position {
    workflow: Option<WorkflowId>,
    after: Option<LogSequence>,
}

impl Petrel {
    /// Arms the timers of all cases where the store of timers has not been filled since it was made,
    /// also while it runs: somebody may take it away. Ends with `shutdown`.
    pub(super) async fn fill_timers(self, shutdown: CancellationToken) {
        let filled = async {
            let (mut from, mut open) = (Position::default(), None);
            let (mut counted, mut alone) = (None::<Instant>, (None, None));
            loop {
                if let Err(error) = self.fill_if_new().await {
                    tracing::warn!(%error, "timers may not all be armed; trying again");
                }
                if counted.is_none_or(|at| at.elapsed() > SWEEP_EVERY) {
                    counted = Some(Instant::now());
                    if let Err(error) = self.count_incidents().await {
                        tracing::debug!(%error, "open incidents are not counted now");
                    }
                }
                tokio::time::sleep(EVERY).await;
                // Only a process whose listings are made can look at running cases.
                if self.inner.index.is_ready()
                    && self.is_ours("sweep-cases", &mut alone.0).await
                    && let Err(error) = self.sweep(&mut from).await
                {
                    tracing::debug!(%error, "the look at what waits is made again");
                }
                if self.is_ours("sweep", &mut alone.1).await
                    && let Err(error) = self.sweep_open(&mut open).await
                {
                    tracing::debug!(%error, "the look at what is open is made again");
                }
            }
        };
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = filled => {}
        }
    }

    /// Asks for the turn at a duty. One of all processes has it in a minute: whoever asks first, so another one
    /// where that one is gone. `alone` is the last time that this process took it without a turn.
    async fn is_ours(&self, duty: &'static str, alone: &mut Option<Instant>) -> bool {
        match self.storage().take_turn(duty, SWEEP_EVERY).await {
            Ok(is_ours) => is_ours,
            Err(error) if error.retryable() => false,
            // Without turns each looks by itself, as rarely.
            Err(error) => {
                let is_due = alone.is_none_or(|at| at.elapsed() > SWEEP_EVERY);
                if alone.is_none() {
                    tracing::warn!(%error, "no turns can be taken: this process sweeps by itself");
                }
                if is_due {
                    *alone = Some(Instant::now());
                }
                is_due
            }
        }
    }

    async fn fill_if_new(&self) -> Result<()> {
        let storage = self.storage();
        let timers = storage.to_be_filled().await?;
        let work = storage.work_to_be_filled().await?;
        if timers.is_none() && work.is_none() {
            return Ok(());
        }
        let armed = self.arm_all().await?;
        if let Some(life) = timers {
            storage.filled(&life).await?;
        }
        if let Some(life) = work {
            storage.work_filled(&life).await?;
        }
        if armed > 0 {
            let what = "the store of timers or of work was new, and has been filled from the log";
            tracing::warn!(armed, "{what}");
        }
        Ok(())
    }

    /// Looks at running cases, as many as there is time for, and goes on with the others the next time: what
    /// somebody took away of their timers and work is put back, and what of the index of these.
    async fn sweep(&self, from: &mut Position) -> Result<()> {
        let (index, mut left) = (&self.inner.index, MOST_SWEPT);
        let workflows = self.workflows_that(WorkflowDefinition::runs_by_itself).await?;
        let later =
            |workflow: &&WorkflowId| from.workflow.as_ref().is_none_or(|at| **workflow >= *at);
        let workflows: Vec<_> = workflows.iter().filter(later).cloned().collect();
        for workflow in workflows {
            let mut after = from.after.take();
            loop {
                let running = Some(CaseStatus::Running);
                let some = index.some(&workflow, running, after, CASES_AT_ONCE.min(left));
                let Some((last, _)) = some.last() else { break };
                after = Some(*last);
                left -= some.len();
                let cases: Vec<_> = some.into_iter().map(|(_, case)| case).collect();
                let mended = self.arm_cases(&workflow, &cases).await?;
                if mended > 0 {
                    tracing::warn!(%workflow, mended, "timers or work items were not in the store");
                }
                if left == 0 {
                    *from = Position { workflow: Some(workflow), after };
                    return Ok(());
                }
            }
        }
        *from = Position::default();
        Ok(())
    }

    /// Arms all timers of running cases that are not armed, and offers their work items that are not
    /// offered. Returns their number.
    pub async fn arm_all(&self) -> Result<u64> {
        let storage = self.storage();
        let timed = self.workflows_that(WorkflowDefinition::runs_by_itself).await?;
        let mut armed = 0;
        if timed.is_empty() {
            return Ok(armed);
        }
        let lifecycles = storage.lifecycles().await?;
        let cases = lifecycles.filter_map(|lifecycle| {
            // What can't be read there is told by those who read cases.
            let of = lifecycle.ok().filter(|of| timed.contains(&of.workflow));
            std::future::ready(of)
        });
        let mut cases = std::pin::pin!(cases.chunks(CASES_AT_ONCE));
        let mut seen: BTreeSet<(WorkflowId, CaseId)> = BTreeSet::new();
        while let Some(cases) = cases.next().await {
            for workflow in &timed {
                let of = cases.iter().filter(|of| of.workflow == *workflow);
                let of = of.map(|Lifecycle { case, .. }| case.clone());
                let of: Vec<_> =
                    of.filter(|case| seen.insert((workflow.clone(), case.clone()))).collect();
                armed += self.arm_cases(workflow, &of).await?;
            }
        }
        Ok(armed)
    }

    async fn arm_cases(&self, workflow: &WorkflowId, cases: &[CaseId]) -> Result<u64> {
        let armed_now = &self.inner.views.armed_now(workflow, cases).await?;
        let heads = self.storage().heads(workflow, cases);
        let mended = heads.map(|(case, head)| async move {
            match head {
                Ok(Some(head)) if waits(&head.value) => {
                    self.inner.views.mend_waiting_of(&head, armed_now).await
                }
                Ok(_) => Ok(0),
                Err(error @ StorageError::Corrupt { .. }) => {
                    tracing::warn!(%workflow, %case, %error, "its timers and work are not looked at");
                    Ok(0)
                }
                Err(error) => Err(error.into()),
            }
        });
        let mut mended = std::pin::pin!(mended.buffer_unordered(AT_ONCE));
        let mut armed = 0;
        while let Some(count) = mended.next().await {
            armed += count?;
        }
        Ok(armed)
    }

    /// The workflows of which some version is so.
    async fn workflows_that(
        &self,
        is_so: impl Fn(&WorkflowDefinition) -> bool + Copy,
    ) -> Result<BTreeSet<WorkflowId>> {
        let storage = self.storage();
        let ids = storage.workflow_ids().await?;
        let versions = ids.into_iter().map(|id| async move {
            let versions = storage.versions(&id).await?;
            let some_is_so = versions.iter().flatten().any(|stored| is_so(&stored.definition));
            Ok::<_, StorageError>(some_is_so.then_some(id))
        });
        let mut versions = std::pin::pin!(stream::iter(versions).buffer_unordered(AT_ONCE));
        let mut timed = BTreeSet::new();
        while let Some(id) = versions.next().await {
            timed.extend(id?);
        }
        Ok(timed)
    }
}

/// Returns true if a case waits for time, for work or for a person, by its last record.
fn waits(head: &Record) -> bool {
    !(head.timers.is_empty() && head.items.is_empty() && head.incidents.is_empty())
}
