//! Rebuilding the view from the log, from the beginning, in bounded memory.

use std::collections::BTreeMap;

use futures::{
    StreamExt,
    stream::{self, BoxStream},
};

use super::{Cases, Error, Inner, Repaired, Result, by_case::case_of, repair::Key};
use crate::{
    models::{CaseId, MarkingEntry, Record, RecordKind, Stored, TokenId, WorkflowId},
    storage::{self, Consistency, LogScope, Outline, StorageError},
};

/// How many cases are looked at at once.
const AT_ONCE: usize = 64;

/// How many registers of the view are put together by case: some 4 MB.
const OUTLINES_AT_ONCE: usize = 16_384;

/// After how many cases in a row that could not be reached it is given up.
const MOST_UNREACHED: u32 = 16;

/// A case to look at, with registers that the view has of it.
type Item = ((WorkflowId, CaseId), Vec<Outline>);

impl Cases {
    /// Makes the view equal to the log. First every case's live tokens are written where they
    /// are missing or wrong, then everything in the view that the log does not have is taken
    /// away. `progress` gets how much is done and of how much, in messages of the log's
    /// lifecycles and of the view. What fails for one case is logged and counted, and the others
    /// are looked at.
    pub async fn rebuild(&self, progress: &(dyn Fn(u64, u64) + Send + Sync)) -> Result<Repaired> {
        let inner = &self.inner;
        let last = inner.storage.last_sequence().await?;
        let lifecycles = inner.storage.history(LogScope::Lifecycles(None), 1).await?;
        let mut repaired = inner.rebuild_cases(lifecycles, |at| progress(at, 2 * last)).await?;
        let in_view = |seen: u64| progress(last + seen.min(last), 2 * last);
        repaired += inner.judge_view(0, Tally::going_on(), in_view).await?;
        progress(2 * last, 2 * last);
        Ok(repaired)
    }
}

impl Inner {
    /// Looks at every register that the live tokens of all cases should have.
    async fn rebuild_cases(
        &self,
        lifecycles: BoxStream<'static, storage::Result<Stored<Record>>>,
        progress: impl Fn(u64),
    ) -> Result<Repaired> {
        let looks = lifecycles.map(|record| async move {
            let (sequence, key, unreadable) = match record {
                Ok(record) => {
                    let is_first = record.value.kind == RecordKind::Created;
                    let key = is_first.then_some((record.value.workflow, record.value.case));
                    (record.sequence, key, None)
                }
                Err(StorageError::Corrupt { subject, sequence, reason }) => {
                    let key = case_of(&subject);
                    (sequence, key, Some(StorageError::Corrupt { subject, sequence, reason }))
                }
                Err(error) => return Err(error.into()),
            };
            let looked = match key {
                Some((workflow, case)) => {
                    let repaired = self.repair_case(&workflow, &case, Vec::new()).await;
                    repaired.map(|repaired| Repaired { cases: 1, ..repaired })
                }
                None => Ok(Repaired::default()),
            };
            // The case goes on behind a record that can't be read, and is not whole.
            Ok::<_, Error>((sequence, unreadable.map_or(looked, |error| Err(error.into()))))
        });
        let mut looks = std::pin::pin!(looks.buffered(AT_ONCE));
        let mut tally = Tally::going_on();
        while let Some(look) = looks.next().await {
            let (sequence, repaired) = look?;
            tally.add(repaired)?;
            progress(sequence);
        }
        Ok(tally.total)
    }

    /// Looks at everything that the view has got since the log's record at `since`: it must be
    /// what the last record of its case says.
    pub(super) async fn judge_view(
        &self,
        since: u64,
        mut tally: Tally,
        progress: impl Fn(u64),
    ) -> Result<Repaired> {
        let mut outlines = self.storage.outlines(since).await?;
        let (mut seen, mut cases, mut kept) = (0, BTreeMap::new(), 0);
        loop {
            let outline = match outlines.next().await {
                Some(Ok(outline)) => Some(outline),
                Some(Err(error @ StorageError::Corrupt { .. })) => {
                    tally.add(Err(error.into()))?;
                    continue;
                }
                Some(Err(error)) => return Err(error.into()),
                None => None,
            };
            let is_end = outline.is_none();
            if let Some(outline) = outline {
                seen += 1;
                if !outline.is_gone {
                    kept += 1;
                    let of_case = (outline.workflow.clone(), case_named(&outline)?);
                    cases.entry(of_case).or_insert_with(Vec::new).push(outline);
                }
            }
            if is_end || kept >= OUTLINES_AT_ONCE {
                kept = 0;
                self.judge(std::mem::take(&mut cases), &mut tally).await?;
                progress(seen);
            }
            if is_end {
                return Ok(tally.total);
            }
        }
    }

