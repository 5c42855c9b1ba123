//! Calls of the view that are passed on, lost or held.

use std::time::Instant;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures::stream::BoxStream;

use super::{FaultyStorage, Views, unanswered};
use crate::{
    models::{LogSequence, PlaceId, Token, TokenId, WorkflowId},
    storage::{
        Checkpoint, ListOptions, Outline, PageOf, ReadOptions, ReadPath, Recovery, Register,
        Result, TokenView, ViewOutcome, ViewScope, ViewWrite, WriteOptions,
    },
};

#[async_trait]
impl TokenView for FaultyStorage {
    fn token_subject(&self, workflow: &WorkflowId, place: &PlaceId, token: &TokenId) -> String {
        self.inner.token_subject(workflow, place, token)
    }

    fn read_path(&self) -> ReadPath {
        self.inner.read_path()
    }

    fn is_stale(&self, log_read: Instant) -> bool {
        match self.state.borrow().markers {
            Some(markers) => markers.is_stale(log_read),
            None => self.inner.is_stale(log_read),
        }
    }

    fn has_forgotten(&self, left: DateTime<Utc>, now: DateTime<Utc>) -> bool {
        self.inner.has_forgotten(left, now)
    }

    async fn register(
        &self,
        workflow: &WorkflowId,
        place: &PlaceId,
        token: &TokenId,
    ) -> Result<Register> {
        self.state.send_modify(|state| state.register_reads += 1);
        self.reach()?.register(workflow, place, token).await
    }

    async fn registers_of(
        &self,
        workflow: &WorkflowId,
        wanted: &[(TokenId, PlaceId)],
    ) -> Result<Vec<Register>> {
        self.state.send_modify(|state| state.register_reads += wanted.len());
        self.reach()?.registers_of(workflow, wanted).await
    }

    async fn write_views(
        &self,
        writes: Vec<ViewWrite>,
        options: WriteOptions,
    ) -> Vec<Result<ViewOutcome>> {
        let mut state = self.state.subscribe();
        if state.borrow_and_update().views == Views::Hold {
            self.state.send_modify(|state| state.held += 1);
            // Can't fail: `self` holds the sender.
            let _ = state.wait_for(|state| state.views != Views::Hold).await;
            self.state.send_modify(|state| state.held -= 1);
        }
        let now = *self.state.borrow();
        if now.broken || now.views == Views::Drop {
            return writes.iter().map(|_| Err(unanswered())).collect();
        }
        if now.view_races > 0 {
            self.state.send_modify(|state| state.view_races -= 1);
            return writes.iter().map(|_| Ok(ViewOutcome::LostRace)).collect();
        }
        let expected: Vec<_> = writes.iter().map(|write| write.expected.sequence()).collect();
        let mut outcomes = self.inner.write_views(writes, options).await;
        for (outcome, expected) in outcomes.iter_mut().zip(expected) {
            if let (Some(markers), Ok(ViewOutcome::Written(written))) = (now.markers, &outcome) {
                *outcome = Ok(markers.outcome(*written, expected, options.log_read));
            }
        }
        self.state.send_modify(|state| state.view_writes += 1);
        outcomes
    }

    async fn token(
        &self,
        workflow: &WorkflowId,
        token: &TokenId,
        options: ReadOptions,
    ) -> Result<Option<Token>> {
        self.reach()?.token(workflow, token, options).await
    }

    async fn tokens(&self, scope: &ViewScope, options: ListOptions) -> Result<PageOf<Token>> {
        self.reach()?.tokens(scope, options).await
    }

    async fn registers(&self) -> Result<BoxStream<'static, Result<Register>>> {
        self.reach()?.registers().await
    }

    async fn outlines(
        &self,
        since: Option<LogSequence>,
    ) -> Result<BoxStream<'static, Result<Outline>>> {
        self.state.send_modify(|state| state.outline_reads += 1);
        self.reach()?.outlines(since).await
    }

    async fn recovery(&self) -> Result<Recovery> {
        self.reach()?.recovery().await
    }

    async fn keep_checkpoint(&self, checkpoint: &Checkpoint) -> Result<bool> {
        self.reach()?.keep_checkpoint(checkpoint).await
    }
}
