//! Offers of items that are over: looked for in all that is offered, and taken away.

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt;

use crate::petrel::{Petrel, Result};
use crate::{
    models::{CaseId, Record, Stored, WorkflowId},
    storage::{MAX_PAGE, Offer, Page, StorageError},
};

impl Petrel {
    /// Withdraws what is offered and not open in its case's last record. Returns the number.
    pub(in crate::petrel) async fn withdraw_over(&self) -> Result<u64> {
        let (mut page, mut count) = (Page { first: MAX_PAGE, after: None }, 0);
        loop {
            let last = self.storage().last_sequence().await?;
            let offered = self.storage().all_offered(page).await?;
            let mut cases: BTreeMap<WorkflowId, BTreeSet<CaseId>> = BTreeMap::new();
            for (_, offer) in &offered.items {
                cases.entry(offer.workflow.clone()).or_default().insert(offer.case.clone());
            }
            let mut heads = BTreeMap::new();
            for (workflow, cases) in cases {
                let cases: Vec<_> = cases.into_iter().collect();
                let mut found = std::pin::pin!(self.storage().heads(&workflow, &cases));
                while let Some((case, head)) = found.next().await {
                    match head {
                        Ok(head) => drop(heads.insert((workflow.clone(), case), head)),
                        // Nothing is judged of what can't be read.
                        Err(StorageError::Corrupt { .. }) => {}
                        Err(error) => return Err(error.into()),
                    }
                }
            }
            let is_over = |offer: &&Offer| {
                let head = heads.get(&(offer.workflow.clone(), offer.case.clone()));
                head.is_some_and(|head| match head {
                    Some(head) => head.sequence >= offer.follows && !is_open(head, offer.item),
                    // Somebody took the case away, or the log has gone back.
                    None => last >= Some(offer.follows),
                })
            };
            let over: Vec<_> =
                offered.items.iter().map(|(_, offer)| offer).filter(is_over).cloned().collect();
            if !over.is_empty() {
                self.storage().withdraw(&over).await?;
            }
            count += over.len() as u64;
            page.after = offered.items.last().map(|(cursor, _)| *cursor);
            if !offered.has_next {
                return Ok(count);
            }
        }
    }
}

/// Returns true if an item of a case has this message.
fn is_open(head: &Stored<Record>, message: u64) -> bool {
    head.value.items.iter().any(|item| item.lease().message == message)
}
