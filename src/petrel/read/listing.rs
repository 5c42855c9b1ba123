//! Listings of cases.

use std::{pin::pin, sync::Arc};

use futures::{StreamExt, TryStreamExt, stream};

use crate::petrel::{Cases, Result, read::reads::check};
use crate::{
    models::{Case, CaseId, CaseStatus, WorkflowId},
    storage::{Cursor, LogScope, Page, PageOf, StorageError},
};

/// Number of heads that are asked for at once.
const AT_ONCE: usize = 32;

impl Cases {
    /// The cases of a workflow in the order of their creation, a page at a time. A cursor is
    /// the log sequence of the record that created the case. Cases that can't be read are
    /// logged and left out; a request for one by its id gives the reason.
    ///
    /// With a status it goes by an index that this process makes of the log. Before that has
    /// been made once it is waited for, for some seconds; then the error is
    /// [`retryable`](super::Error::retryable) and gives its progress.
    pub async fn cases(
        &self,
        workflow: &WorkflowId,
        status: Option<CaseStatus>,
        page: Page,
    ) -> Result<PageOf<Arc<Case>>> {
        check(page)?;
        match status.is_some() || self.inner.index.is_ready() {
            true => self.cases_by_index(workflow, status, page).await,
            false => self.cases_by_log(workflow, page).await,
        }
    }

    async fn cases_by_index(
        &self,
        workflow: &WorkflowId,
        status: Option<CaseStatus>,
        page: Page,
    ) -> Result<PageOf<Arc<Case>>> {
        self.inner.follow().await?;
        let mut after = page.after.map_or(0, |Cursor(after)| after);
        let mut items = Vec::new();
        loop {
            // One more than asked for tells whether there is a next page.
            let wanted = page.first + 1 - items.len();
            let some = self.inner.index.some(workflow, status, after, wanted);
            let Some((last, _)) = some.last() else { return Ok(PageOf { items, has_next: false }) };
            after = *last;
            let cases = stream::iter(some)
                .map(|(created, case)| async move { self.listed(workflow, created, &case).await });
            let mut cases = pin!(cases.buffered(AT_ONCE));
            while let Some(case) = cases.try_next().await? {
                // It may have got another status since the index had it.
                let asked_for = |case: &Case| status.is_none_or(|status| case.status == status);
                items.extend(case.filter(|(_, case)| asked_for(case)));
            }
            if items.len() > page.first {
                items.truncate(page.first);
                return Ok(PageOf { items, has_next: true });
            }
        }
    }

    async fn cases_by_log(&self, workflow: &WorkflowId, page: Page) -> Result<PageOf<Arc<Case>>> {
        let from = page.after.map_or(1, |Cursor(after)| after.saturating_add(1));
        let scope = LogScope::Lifecycles(Some(workflow.clone()));
        let records = self.inner.reader.storage.history(scope, from).await?;
        let created = records.filter_map(|record| async move {
            match record {
                Ok(record) if record.value.previous == 0 => Some(Ok(record)),
                Ok(_) => None,
                Err(error @ StorageError::Corrupt { .. }) => {
                    tracing::warn!(%error, "left out of a listing");
                    None
                }
                Err(error) => Some(Err(error)),
            }
        });
        let cases = created.map(|record| async move {
            let record = record?;
            self.listed(workflow, record.sequence, &record.value.case).await
        });
        let mut cases = pin!(cases.buffered(AT_ONCE));
        let mut items = Vec::new();
        while let Some(case) = cases.try_next().await? {
            let Some(case) = case else { continue };
            if items.len() == page.first {
                return Ok(PageOf { items, has_next: true });
            }
            items.push(case);
        }
        Ok(PageOf { items, has_next: false })
    }

    /// A case of a listing; none if it can't be read.
    async fn listed(
        &self,
        workflow: &WorkflowId,
        created: u64,
        case: &CaseId,
    ) -> Result<Option<(Cursor, Arc<Case>)>> {
        match self.inner.reader.load(workflow, case).await {
            Ok(case) => Ok(case.map(|(_, case)| (Cursor(created), Arc::new(case)))),
            Err(error) if !error.is_of_one_case() => Err(error),
            Err(error) => {
                tracing::warn!(%error, "left out of a listing");
                Ok(None)
            }
        }
    }
}
