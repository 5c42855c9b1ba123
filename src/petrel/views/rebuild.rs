//! Rebuilding the view from the log, from the beginning, in bounded memory.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    hash::{BuildHasher, RandomState},
};

use futures::{StreamExt, stream};

use crate::petrel::{
    Error, Petrel, Repaired, Result,
    views::Views,
    views::{repair::first_named, unseen::Key},
};
use crate::{
    models::{CaseId, LogSequence, MarkingEntry, TokenId, WorkflowId},
    storage::{Consistency, Lifecycle, Outline, StorageError},
};

/// Number of cases that are looked at at once.
const AT_ONCE: usize = 64;

/// Number of registers of the view that are put together by case: some 4 MB.
const OUTLINES_AT_ONCE: usize = 16_384;

/// Number of cases in a row that could not be reached after which the rebuild gives up.
const MOST_UNREACHED: u32 = 16;

/// A case to look at, with registers that the view has of it.
pub(in crate::petrel) type Item = ((WorkflowId, CaseId), Vec<Outline>);

impl Petrel {
    /// Makes the view equal to the log. First every case's live tokens are written where they
    /// are missing or wrong, then all other tokens of these cases in the view are taken away.
    /// Tokens of workflows or cases that the log has not got are counted and left alone: the
    /// log may have been lost, or be an old copy, and then the view is all that is left of
    /// them. `progress` is called with the messages done and all messages, of the log's
    /// lifecycles and of the view. A failure for one case is logged and counted, and the
    /// others are looked at.
    pub async fn rebuild(&self, progress: &(dyn Fn(u64, u64) + Send + Sync)) -> Result<Repaired> {
        self.rebuild_with(Unknown::Kept, progress).await
    }

    /// Does the work of [`rebuild`](Self::rebuild), and takes away the tokens of workflows or
    /// cases that the log has not got.
    pub async fn rebuild_and_remove_unknown(
        &self,
        progress: &(dyn Fn(u64, u64) + Send + Sync),
    ) -> Result<Repaired> {
        self.rebuild_with(Unknown::Removed, progress).await
    }

    async fn rebuild_with(
        &self,
        unknown: Unknown,
        progress: &(dyn Fn(u64, u64) + Send + Sync),
    ) -> Result<Repaired> {
        let inner = &self.inner;
        let last = inner.reader.storage.last_sequence().await?.map_or(0, LogSequence::get);
        let mut repaired = inner.views.rebuild_cases(|at| progress(at, 2 * last)).await?;
        let in_view = |seen: u64| progress(last + seen.min(last), 2 * last);
        let mut tally = Tally { unknown, ..Tally::going_on() };
        inner.views.judge_view(None, None, &mut tally, in_view).await?;
        repaired += tally.total;
        progress(2 * last, 2 * last);
        Ok(repaired)
    }
}

impl Views {
    /// Looks at every register that the live tokens of all cases should have.
    async fn rebuild_cases(&self, progress: impl Fn(u64)) -> Result<Repaired> {
        let (hasher, mut met) = (RandomState::new(), HashSet::new());
        let lifecycles = self.reader.storage.lifecycles().await?;
        // A case has a record for each time that somebody paused it, or added a token. That two
        // cases have the same 128 bits does not happen; a million of them take 32 MB at most.
        let cases = lifecycles.filter(move |lifecycle| {
            let is_new = lifecycle.as_ref().map_or(true, |lifecycle| {
                let (workflow, case) = (&lifecycle.workflow, &lifecycle.case);
                let of_case =
                    (hasher.hash_one((workflow, case)), hasher.hash_one((case, workflow)));
                met.insert(of_case)
            });
            std::future::ready(is_new)
        });
        let looks = cases.map(|lifecycle| async move {
            match lifecycle {
                Ok(Lifecycle { workflow, case, sequence }) => {
                    let repaired = self.repair_case(&workflow, &case, Vec::new()).await;
                    Ok((sequence, repaired.map(|repaired| Repaired { cases: 1, ..repaired })))
                }
                Err(StorageError::Corrupt { subject, sequence, reason, newer }) => {
                    let error = StorageError::Corrupt { subject, sequence, reason, newer };
                    Ok((sequence, Err(error.into())))
                }
                Err(error) => Err(Error::from(error)),
            }
        });
        let mut looks = std::pin::pin!(looks.buffered(AT_ONCE));
        let mut tally = Tally::going_on();
        while let Some(look) = looks.next().await {
            let (sequence, repaired) = look?;
            tally.add(repaired)?;
            progress(sequence.get());
        }
        Ok(tally.total)
    }

