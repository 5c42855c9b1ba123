//! Listings of open work items and incidents, over all cases.

use std::{collections::BTreeMap, sync::Arc};

use futures::StreamExt;

use super::sweep::is_over;
use crate::petrel::{Petrel, Result};
use crate::{
    engine::Net,
    models::{
        Case, CaseId, CaseStatus, Incident, Item, KindId, LogSequence, QueueId, Record, Stored,
        WorkflowId,
    },
    storage::{Open, OpenScope, Page, PageOf, StorageError},
};

/// Choice of work items.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WorkFilter {
    /// Only those of this queue.
    pub queue: Option<QueueId>,
    /// Only those of this workflow.
    pub workflow: Option<WorkflowId>,
}

/// An open work item of any case.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct OpenItem {
    /// The workflow.
    pub workflow: WorkflowId,
    /// The case.
    pub case: CaseId,
    /// The queue where workers look for it.
    pub queue: QueueId,
    /// Kind of its work.
    pub kind: KindId,
    /// The item.
    pub item: Item,
    /// The open incidents of its case.
    pub incidents: Arc<[Incident]>,
    /// True if its case is paused: nobody begins it.
    pub is_paused: bool,
}

/// An open incident of any case.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct OpenIncident {
    /// The workflow.
    pub workflow: WorkflowId,
    /// The case.
    pub case: CaseId,
    /// The log sequence of the case's last record.
    pub sequence: LogSequence,
    /// The incident.
    pub incident: Incident,
}

impl OpenIncident {
    /// An incident of a case that was read.
    pub(crate) fn of(case: &Case, incident: &Incident) -> Self {
        let (workflow, id, incident) = (case.workflow.clone(), case.id.clone(), incident.clone());
        Self { workflow, case: id, sequence: case.sequence, incident }
    }
}

impl OpenItem {
    /// An item of a case whose record with this log sequence has it; `None` if its net has no such activity.
    pub(super) fn of(net: &Net, record: &Record, at: LogSequence, item: &Item) -> Option<Self> {
        let activity = net.transition(&item.transition)?.activity.as_ref()?;
        let mut item = item.clone();
        item.offered.get_or_insert(at);
        Some(Self {
            workflow: record.workflow.clone(),
            case: record.case.clone(),
            queue: activity.queue.clone(),
            kind: activity.kind.clone(),
            item,
            incidents: record.incidents.clone().into(),
            is_paused: record.status == CaseStatus::Paused,
        })
    }
}

#[cfg(feature = "graphql")]
impl OpenItem {
    /// Approximate memory that it takes, in bytes.
    pub(crate) fn memory(&self) -> usize {
        500 + 100 * (self.item.tokens.len() + self.incidents.len())
    }
}

/// Least number of entries that are read together: some may be of what is over.
const AT_LEAST: usize = 64;

/// The last records of cases, each if it has one. Those that can't be read are left out.
type Heads = BTreeMap<(WorkflowId, CaseId), Option<Arc<Stored<Record>>>>;

impl Petrel {
    /// Open work items of all cases, about in the order in which they were opened. Each is as the log has it
    /// now. One that was opened by another process a moment ago may be missing: for a second, unless that
    /// process died.
    pub async fn work_items(&self, filter: &WorkFilter, page: Page) -> Result<PageOf<OpenItem>> {
        let WorkFilter { queue, workflow } = filter.clone();
        let found = self.listed_open(&OpenScope::Items { queue, workflow }, page).await?;
        let mut items = Vec::with_capacity(found.items.len());
        for (at, (open, head)) in found.items {
            match self.open_item(&open, &head).await {
                Ok(item) => items.extend(item.map(|item| (at, item))),
                Err(error) if error.retryable() => return Err(error),
                Err(error) => {
                    let (workflow, case) = open.of();
                    tracing::warn!(%workflow, %case, %error, "left out of a listing");
                }
            }
        }
        Ok(PageOf { items, has_next: found.has_next })
    }

