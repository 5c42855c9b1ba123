//! The index of what is open, in memory.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;

use super::MemoryStorage;
use crate::storage::{Cursor, Filling, Open, OpenIndex, OpenScope, Page, PageOf, Result};

/// Memory of an entry of a page, by a rough estimate.
const BYTES: usize = 256;

/// An index in memory. A clone shares it.
#[derive(Debug, Clone, Default)]
pub struct MemoryOpen {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    numbers: BTreeMap<Open, u64>,
    entries: BTreeMap<u64, Open>,
    last: u64,
}

impl MemoryOpen {
    /// An index with nothing in it.
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics between the parts of one change, so the state is whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl OpenIndex for MemoryOpen {
    async fn note_open(&self, open: &[Open]) -> Result<()> {
        let mut state = self.state();
        for one in open {
            if !state.numbers.contains_key(one) {
                state.last += 1;
                let number = state.last;
                state.numbers.insert(one.clone(), number);
                state.entries.insert(number, one.clone());
            }
        }
        Ok(())
    }

    async fn strike_open(&self, over: &[Open]) -> Result<()> {
        let mut state = self.state();
        for one in over {
            if let Some(number) = state.numbers.remove(one) {
                state.entries.remove(&number);
            }
        }
        Ok(())
    }

    async fn is_noted(&self, open: &[Open]) -> Result<Vec<bool>> {
        let state = self.state();
        Ok(open.iter().map(|one| state.numbers.contains_key(one)).collect())
    }

    async fn open(&self, scope: &OpenScope, page: Page) -> Result<PageOf<Open>> {
        let mut filling = Filling::new(page.first);
        let state = self.state();
        let Some(from) = page.after.map_or(Some(1), |Cursor(after)| after.checked_add(1)) else {
            return Ok(filling.page());
        };
        for (number, open) in state.entries.range(from..).filter(|(_, open)| scope.has(open)) {
            if !filling.add(Cursor(*number), open.clone(), BYTES) {
                break;
            }
        }
        Ok(filling.page())
    }
}

#[async_trait]
impl OpenIndex for MemoryStorage {
    async fn note_open(&self, open: &[Open]) -> Result<()> {
        self.open.note_open(open).await
    }

    async fn strike_open(&self, over: &[Open]) -> Result<()> {
        self.open.strike_open(over).await
    }

    async fn is_noted(&self, open: &[Open]) -> Result<Vec<bool>> {
        self.open.is_noted(open).await
    }

    async fn open(&self, scope: &OpenScope, page: Page) -> Result<PageOf<Open>> {
        self.open.open(scope, page).await
    }
}
