//! The storage as a view: each request asked again where it had no answer.

use std::time::Instant;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures::stream::BoxStream;

use super::NatsStorage;
use crate::{
    models::{LogSequence, PlaceId, Token, TokenId, WorkflowId},
    storage::{
        Checkpoint, ListOptions, Outline, PageOf, ReadOptions, ReadPath, Recovery, Register,
        Result, TokenView, ViewOutcome, ViewScope, ViewWrite, WriteOptions,
    },
};

#[async_trait]
impl TokenView for NatsStorage {
    fn token_subject(&self, workflow: &WorkflowId, place: &PlaceId, token: &TokenId) -> String {
        self.inner().subjects.token(workflow, place, token)
    }

    fn read_path(&self) -> ReadPath {
        self.inner().config.read_path
    }

    fn is_stale(&self, log_read: Instant) -> bool {
        self.inner().markers().is_stale(log_read)
    }

    fn has_forgotten(&self, left: DateTime<Utc>, now: DateTime<Utc>) -> bool {
        self.inner().markers().has_forgotten(left, now)
    }

    async fn register(
        &self,
        workflow: &WorkflowId,
        place: &PlaceId,
        token: &TokenId,
    ) -> Result<Register> {
        self.inner().read(|| self.inner().register(workflow, place, token)).await
    }

    async fn registers_of(
        &self,
        workflow: &WorkflowId,
        wanted: &[(TokenId, PlaceId)],
    ) -> Result<Vec<Register>> {
        self.inner().read(|| self.inner().registers_of(workflow, wanted)).await
    }

    async fn write_views(
        &self,
        writes: Vec<ViewWrite>,
        options: WriteOptions,
    ) -> Vec<Result<ViewOutcome>> {
        self.inner().write_views(writes, options.log_read).await
    }

    async fn token(
        &self,
        workflow: &WorkflowId,
        token: &TokenId,
        options: ReadOptions,
    ) -> Result<Option<Token>> {
        let path = options.path.unwrap_or(self.read_path());
        self.inner().read(|| self.inner().token(workflow, token, path)).await
    }

    async fn tokens(&self, scope: &ViewScope, options: ListOptions) -> Result<PageOf<Token>> {
        let path = options.path.unwrap_or(self.read_path());
        self.inner().read(|| self.inner().tokens(scope, options.page, path)).await
    }

    async fn registers(&self) -> Result<BoxStream<'static, Result<Register>>> {
        self.inner().registers().await
    }

    async fn outlines(
        &self,
        since: Option<LogSequence>,
    ) -> Result<BoxStream<'static, Result<Outline>>> {
        self.inner().outlines(since).await
    }

    async fn recovery(&self) -> Result<Recovery> {
        self.inner().read(|| self.inner().recovery()).await
    }

    async fn keep_checkpoint(&self, checkpoint: &Checkpoint) -> Result<bool> {
        self.inner().keep_checkpoint(checkpoint).await
    }
}
