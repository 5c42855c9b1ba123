//! Listings of cases.

use std::{pin::pin, sync::Arc};

use futures::{StreamExt, TryStreamExt, future::try_join_all};

use crate::petrel::{
    Error, Lookup, Petrel, Result,
    export::by_case::case_of,
    read::{
        reads::{after, check},
        turn::Loaded,
    },
};
use crate::{
    models::{
        Case, CaseId, CaseStatus, LogPosition, LogSequence, PlaceId, StoredDefinition, WorkflowId,
    },
    storage::{
        Consistency, Cursor, Filling, LogRange, LogScope, PAGE_BYTES, Page, PageOf, StorageError,
        TokenScope,
    },
};

/// Number of cases that are loaded at once at most.
const AT_ONCE: usize = 16;

impl Petrel {
    /// The cases of a workflow in the order of their creation, a page at a time. A cursor is
    /// the log sequence of the record that created the case. Cases that can't be read are named
    /// beside the others, and take as much of a page. A page
    /// ends with [`PAGE_BYTES`], as one of tokens.
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
        let by_index = status.is_some() || self.inner.index.is_ready();
        if by_index {
            self.inner.follow().await?;
        }
        let (petrel, workflow) = (self.clone(), workflow.clone());
        let read = async move {
            if by_index && !petrel.inner.index.is_ready() {
                // It has begun anew while others had their turns.
                petrel.inner.follow().await?;
            }
            match by_index {
                true => petrel.cases_by_index(&workflow, status, page).await,
                false => petrel.cases_by_log(&workflow, page).await,
            }
        };
        self.inner.reader.read_page(read).await
    }

    /// Checks that the workflow, the case and the place of an empty listing exist. A workflow whose
    /// latest version can't be read or used exists; a place that only earlier versions have is as
    /// good as none where it holds nothing.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] with the one that does not exist.
    pub async fn must_exist(&self, scope: &TokenScope) -> Result<()> {
        let stored = match self.workflow(&scope.workflow).await {
            Ok(stored) => Some(stored),
            Err(Error::InvalidDefinition(_)) => None,
            Err(error) if error.code() == "CORRUPT" => None,
            Err(error) => return Err(error),
        };
        if let Some(case) = &scope.case {
            let head = self.inner.reader.storage.head(&scope.workflow, case, Consistency::Strong);
            head.await?.ok_or_else(|| Error::no_case(case))?;
        }
        let has = |stored: &StoredDefinition, place: &PlaceId| {
            stored.definition.places.iter().any(|of| of.id == *place)
        };
        match (stored, &scope.place) {
            (Some(stored), Some(place)) if !has(&stored, place) => {
                Err(Error::NotFound(Lookup::Place(place.clone())))
            }
            _ => Ok(()),
        }
    }

    async fn cases_by_index(
        &self,
        workflow: &WorkflowId,
        status: Option<CaseStatus>,
        page: Page,
    ) -> Result<CasePage> {
        let mut after = page.after.and_then(Cursor::log_position).map(|after| after.sequence);
        let mut found = Found::new(page.first);
        loop {
            let some = self.inner.index.some(workflow, status, after, found.wanted());
            let Some((last, _)) = some.last() else { return Ok(found.page()) };
            after = Some(*last);
            let mut some = some.as_slice();
            while !some.is_empty() {
                let now = some.split_off(..found.at_once().min(some.len())).unwrap_or_default();
                let cases = now.iter().map(|(created, case)| self.listed(workflow, *created, case));
                for listed in try_join_all(cases).await? {
                    if found.wanted() == 0 {
                        return Ok(found.page());
                    }
                    let listed = self.whole(workflow, listed).await?;
                    // It may have got another status since the index had it.
                    let asked_for = |case: &Case| status.is_none_or(|status| case.status == status);
                    if !matches!(&listed, (_, Listed::Case(case)) if !asked_for(case)) {
                        found.add(listed);
                    }
                }
                if found.wanted() == 0 {
                    return Ok(found.page());
                }
            }
        }
    }

    async fn cases_by_log(&self, workflow: &WorkflowId, page: Page) -> Result<CasePage> {
        let from = after(page.after);
        let scope = LogScope::Lifecycles(Some(workflow.clone()));
        let records = self.inner.reader.storage.history(scope, LogRange::from(from)).await?;
        let created = records.filter_map(|record| async move {
            match record {
                // It begins its case, or is another program's copy of what does.
                Ok(record) if record.value.previous.is_none() => {
                    Some(Ok((record.sequence, record.value.case)))
                }
                Ok(_) => None,
                Err(StorageError::Corrupt { subject, sequence, .. }) => {
                    case_of(&subject).map(|(_, case)| Ok((sequence, case)))
                }
                Err(error) => Some(Err(error)),
            }
        });
        let listed = async |(sequence, case): (LogSequence, CaseId)| match self
            .is_first(workflow, &case, sequence)
            .await?
        {
            true => self.listed(workflow, sequence, &case).await,
            false => Ok((LogPosition::from(sequence).into(), Listed::None)),
        };
        let (mut created, mut found) = (pin!(created.fuse()), Found::new(page.first));
        while found.wanted() > 0 {
            let some: Vec<_> = created.as_mut().take(found.at_once()).try_collect().await?;
            if some.is_empty() {
                break;
            }
            for listed in try_join_all(some.into_iter().map(listed)).await? {
                if found.wanted() > 0 {
                    found.add(self.whole(workflow, listed).await?);
                }
            }
        }
        Ok(found.page())
    }

    /// Returns true if the message at `sequence` is the first of the case's lifecycle. A case is
    /// listed there and nowhere else, however it begins, and however often its beginning was copied.
    async fn is_first(
        &self,
        workflow: &WorkflowId,
        case: &CaseId,
        sequence: LogSequence,
    ) -> Result<bool> {
        match self.inner.reader.storage.first_record(workflow, case).await {
            Ok(first) => Ok(first.is_some_and(|first| first.sequence == sequence)),
            Err(StorageError::Corrupt { sequence: first, .. }) => Ok(first == sequence),
            Err(error) => Err(error.into()),
        }
    }

    /// A case of a listing, loaded unless it is large.
    async fn listed(
        &self,
        workflow: &WorkflowId,
        created: LogSequence,
        case: &CaseId,
    ) -> Result<(Cursor, Listed)> {
        let loaded = self.inner.reader.load_small(workflow, case).await;
        Ok((LogPosition::from(created).into(), self.found(case, loaded)?))
    }

    /// The same, loaded if it is large: one at a time, when there is room for it.
    async fn whole(
        &self,
        workflow: &WorkflowId,
        (at, listed): (Cursor, Listed),
    ) -> Result<(Cursor, Listed)> {
        let Listed::Large(case) = listed else { return Ok((at, listed)) };
        let loaded = self.inner.reader.load(workflow, &case).await;
        let loaded = loaded.map(|loaded| Loaded::Whole(loaded.map(|(_, case)| case)));
        Ok((at, self.found(&case, loaded)?))
    }

    fn found(&self, case: &CaseId, loaded: Result<Loaded<Option<Case>>>) -> Result<Listed> {
        Ok(match loaded {
            Ok(Loaded::Whole(Some(case))) => Listed::Case(Arc::new(case)),
            Ok(Loaded::Whole(None)) => Listed::None,
            Ok(Loaded::Large) => Listed::Large(case.clone()),
            Err(error) if !error.is_of_one_case() => return Err(error),
            Err(error) => {
                // The answer names it, each time that it is listed.
                tracing::debug!(%error, "a case of a listing can't be read");
                Listed::Unreadable(case.clone())
            }
        })
    }
}

