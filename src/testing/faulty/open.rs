//! Calls of the index of what is open that are passed on, or lost.

use async_trait::async_trait;

use super::{FaultyStorage, unanswered};
use crate::storage::{Open, OpenIndex, OpenScope, Page, PageOf, Result};

#[async_trait]
impl OpenIndex for FaultyStorage {
    async fn note_open(&self, open: &[Open]) -> Result<()> {
        if self.state.borrow().notes_dropped {
            return Err(unanswered());
        }
        self.reach()?.note_open(open).await
    }

    async fn strike_open(&self, over: &[Open]) -> Result<()> {
        self.reach()?.strike_open(over).await
    }

    async fn is_noted(&self, open: &[Open]) -> Result<Vec<bool>> {
        self.reach()?.is_noted(open).await
    }

    async fn open(&self, scope: &OpenScope, page: Page) -> Result<PageOf<Open>> {
        self.reach()?.open(scope, page).await
    }
}