    async fn judge(
        &self,
        cases: BTreeMap<(WorkflowId, CaseId), Vec<Outline>>,
        tally: &mut Tally,
    ) -> Result<()> {
        let looks = stream::iter(cases).map(|item| self.judge_case(item));
        let mut looks = std::pin::pin!(looks.buffer_unordered(AT_ONCE));
        while let Some(repaired) = looks.next().await {
            tally.add(repaired)?;
        }
        Ok(())
    }

    /// What the view has of a case. If any of it is wrong, the whole case is looked at: what
    /// stands in one place may be missing in another.
    async fn judge_case(&self, ((workflow, case), outlines): Item) -> Result<Repaired> {
        let head = self.storage.head(&workflow, &case, Consistency::Strong).await?;
        let sequence = head.as_ref().map_or(0, |head| head.sequence);
        let marking = head.as_ref().map(|head| head.value.marking.0.as_slice());
        let entries: BTreeMap<&TokenId, &MarkingEntry> =
            marking.unwrap_or_default().iter().map(|entry| (&entry.token, entry)).collect();
        let is_right = |outline: &Outline| {
            entries.get(&outline.token).is_some_and(|entry| {
                entry.place == outline.place && entry.sequence_in(sequence) == outline.revision
            })
        };
        let wrong: Vec<Key> = outlines
            .into_iter()
            .filter(|outline| !is_right(outline))
            .map(|outline| (outline.token, outline.place))
            .collect();
        match wrong.is_empty() {
            true => Ok(Repaired::default()),
            false => self.repair_case(&workflow, &case, wrong).await,
        }
    }
}

/// Whose a register is: that follows from its subject, not from what it says of itself. No case
/// has the id that is made of a token's which no case has given.
fn case_named(outline: &Outline) -> Result<CaseId> {
    match outline.token.case() {
        Some((case, tag)) if outline.workflow.tag() == tag => Ok(case),
        // The characters of a token's id are those of a case's.
        _ => {
            let id = outline.token.as_str();
            Ok(CaseId::new(&id[..id.len().min(CaseId::MAX_LENGTH)])?)
        }
    }
}

/// What has been done, and what failed.
pub(super) struct Tally {
    pub total: Repaired,
    /// How many in a row could not be reached, and how many may be.
    unreached: u32,
    most_unreached: u32,
}

impl Tally {
    /// One that ends where a case can't be reached, so that the same can be tried again.
    pub fn ending() -> Self {
        Self { total: Repaired::default(), unreached: 0, most_unreached: 0 }
    }

    /// One that goes on past cases that can't be reached, if they are few.
    fn going_on() -> Self {
        Self { most_unreached: MOST_UNREACHED, ..Self::ending() }
    }

    /// Counts a case. An error that is not of one case ends it all; whether one is that could not
    /// be reached, the next ones tell.
    pub fn add(&mut self, repaired: Result<Repaired>) -> Result<()> {
        let error = match repaired {
            Ok(repaired) => {
                self.unreached = 0;
                self.total += repaired;
                return Ok(());
            }
            Err(error) => error,
        };
        match &error {
            Error::Storage(StorageError::Unavailable { .. })
                if self.unreached < self.most_unreached =>
            {
                self.unreached += 1;
            }
            Error::Conflict { .. } => {}
            error if error.is_of_one_case() => {}
            _ => return Err(error),
        }
        tracing::warn!(%error, "passed over; the others are looked at");
        self.total.failed += 1;
        Ok(())
    }
}
