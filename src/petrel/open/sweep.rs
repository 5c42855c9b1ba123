//! The look at what the index has: what is open and was lost on its way is put back.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use futures::StreamExt;

use crate::petrel::{Petrel, Result};
use crate::{
    models::{CaseId, Record, WorkflowId},
    storage::{Cursor, MAX_PAGE, Open, OpenScope, Page, StorageError},
};

/// Number of entries that are looked at together, and of their cases at once.
const TOGETHER: usize = 256;
const AT_ONCE: usize = 16;

/// The most incidents that are counted once a minute; of more, this is the number that is shown.
const MOST_COUNTED: u64 = 100_000;

/// Longest time of one look. The next one goes on where it has ended.
const LONGEST: Duration = Duration::from_secs(20);

impl Petrel {
    /// Looks at all open work items of the index, as a serving process does by itself once a minute: offers
    /// those that are in no queue, and strikes out those that are over. Returns the number of those that it
    /// offered.
    pub async fn mend_open(&self) -> Result<u64> {
        let (mut from, mut offered) = (None, 0);
        loop {
            offered += self.sweep_open(&mut from).await?;
            if from.is_none() {
                return Ok(offered);
            }
        }
    }

    /// The same, from the position at which the last look has ended, for as long as there is time.
    pub(in crate::petrel) async fn sweep_open(&self, from: &mut Option<Cursor>) -> Result<u64> {
        let (begun, items) = (Instant::now(), OpenScope::Items { queue: None, workflow: None });
        let mut offered = 0;
        while begun.elapsed() < LONGEST {
            let page = Page { first: TOGETHER, after: *from };
            let page = self.storage().open(&items, page).await?;
            let (has_next, last) = (page.has_next, page.end());
            offered += self.look_at_open(page.items.into_iter().map(|(_, open)| open)).await?;
            *from = last.filter(|_| has_next);
            if from.is_none() {
                break;
            }
        }
        Ok(offered)
    }

    /// Counts the open incidents of the index, for the metrics of this process.
    pub(in crate::petrel) async fn count_incidents(&self) -> Result<()> {
        let (incidents, mut count, mut after) = (OpenScope::Incidents { workflow: None }, 0, None);
        loop {
            let page = Page { first: MAX_PAGE, after };
            let page = self.storage().open(&incidents, page).await?;
            count += page.items.len() as u64;
            after = page.end();
            if !page.has_next || count >= MOST_COUNTED {
                break;
            }
        }
        self.inner.metrics.work().incidents_are_open(count);
        Ok(())
    }

    async fn look_at_open(&self, open: impl Iterator<Item = Open>) -> Result<u64> {
        let mut workflows: BTreeMap<WorkflowId, BTreeMap<CaseId, Vec<Open>>> = BTreeMap::new();
        for open in open {
            let (workflow, case) = open.of();
            let (workflow, case) = (workflow.clone(), case.clone());
            workflows.entry(workflow).or_default().entry(case).or_default().push(open);
        }
        let (mut over, mut offered) = (Vec::new(), 0);
        for (workflow, cases) in &workflows {
            let ids: Vec<_> = cases.keys().cloned().collect();
            let looks = self.storage().heads(workflow, &ids).map(|(case, head)| async move {
                let entries = &cases[&case];
                match head {
                    Ok(Some(head)) => {
                        let over = entries.iter().filter(|open| is_over(open, &head.value));
                        let over: Vec<_> = over.cloned().collect();
                        match self.inner.views.mend_work_of(&head, None).await {
                            Ok(offered) => Ok((over, offered)),
                            Err(error) if error.retryable() => Err(error),
                            Err(error) => {
                                tracing::warn!(%workflow, %case, %error, "its work is not offered");
                                Ok((over, 0))
                            }
                        }
                    }
                    // A case is in the log before its entries are noted.
                    Ok(None) => Ok((entries.clone(), 0)),
                    Err(error @ StorageError::Corrupt { .. }) => {
                        tracing::debug!(%workflow, %case, %error, "its work is not looked at");
                        Ok((Vec::new(), 0))
                    }
                    Err(error) => Err(crate::petrel::Error::from(error)),
                }
            });
            let mut looks = std::pin::pin!(looks.buffer_unordered(AT_ONCE));
            while let Some(look) = looks.next().await {
                let (some, count) = look?;
                over.extend(some);
                offered += count;
            }
        }
        if offered > 0 {
            tracing::warn!(offered, "work items were open and in no queue, and are offered again");
        }
        if !over.is_empty() {
            self.storage().strike_open(&over).await?;
        }
        Ok(offered)
    }
}

/// Returns true if what an entry names is over, by the last record of its case.
pub(super) fn is_over(open: &Open, head: &Record) -> bool {
    match open {
        // A number that no record has given is another log's.
        Open::Item { item, .. } => {
            *item <= head.items_made && !head.items.iter().any(|open| open.number == *item)
        }
        Open::Incident { incident, .. } => {
            *incident <= head.incidents_made
                && !head.incidents.iter().any(|open| open.number == *incident)
        }
    }
}
