//! Listings of cases.

use std::{collections::HashSet, pin::pin, sync::Arc};

use futures::{StreamExt, TryStreamExt, stream};

use crate::petrel::{Error, Petrel, Result, export::by_case::case_of, read::reads::check};
use crate::{
    models::{Case, CaseId, CaseStatus, WorkflowId},
    storage::{Cursor, LogRange, LogScope, Page, PageOf, StorageError},
};

/// Number of heads that are asked for at once.
const AT_ONCE: usize = 32;

impl Petrel {
    /// The cases of a workflow in the order of their creation, a page at a time. A cursor is
    /// the log sequence of the record that created the case. Cases that can't be read are named
    /// beside the others.
    ///
    /// With a status it goes by an index that this process makes of the log. Before that has
    /// been made once it is waited for, for some seconds; then the error is
    /// [`retryable`](crate::petrel::Error::retryable) and gives its progress.
    pub async fn cases(
        &self,
        workflow: &WorkflowId,
        status: Option<CaseStatus>,
        page: Page,
    ) -> Result<CasePage> {
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
    ) -> Result<CasePage> {
        self.inner.follow().await?;
        let mut after = page.after.map_or(0, |Cursor(after)| after);
        let (mut items, mut unreadable) = (Vec::new(), Vec::new());
        loop {
            // One more than asked for tells whether there is a next page.
            let wanted = page.first + 1 - items.len();
            let some = self.inner.index.some(workflow, status, after, wanted);
            let Some((last, _)) = some.last() else {
                return Ok(CasePage::of(items, unreadable, page.first));
            };
            after = *last;
            let cases = stream::iter(some)
                .map(|(created, case)| async move { self.listed(workflow, created, &case).await });
            let mut cases = pin!(cases.buffered(AT_ONCE));
            while let Some(listed) = cases.try_next().await? {
                // It may have got another status since the index had it.
                let asked_for = |case: &Case| status.is_none_or(|status| case.status == status);
                match listed {
                    Listed::Case(cursor, case) if asked_for(&case) => items.push((cursor, case)),
                    Listed::Unreadable(cursor, case) => unreadable.push((cursor, case)),
                    Listed::Case(..) | Listed::None => {}
                }
            }
            if items.len() > page.first {
                return Ok(CasePage::of(items, unreadable, page.first));
            }
        }
    }

    async fn cases_by_log(&self, workflow: &WorkflowId, page: Page) -> Result<CasePage> {
        let from = page.after.map_or(1, |Cursor(after)| after.saturating_add(1));
        let scope = LogScope::Lifecycles(Some(workflow.clone()));
        let records = self.inner.reader.storage.history(scope, LogRange::from(from)).await?;
        let created = records.filter_map(|record| async move {
            match record {
                Ok(record) if record.value.previous == 0 => {
                    Some(Ok((record.sequence, record.value.case, true)))
                }
                Ok(_) => None,
                Err(StorageError::Corrupt { subject, sequence, .. }) => {
                    case_of(&subject).map(|(_, case)| Ok((sequence, case, false)))
                }
                Err(error) => Some(Err(error)),
            }
        });
        let cases = created.map(|created| async move {
            let (sequence, case, begins) = created?;
            match self.listed(workflow, sequence, &case).await? {
                Listed::Case(_, case) if !begins && !self.began_at(&case, sequence).await? => {
                    Ok(Listed::None)
                }
                listed => Ok::<_, Error>(listed),
            }
        });
        let mut cases = pin!(cases.buffered(AT_ONCE));
        let (mut items, mut unreadable, mut seen) = (Vec::new(), Vec::new(), HashSet::new());
        while let Some(listed) = cases.try_next().await? {
            match listed {
                Listed::Case(cursor, case) => items.push((cursor, case)),
                Listed::Unreadable(cursor, case) if seen.insert(case.clone()) => {
                    unreadable.push((cursor, case));
                }
                Listed::Unreadable(..) | Listed::None => {}
            }
            if items.len() > page.first {
                break;
            }
        }
        Ok(CasePage::of(items, unreadable, page.first))
    }

    /// Returns true if the unreadable record at `sequence` is the one that a readable case began
    /// with. Any other one of the case lists it nowhere else than where it began.
    async fn began_at(&self, case: &Case, sequence: u64) -> Result<bool> {
        match self.inner.reader.first_record(case).await {
            Err(Error::Storage(StorageError::Corrupt { sequence: first, .. })) => {
                Ok(first == sequence)
            }
            Err(error) if !error.is_of_one_case() => Err(error),
            Ok(_) | Err(_) => Ok(false),
        }
    }

    /// A case of a listing.
    async fn listed(&self, workflow: &WorkflowId, created: u64, case: &CaseId) -> Result<Listed> {
        match self.inner.reader.load(workflow, case).await {
            Ok(Some((_, case))) => Ok(Listed::Case(Cursor(created), Arc::new(case))),
            Ok(None) => Ok(Listed::None),
            Err(error) if !error.is_of_one_case() => Err(error),
            Err(error) => {
                tracing::warn!(%error, "a case of a listing can't be read");
                Ok(Listed::Unreadable(Cursor(created), case.clone()))
            }
        }
    }
}

/// A page of cases.
#[derive(Debug, Clone)]
pub struct CasePage {
    /// The cases that can be read.
    pub cases: PageOf<Arc<Case>>,
    /// Cases that stand among them, or after the last one of all, and can't be read. A request
    /// for one by its id gives the reason.
    pub unreadable: Vec<CaseId>,
}

impl CasePage {
    /// The first cases of those that were found, with the unreadable ones before the next page.
    fn of(
        mut items: Vec<(Cursor, Arc<Case>)>,
        unreadable: Vec<(Cursor, CaseId)>,
        first: usize,
    ) -> Self {
        let has_next = items.len() > first;
        items.truncate(first);
        let last = items.last().map(|(cursor, _)| *cursor).filter(|_| has_next);
        let before_next = |(cursor, _): &(Cursor, CaseId)| last.is_none_or(|last| *cursor < last);
        let unreadable = unreadable.into_iter().filter(before_next).map(|(_, case)| case);
        Self { unreadable: unreadable.collect(), cases: PageOf { items, has_next } }
    }
}

/// A case of a listing.
enum Listed {
    Case(Cursor, Arc<Case>),
    Unreadable(Cursor, CaseId),
    /// It is gone.
    None,
}
