//! Calls of the view that are passed on, lost or held.

use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;

use super::{FaultyStorage, Views, unanswered};
use crate::{
    models::{PlaceId, Token, TokenId, WorkflowId},
    storage::{
        Outline, Page, PageOf, ReadPath, Register, Result, TokenView, ViewOutcome, ViewScope,
        ViewWrite,
    },
};

#[async_trait]
impl TokenView for FaultyStorage {
    fn token_subject(&self, workflow: &WorkflowId, place: &PlaceId, token: &TokenId) -> String {
        self.inner.token_subject(workflow, place, token)
    }

    fn late_after(&self) -> Duration {
        self.state.borrow().late_after.unwrap_or_else(|| self.inner.late_after())
    }

    fn marker_kept(&self) -> Duration {
        self.inner.marker_kept()
    }

    fn read_path(&self) -> ReadPath {
        self.inner.read_path()
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

    async fn write_views(&self, writes: Vec<ViewWrite>) -> Vec<Result<ViewOutcome>> {
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
        let outcomes = self.inner.write_views(writes).await;
        self.state.send_modify(|state| state.view_writes += 1);
        outcomes
    }

    async fn token(
        &self,
        workflow: &WorkflowId,
        token: &TokenId,
        path: ReadPath,
    ) -> Result<Option<Token>> {
        self.reach()?.token(workflow, token, path).await
    }

    async fn tokens(&self, scope: &ViewScope, page: Page, path: ReadPath) -> Result<PageOf<Token>> {
        self.reach()?.tokens(scope, page, path).await
    }

    async fn registers(&self) -> Result<BoxStream<'static, Result<Register>>> {
        self.reach()?.registers().await
    }

    async fn outlines(&self, since: u64) -> Result<BoxStream<'static, Result<Outline>>> {
        self.state.send_modify(|state| state.outline_reads += 1);
        self.reach()?.outlines(since).await
    }
}
