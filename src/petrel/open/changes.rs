//! Changes of work items and incidents, of all cases, as the log has them.

use std::{collections::HashMap, sync::Arc};

use chrono::{DateTime, Utc};
use futures::{StreamExt, stream, stream::BoxStream};

use super::{OpenIncident, OpenItem};
use crate::petrel::{Error, Petrel, Result, cache::definitions::Compiled, read::watch};
use crate::{
    models::{
        CaseId, Incident, IncidentAbout, Item, LogPosition, LogSequence, Record, Stored, WorkflowId,
    },
    storage::LogScope,
};

/// Number of items and incidents that a follower keeps, to know what a record has changed. What is not kept
/// is read from the log.
const KEPT: usize = 8_192;

/// Way in which a work item or an incident has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenChange {
    /// It is open from now on.
    Opened,
    /// It is open, and otherwise than before: begun, given back, waiting, or answered.
    Changed,
    /// It is over. It is given as it was last.
    Ended,
}

/// A change of a work item or of an incident.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct OpenEvent {
    /// The way in which it has changed.
    pub change: OpenChange,
    /// The work item or the incident.
    pub part: OpenPart,
    /// The log sequence of the record that changed it.
    pub sequence: LogSequence,
    /// The time at which the server stored that record.
    pub time: DateTime<Utc>,
}

/// A part of a case that is open until somebody acts.
#[derive(Debug, Clone)]
pub enum OpenPart {
    /// A work item.
    Item(Box<OpenItem>),
    /// An incident.
    Incident(OpenIncident),
}

impl Petrel {
    /// Changes of the work items and incidents of all cases, or of one workflow's, from a position of the log
    /// on, and then each new one as it comes, in the order of the log; without a position, only new ones.
    pub async fn watch_open(
        &self,
        workflow: Option<WorkflowId>,
        from: Option<LogPosition>,
    ) -> Result<BoxStream<'static, Result<OpenEvent>>> {
        let scope = workflow.map_or(LogScope::All, LogScope::Workflow);
        let records = self.watch(scope, from).await?;
        let (petrel, known) = (self.clone(), Known::default());
        let events = stream::unfold(
            (records, petrel, known),
            |(mut records, petrel, mut known)| async move {
                let changes = match records.next().await? {
                    Ok(record) => match known.changes(&petrel, &record).await {
                        Ok(changes) => changes.into_iter().map(Ok).collect(),
                        Err(error) => vec![Err(error)],
                    },
                    Err(error) => vec![Err(error)],
                };
                Some((stream::iter(changes), (records, petrel, known)))
            },
        );
        Ok(events.flatten().boxed())
    }
}

type Key = (WorkflowId, CaseId);

/// The part of a case's last record that tells what the next one has changed.
#[derive(Debug, Clone)]
struct Last {
    record: LogSequence,
    items: Arc<[Item]>,
    incidents: Arc<[Incident]>,
    is_paused: bool,
}

impl Last {
    fn of(record: &Stored<Record>) -> Self {
        let Record { items, incidents, status, .. } = &record.value;
        let is_paused = *status == crate::models::CaseStatus::Paused;
        let (items, incidents) = (items.clone().into(), incidents.clone().into());
        Self { record: record.sequence, items, incidents, is_paused }
    }

    fn weight(&self) -> usize {
        1 + self.items.len() + self.incidents.len()
    }
}

/// The last records of the cases that changed last: those of the older half are forgotten first.
#[derive(Debug, Default)]
struct Known {
    young: HashMap<Key, Last>,
    old: HashMap<Key, Last>,
    weight: usize,
}

impl Known {
    /// The changes of a record.
    async fn changes(
        &mut self,
        petrel: &Petrel,
        record: &Arc<Stored<Record>>,
    ) -> Result<Vec<OpenEvent>> {
        let Record { workflow, case, previous, status, .. } = &record.value;
        let key = (workflow.clone(), case.clone());
        let young = self.young.remove(&key);
        self.weight -= young.as_ref().map_or(0, Last::weight);
        let kept = young.or_else(|| self.old.remove(&key));
        let before = match (kept.filter(|of| Some(of.record) == *previous), previous) {
            (Some(before), _) => Some(before),
            (None, None) => None,
            (None, Some(previous)) => Some(before(petrel, &key, *previous).await?),
        };
        if !status.has_ended() {
            self.keep(key, Last::of(record));
        }
        changes(petrel, before.as_ref(), record).await
    }

    fn keep(&mut self, key: Key, last: Last) {
        self.weight += last.weight();
        self.young.insert(key, last);
        if self.weight > KEPT / 2 {
            self.weight = 0;
            self.old = std::mem::take(&mut self.young);
        }
    }
}