/// A page of cases. Those that can be read and those that can't are together no more than what was
/// asked for.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct CasePage {
    /// The cases that can be read. There are more if more of either kind come after the page.
    pub cases: PageOf<Arc<Case>>,
    /// The cases of the page that can't be read, in order. A request for one by its id gives the
    /// reason.
    pub unreadable: Vec<(Cursor, CaseId)>,
}

impl CasePage {
    /// The position to continue after.
    pub fn end(&self) -> Option<Cursor> {
        self.cases.end().max(self.unreadable.last().map(|(cursor, _)| *cursor))
    }
}

/// A case of a listing.
enum Listed {
    Case(Arc<Case>),
    Unreadable(CaseId),
    /// It is large, and was not loaded.
    Large(CaseId),
    /// It is gone.
    None,
}

/// The cases that were found for a page. One that finds no room tells that there is a next one.
struct Found {
    filling: Filling<Listed>,
    /// Number of cases that were loaded at once last, and the memory of the largest one so far.
    at_once: usize,
    largest: usize,
}

impl Found {
    fn new(first: usize) -> Self {
        Self { filling: Filling::new(first), at_once: 0, largest: 1 }
    }

    /// Number of cases to load at once next: one at first, and then up to twice as many each time, as
    /// long as they are no more than a part of a page if they are as large as the largest one.
    fn at_once(&mut self) -> usize {
        let most = (PAGE_BYTES / 4 / self.largest).clamp(1, AT_ONCE);
        self.at_once = (2 * self.at_once).clamp(1, most);
        self.at_once
    }

    /// Number of cases that are still wanted: one more than the page has room for.
    fn wanted(&self) -> usize {
        if self.filling.is_full() { 0 } else { self.filling.room() + 1 }
    }

    fn add(&mut self, (cursor, listed): (Cursor, Listed)) {
        let bytes = match &listed {
            Listed::Case(case) => case.memory(),
            Listed::Unreadable(_) => 0,
            Listed::None | Listed::Large(_) => return,
        };
        self.largest = self.largest.max(bytes);
        self.filling.add(cursor, listed, bytes);
    }

    fn page(self) -> CasePage {
        let PageOf { items: found, has_next } = self.filling.page();
        let (mut items, mut unreadable) = (Vec::new(), Vec::new());
        for (cursor, listed) in found {
            match listed {
                Listed::Case(case) => items.push((cursor, case)),
                Listed::Unreadable(case) => unreadable.push((cursor, case)),
                Listed::None | Listed::Large(_) => {}
            }
        }
        CasePage { cases: PageOf { items, has_next }, unreadable }
    }
}