    /// Open incidents of all cases, or of one workflow, about in the order in which they began; otherwise as
    /// [`work_items`](Self::work_items).
    pub async fn incidents(
        &self,
        workflow: Option<&WorkflowId>,
        page: Page,
    ) -> Result<PageOf<OpenIncident>> {
        let scope = OpenScope::Incidents { workflow: workflow.cloned() };
        let found = self.listed_open(&scope, page).await?;
        let meant =
            |(at, (open, head)): (_, (Open, Arc<_>))| Some((at, open_incident(&open, &head)?));
        let items = found.items.into_iter().filter_map(meant).collect();
        Ok(PageOf { items, has_next: found.has_next })
    }

    async fn open_item(&self, open: &Open, head: &Stored<Record>) -> Result<Option<OpenItem>> {
        let (Open::Item { workflow, item, .. }, record) = (open, &head.value) else {
            return Ok(None);
        };
        let Some(item) = record.items.iter().find(|of| of.number == *item) else { return Ok(None) };
        let compiled = self.inner.reader.compiled(workflow, record.definition).await?;
        Ok(OpenItem::of(&compiled.net, record, head.sequence, item))
    }

    /// A page of the entries of a scope that are open by the last records of their cases, with these.
    async fn listed_open(
        &self,
        scope: &OpenScope,
        page: Page,
    ) -> Result<PageOf<(Open, Arc<Stored<Record>>)>> {
        // What this process did is found here at once.
        self.inner.write_notes_now().await;
        let (mut items, mut after) = (Vec::new(), page.after);
        let mut has_next = true;
        while has_next && items.len() < page.first {
            let mut over = Vec::new();
            let first = (page.first - items.len()).max(AT_LEAST);
            let found = self.storage().open(scope, Page { first, after }).await?;
            (has_next, after) = (found.has_next, found.end().or(after));
            let heads = self.heads_of(found.items.iter().map(|(_, open)| open)).await?;
            for (at, open) in found.items {
                let (workflow, case) = open.of();
                match heads.get(&(workflow.clone(), case.clone())) {
                    Some(Some(head)) if is_over(&open, &head.value) => over.push(open),
                    Some(Some(head)) => items.push((at, (open, Arc::clone(head)))),
                    // A case is in the log before its entries are noted.
                    Some(None) => over.push(open),
                    None => {}
                }
            }
            if !over.is_empty()
                && let Err(error) = self.storage().strike_open(&over).await
            {
                tracing::debug!(%error, "entries of what is over stay in the index");
            }
        }
        if items.len() > page.first {
            items.truncate(page.first);
            has_next = true;
        }
        Ok(PageOf { items, has_next })
    }

    async fn heads_of(&self, open: impl Iterator<Item = &Open>) -> Result<Heads> {
        let mut workflows: BTreeMap<WorkflowId, Vec<CaseId>> = BTreeMap::new();
        for (workflow, case) in open.map(Open::of) {
            workflows.entry(workflow.clone()).or_default().push(case.clone());
        }
        let mut found = Heads::new();
        for (workflow, mut cases) in workflows {
            cases.sort_unstable();
            cases.dedup();
            let mut heads = self.storage().heads(&workflow, &cases);
            while let Some((case, head)) = heads.next().await {
                match head {
                    Ok(head) => {
                        found.insert((workflow.clone(), case), head.map(Arc::new));
                    }
                    Err(error @ StorageError::Corrupt { .. }) => {
                        tracing::warn!(%workflow, %case, %error, "left out of a listing");
                    }
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(found)
    }
}

fn open_incident(open: &Open, head: &Stored<Record>) -> Option<OpenIncident> {
    let Open::Incident { workflow, case, incident } = open else { return None };
    let incident = head.value.incidents.iter().find(|of| of.number == *incident)?;
    let mut incident = incident.clone();
    incident.sequence.get_or_insert(head.sequence);
    let (workflow, case) = (workflow.clone(), case.clone());
    Some(OpenIncident { workflow, case, sequence: head.sequence, incident })
}