/// The end of the record before, as the log has it.
async fn before(petrel: &Petrel, (workflow, case): &Key, at: LogSequence) -> Result<Last> {
    loop {
        let error = match petrel.storage().record(workflow, case, at).await {
            Ok(Some(record)) => return Ok(Last::of(&record)),
            Ok(None) => {
                return Err(Error::BrokenLog {
                    workflow: workflow.clone(),
                    case: case.clone(),
                    sequence: Some(at),
                    reason: "the record is not there, and another one follows it".to_owned(),
                });
            }
            Err(error) if !watch::passes_by(&error) => return Err(error.into()),
            Err(error) => error,
        };
        // A follower waits for a server that is away, as it does between two records.
        tracing::debug!(%workflow, %case, %error, "the record before can't be read now");
        tokio::time::sleep(watch::RETRY_EVERY).await;
    }
}

async fn changes(
    petrel: &Petrel,
    before: Option<&Last>,
    record: &Arc<Stored<Record>>,
) -> Result<Vec<OpenEvent>> {
    let now = Last::of(record);
    let none = Last { items: Arc::default(), incidents: Arc::default(), ..now.clone() };
    let was = before.unwrap_or(&none);
    let mut found = Vec::new();
    // An item is shown with its incident, and with its case's pause.
    let about = |of: &Last, item: &Item| {
        let about = IncidentAbout::Item(item.number);
        of.incidents.iter().find(|open| open.about == about).map(|open| (open.number, open.code))
    };
    let items = differences(
        &was.items,
        &now.items,
        |item| item.number,
        |one, other| {
            let is_shown_alike = about(was, one) == about(&now, other);
            is_shown_alike && was.is_paused == now.is_paused && plain(one) == plain(other)
        },
    );
    if !items.is_empty() {
        let Record { workflow, definition, .. } = &record.value;
        let compiled = compiled(petrel, workflow, *definition).await?;
        for (change, item) in items {
            let at = if change == OpenChange::Ended { was } else { &now };
            let open = OpenItem::of(&compiled.net, &record.value, at.record, item);
            let Some(open) = open else { continue };
            let (incidents, is_paused) = (Arc::clone(&at.incidents), at.is_paused);
            let open = OpenItem { incidents, is_paused, ..open };
            found.push((change, OpenPart::Item(Box::new(open))));
        }
    }
    let incidents =
        differences(&was.incidents, &now.incidents, |incident| incident.number, |_, _| true);
    for (change, incident) in incidents {
        let at = if change == OpenChange::Ended { was } else { &now };
        let Record { workflow, case, .. } = &record.value;
        let (workflow, case, mut incident) = (workflow.clone(), case.clone(), incident.clone());
        incident.sequence.get_or_insert(at.record);
        let sequence = at.record;
        found.push((
            change,
            OpenPart::Incident(OpenIncident { workflow, case, sequence, incident }),
        ));
    }
    let (sequence, time) = (record.sequence, record.timestamp);
    Ok(found.into_iter().map(|(change, part)| OpenEvent { change, part, sequence, time }).collect())
}

/// The definition that a case runs.
async fn compiled(
    petrel: &Petrel,
    workflow: &WorkflowId,
    definition: LogSequence,
) -> Result<Arc<Compiled>> {
    loop {
        match petrel.inner.reader.compiled(workflow, definition).await {
            Err(error) if error.retryable() => {
                tracing::debug!(%workflow, %error, "the definition can't be read now");
            }
            compiled => return compiled,
        }
        tokio::time::sleep(watch::RETRY_EVERY).await;
    }
}

/// The parts that are open afterwards and were not, or were otherwise, and those that are not any more.
fn differences<'a, T>(
    before: &'a [T],
    after: &'a [T],
    number: impl Fn(&T) -> u64,
    same: impl Fn(&T, &T) -> bool,
) -> Vec<(OpenChange, &'a T)> {
    let there: HashMap<u64, &T> = before.iter().map(|one| (number(one), one)).collect();
    let mut found = Vec::new();
    for one in after {
        match there.get(&number(one)) {
            None => found.push((OpenChange::Opened, one)),
            Some(was) if !same(was, one) => found.push((OpenChange::Changed, one)),
            Some(_) => {}
        }
    }
    let still: std::collections::HashSet<u64> = after.iter().map(&number).collect();
    let over = before.iter().filter(|one| !still.contains(&number(one)));
    found.extend(over.map(|one| (OpenChange::Ended, one)));
    found
}

/// An item without the sequences that only the records after the one that sets them have.
fn plain(item: &Item) -> Item {
    let mut item = item.clone();
    item.offered = None;
    if let Some(running) = &mut item.running {
        running.begun = None;
    }
    if let Some(wait) = &mut item.wait {
        wait.armed = None;
    }
    item
}
