//! Calls of beats that are passed on, or lost.

use std::time::Duration;

use async_trait::async_trait;

use super::{FaultyStorage, unanswered};
use crate::{
    models::{CaseId, WorkflowId},
    storage::{Beat, BeatSequence, Beats, LastBeat, LastProgress, Progress, Result},
};

#[async_trait]
impl Beats for FaultyStorage {
    async fn beat(
        &self,
        beat: &Beat,
        life: Duration,
        expected: Option<BeatSequence>,
    ) -> Result<BeatSequence> {
        if self.state.borrow().beats_dropped {
            return Err(unanswered());
        }
        self.reach()?.beat(beat, life, expected).await
    }

    async fn last_beat(
        &self,
        workflow: &WorkflowId,
        case: &CaseId,
        item: u64,
    ) -> Result<Option<LastBeat>> {
        self.reach()?.last_beat(workflow, case, item).await
    }

    async fn end_beats(&self, workflow: &WorkflowId, case: &CaseId, item: u64) -> Result<()> {
        self.reach()?.end_beats(workflow, case, item).await
    }

    async fn progress(
        &self,
        progress: &Progress,
        expected: Option<BeatSequence>,
    ) -> Result<BeatSequence> {
        if self.state.borrow().beats_dropped {
            return Err(unanswered());
        }
        self.reach()?.progress(progress, expected).await
    }

    async fn last_progress(
        &self,
        workflow: &WorkflowId,
        case: &CaseId,
        item: u64,
    ) -> Result<Option<LastProgress>> {
        self.reach()?.last_progress(workflow, case, item).await
    }
}