    /// Looks at the view's recent messages, as a serving process does by itself. Tokens of a
    /// workflow or case that the log has not got are told of and left alone: the log may have
    /// been lost, and then the view is all that is left. Also returns the cases that others
    /// wrote all the time, which are to be looked at again.
    pub(in crate::petrel) async fn judge_lately(
        &self,
        since: Option<LogSequence>,
    ) -> Result<(Repaired, Vec<Item>)> {
        let known = self.reader.storage.workflow_ids().await?.into_iter().collect();
        let mut tally = Tally::ending();
        self.judge_view(since, Some(known), &mut tally, |_| ()).await?;
        Ok((tally.total, tally.contended))
    }

    /// Looks again at the cases that others wrote all the time, and answers in the same way.
    pub(in crate::petrel) async fn judge_again(
        &self,
        items: Vec<Item>,
    ) -> Result<(Repaired, Vec<Item>)> {
        let mut tally = Tally::ending();
        self.judge(items, &mut tally).await?;
        Ok((tally.total, tally.contended))
    }

    /// Looks at all that the view has got since the log's record at `since`, of the known
    /// workflows if they are named. It must agree with the last record of its case.
    async fn judge_view(
        &self,
        since: Option<LogSequence>,
        known: Option<BTreeSet<WorkflowId>>,
        tally: &mut Tally,
        progress: impl Fn(u64),
    ) -> Result<()> {
        let mut outlines = self.reader.storage.outlines(since).await?;
        let (mut seen, mut cases, mut kept, mut unknown) = (0, BTreeMap::new(), 0, 0);
        loop {
            let outline = match outlines.next().await {
                Some(Ok(outline)) => Some(outline),
                Some(Err(error @ StorageError::CorruptView { .. })) => {
                    tally.add(Err(error.into()))?;
                    continue;
                }
                Some(Err(error)) => return Err(error.into()),
                None => None,
            };
            let is_end = outline.is_none();
            if let Some(outline) = outline {
                seen += 1;
                let is_known = known.as_ref().is_none_or(|all| all.contains(&outline.workflow));
                unknown += u64::from(!is_known && !outline.is_gone);
                if !outline.is_gone && is_known {
                    kept += 1;
                    let of_case = (outline.workflow.clone(), case_named(&outline)?);
                    cases.entry(of_case).or_insert_with(Vec::new).push(outline);
                }
            }
            if is_end || kept >= OUTLINES_AT_ONCE {
                kept = 0;
                self.judge(std::mem::take(&mut cases), tally).await?;
                progress(seen);
            }
            if is_end && unknown > 0 {
                tracing::warn!(
                    unknown,
                    "the view has tokens of workflows that the log has not got: if it was lost, \
                     restore it; if not, `petrel rebuild --remove-unknown` takes them away"
                );
            }
            if is_end {
                return Ok(());
            }
        }
    }

    async fn judge(&self, items: impl IntoIterator<Item = Item>, tally: &mut Tally) -> Result<()> {
        let unknown = tally.unknown;
        let looks = stream::iter(items).map(|item| async move {
            let repaired = self.judge_case(&item, unknown).await;
            (item, repaired)
        });
        let mut looks = std::pin::pin!(looks.buffer_unordered(AT_ONCE));
        while let Some((item, repaired)) = looks.next().await {
            if let Err(Error::ViewsContended { .. }) = &repaired {
                tally.contended.push(item);
            }
            tally.add(repaired)?;
        }
        Ok(())
    }

