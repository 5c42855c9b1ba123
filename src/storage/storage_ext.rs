//! Reads that every store does in the same way, from its log and its view together.

use async_trait::async_trait;

use super::{Consistency, ListOptions, PageOf, Result, Storage, TokenScope, ViewScope};
use crate::models::{PlaceId, Token};

/// Convenience on top of a store's methods.
#[async_trait]
pub trait StorageExt: Storage {
    /// Tokens of a workflow, a place or a case, from the view, ordered by the sequence of their
    /// last change there. The tokens of a case are those of the marking in its last record: the
    /// log has their ids and places, the view has their contents.
    async fn tokens_in(&self, scope: &TokenScope, options: ListOptions) -> Result<PageOf<Token>> {
        let TokenScope { workflow, place, case } = scope;
        let scope = match (case, place) {
            (Some(case), _) => {
                let head = self.head(workflow, case, Consistency::Eventual).await?;
                let marking = head.map(|head| head.value.marking.0).unwrap_or_default();
                let wanted = |at: &PlaceId| place.as_ref().is_none_or(|only| only == at);
                let entries = marking.into_iter().filter(|entry| wanted(&entry.place));
                let registers = entries.map(|entry| (entry.token, entry.place)).collect();
                ViewScope::Registers(workflow.clone(), registers)
            }
            (None, Some(place)) => ViewScope::Place(workflow.clone(), place.clone()),
            (None, None) => ViewScope::Workflow(workflow.clone()),
        };
        self.tokens(&scope, options).await
    }
}

impl<S: Storage + ?Sized> StorageExt for S {}
