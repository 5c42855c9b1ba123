//! The storage as a view: each request asked again where it had no answer.

use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;

use super::NatsStorage;
use crate::{
    models::{PlaceId, Token, TokenId, WorkflowId},
    storage::{
        Outline, Page, PageOf, ReadPath, Register, Result, TokenView, ViewOutcome, ViewScope,
        ViewWrite,
    },
};

#[async_trait]
impl TokenView for NatsStorage {
    fn token_subject(&self, workflow: &WorkflowId, place: &PlaceId, token: &TokenId) -> String {
        self.inner().subjects.token(workflow, place, token)
    }

    fn late_after(&self) -> Duration {
        self.inner().config.marker_ttl / 2
    }

    fn marker_kept(&self) -> Duration {
        self.inner().config.marker_ttl
    }

    fn read_path(&self) -> ReadPath {
        self.inner().config.read_path
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

    async fn write_views(&self, writes: Vec<ViewWrite>) -> Vec<Result<ViewOutcome>> {
        self.inner().write_views(writes).await
    }

    async fn token(
        &self,
        workflow: &WorkflowId,
        token: &TokenId,
        path: ReadPath,
    ) -> Result<Option<Token>> {
        self.inner().read(|| self.inner().token(workflow, token, path)).await
    }

    async fn tokens(&self, scope: &ViewScope, page: Page, path: ReadPath) -> Result<PageOf<Token>> {
        self.inner().read(|| self.inner().tokens(scope, page, path)).await
    }

    async fn registers(&self) -> Result<BoxStream<'static, Result<Register>>> {
        self.inner().registers().await
    }

    async fn outlines(&self, since: u64) -> Result<BoxStream<'static, Result<Outline>>> {
        self.inner().outlines(since).await
    }
}
