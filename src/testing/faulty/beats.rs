//! Calls of beats that are passed on, or lost.

use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;

use super::{FaultyStorage, unanswered};
use crate::{
    models::{CaseId, WorkflowId},
    storage::{Beat, BeatSequence, Beats, Hint, LastBeat, LastProgress, Progress, Result},
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

    async fn take_turn(&self, duty: &'static str, life: Duration) -> Result<bool> {
        self.reach()?.take_turn(duty, life).await
    }

    async fn tell(&self, hints: &[Hint]) -> Result<()> {
        self.reach()?.tell(hints).await
    }

    async fn hints(&self) -> Result<BoxStream<'static, Hint>> {
        self.reach()?.hints().await
    }
}