    /// Looks at the view's registers of a case. If any of them is wrong, the whole case is
    /// looked at: a token in one place may be missing in another.
    async fn judge_case(
        &self,
        ((workflow, case), outlines): &Item,
        unknown: Unknown,
    ) -> Result<Repaired> {
        let head = self.reader.storage.head(workflow, case, Consistency::Strong).await?;
        // A record is in the log before its views: no record of this log has made these.
        let is_unknown = head.is_none();
        let subject = |outline: &Outline| {
            self.reader.storage.token_subject(workflow, &outline.place, &outline.token)
        };
        let named = match is_unknown {
            true => first_named(outlines.iter().map(subject)),
            false => Vec::new(),
        };
        if is_unknown && unknown == Unknown::Kept {
            let unknown = outlines.len() as u64;
            return Ok(Repaired { unknown, unknown_subjects: named, ..Repaired::default() });
        }
        let sequence = head.as_ref().map(|head| head.sequence);
        let marking = head.as_ref().map(|head| head.value.marking.0.as_slice());
        let entries: BTreeMap<&TokenId, &MarkingEntry> =
            marking.unwrap_or_default().iter().map(|entry| (&entry.token, entry)).collect();
        let is_right = |outline: &Outline| {
            entries.get(&outline.token).is_some_and(|entry| {
                let revision = sequence.map(|sequence| entry.sequence_in(sequence));
                entry.place == outline.place && revision == outline.revision
            })
        };
        let wrong: Vec<Key> = outlines
            .iter()
            .filter(|outline| !is_right(outline))
            .map(|outline| (outline.token.clone(), outline.place.clone()))
            .collect();
        if wrong.is_empty() {
            return Ok(Repaired::default());
        }
        let repaired = self.repair_case(workflow, case, wrong).await?;
        let removed = if is_unknown { repaired.mended } else { 0 };
        Ok(Repaired { removed, unknown_subjects: named, ..repaired })
    }
}

/// The case of a register. It follows from the register's subject, not from its contents. For
/// a token's id that no case has given, the case's id is made of the token's, and no case has
/// that id.
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

/// Way with tokens whose case the log has not got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unknown {
    Kept,
    Removed,
}

/// Sum of the repairs, and of the failures.
pub(in crate::petrel) struct Tally {
    pub total: Repaired,
    unknown: Unknown,
    /// Cases that others wrote all the time.
    contended: Vec<Item>,
    /// Number of cases in a row that could not be reached, and the most there may be.
    unreached: u32,
    most_unreached: u32,
}

impl Tally {
    /// A tally that ends at a case that can't be reached, so that the same can be tried again.
    /// A case that others wrote all the time is looked at again, and is no failure.
    pub(crate) fn ending() -> Self {
        Self {
            total: Repaired::default(),
            unknown: Unknown::Kept,
            contended: Vec::new(),
            unreached: 0,
            most_unreached: 0,
        }
    }

    /// A tally that goes on past cases that can't be reached, if they are few.
    fn going_on() -> Self {
        Self { most_unreached: MOST_UNREACHED, ..Self::ending() }
    }

    /// Counts a case. An error that is not of one case ends it all. For a case that could not
    /// be reached, only the next ones show which kind it is.
    pub(crate) fn add(&mut self, repaired: Result<Repaired>) -> Result<()> {
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
            Error::ViewsContended { .. } if self.most_unreached == 0 => {
                tracing::debug!(%error, "looked at again");
                return Ok(());
            }
            Error::ViewsContended { .. } => {}
            error if error.is_of_one_case() => {}
            _ => return Err(error),
        }
        tracing::warn!(%error, "passed over; the others are looked at");
        self.total.failed += 1;
        self.total.unsettled += u64::from(error.retryable());
        Ok(())
    }
}
