//! A batch of records whose views are looked at together.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Instant,
};

use futures::StreamExt;

use crate::petrel::{
    Error, Repaired, Result,
    views::Views,
    views::rebuild::Tally,
    views::unseen::{self, Key},
};
use crate::{
    models::{CaseId, LogSequence, Record, WorkflowId},
    storage::{LogRange, LogScope, StorageError},
};

/// Number of records that are handled together, and of cases at once.
const BATCH: usize = 1_024;
const AT_ONCE: usize = 16;

/// Registers to look at, by case.
pub(super) type Touched = HashMap<(WorkflowId, CaseId), BTreeSet<Key>>;

/// Result of a batch of records.
pub(super) struct Batch {
    /// The last record that it came to.
    pub upto: LogSequence,
    pub repaired: Repaired,
    /// Registers that others wrote all the time; they are to be looked at again.
    pub contended: Touched,
}

impl Views {
    /// Looks at a batch of records after `done` and up to `to`.
    pub(super) async fn reconcile_batch(
        &self,
        done: Option<LogSequence>,
        to: LogSequence,
        skip_confirmed: bool,
    ) -> Result<Batch> {
        let first = match skip_confirmed {
            true => self.confirmed.first_open(done, to),
            false => Some(LogSequence::after(done)),
        };
        let mut repaired = Repaired::default();
        let Some(first) = first else {
            return Ok(Batch { upto: to, repaired, contended: Touched::new() });
        };
        let mut records =
            self.reader.storage.history(LogScope::All, LogRange::from(first)).await?.take(BATCH);
        let (mut touched, mut waiting, mut upto, mut count) =
            (Touched::new(), BTreeSet::new(), to, 0);
        let mut unreadable = Vec::new();
        while let Some(record) = records.next().await {
            count += 1;
            match record {
                Ok(record) if record.sequence > to => break,
                Ok(record) => {
                    if count == BATCH {
                        upto = record.sequence;
                    }
                    if !(skip_confirmed && self.confirmed.contains(record.sequence)) {
                        touch(&mut touched, &record.value);
                        if unseen::has_waited(&record.value) {
                            waiting.insert((record.value.workflow, record.value.case));
                        }
                    }
                }
                Err(error @ StorageError::Corrupt { .. }) => {
                    if let (StorageError::Corrupt { sequence, .. }, BATCH) = (&error, count) {
                        upto = *sequence;
                    }
                    unreadable.push(error);
                }
                Err(error) => return Err(error.into()),
            }
        }
        for error in self.reader.not_put_aside(unreadable).await? {
            tracing::warn!(%error, "the reconciler passes over a record");
            repaired.failed += 1;
        }
        let (mended, contended) = self.repair_touched(touched).await?;
        repaired += mended;
        self.mend_waiting_in(waiting).await?;
        Ok(Batch { upto, repaired, contended })
    }

    /// Looks at these registers. Returns those that others wrote all the time.
    pub(super) async fn repair_touched(&self, touched: Touched) -> Result<(Repaired, Touched)> {
        let mut workflows: BTreeMap<WorkflowId, BTreeMap<CaseId, BTreeSet<Key>>> = BTreeMap::new();
        for ((workflow, case), registers) in touched {
            workflows.entry(workflow).or_default().insert(case, registers);
        }
        let (mut tally, mut contended) = (Tally::ending(), Touched::new());
        for (workflow, cases) in &workflows {
            // One request has the last records of many cases.
            let (ids, asked): (Vec<_>, _) = (cases.keys().cloned().collect(), Instant::now());
            let repairs =
                self.reader.storage.heads(workflow, &ids).map(|(case, head)| async move {
                    let wanted = cases[&case].iter().cloned().collect();
                    let repaired = match head {
                        Ok(head) => {
                            self.repair_some((workflow, &case), (head, asked), wanted).await
                        }
                        Err(error) => Err(error.into()),
                    };
                    (case, repaired)
                });
            let mut repairs = std::pin::pin!(repairs.buffer_unordered(AT_ONCE));
            while let Some((case, repaired)) = repairs.next().await {
                match repaired {
                    Err(error @ Error::ViewsContended { .. }) => {
                        tracing::debug!(%error, "looked at again");
                        let registers = cases[&case].clone();
                        contended.insert((workflow.clone(), case), registers);
                    }
                    repaired => tally.add(repaired.map(|some| Repaired { cases: 1, ..some }))?,
                }
            }
        }
        Ok((tally.total, contended))
    }
}

fn touch(touched: &mut Touched, record: &Record) {
    let key = (record.workflow.clone(), record.case.clone());
    let registers = touched.entry(key).or_default();
    registers.extend(unseen::touched(record));
}
