//! Rebuilding the view from the log, from the beginning, in bounded memory.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Instant,
};

use futures::StreamExt;

use crate::petrel::{
    Error, Inner, Petrel, Repaired, Result,
    thread::by_itself,
    views::{
        Views,
        repair::first_named,
        unseen::Key,
        walk::{Met, walk},
    },
};
use crate::{
    models::{CaseId, LogSequence, MarkingEntry, PlaceId, Record, Stored, TokenId, WorkflowId},
    storage::{Lifecycle, Outline, StorageError},
};

/// Number of cases that are looked at at once.
const AT_ONCE: usize = 32;

/// Number of cases whose heads are asked for together.
const CASES_AT_ONCE: usize = 256;

/// Number of registers of the view that are put together by case: some 4 MB.
const OUTLINES_AT_ONCE: usize = 16_384;

/// Number of cases in a row that could not be reached after which the rebuild gives up.
const MOST_UNREACHED: u32 = 16;

/// A case to look at, with registers that the view has of it.
pub(in crate::petrel) type Item = ((WorkflowId, CaseId), Vec<Outline>);

impl Petrel {
    /// Makes the view equal to the log. First every register of the view is compared with its
    /// case, and then every case that has not all of its registers there has them written.
    /// Tokens of workflows or cases that the log has not got are counted and left alone: the
    /// log may have been lost, or be an old copy, and then the view is all that is left of
    /// them. `progress` is called with the messages done and all messages, of the view and
    /// of the log's lifecycles. A failure for one case is logged and counted, and the
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
        let (mut met, mut tally) = (Met::default(), Tally { unknown, ..Tally::going_on() });
        walk(inner, &mut met, &mut tally, |seen| progress(seen.min(last), 2 * last)).await?;
        rebuild_cases(inner, met, &mut tally, |at| progress(last + at, 2 * last)).await?;
        self.arm_all().await?;
        self.withdraw_over().await?;
        progress(2 * last, 2 * last);
        Ok(tally.total)
    }
}

/// Looks at every register that the live tokens of all cases that were not `met` should have.
async fn rebuild_cases(
    inner: &Arc<Inner>,
    mut met: Met,
    tally: &mut Tally,
    progress: impl Fn(u64),
) -> Result<()> {
    let lifecycles = inner.reader.storage.lifecycles().await?;
    // A case has a record for each time that somebody paused it, or added a token.
    let cases = lifecycles.filter(move |lifecycle| {
        let is_new = lifecycle.as_ref().map_or(true, |of| met.add(&of.workflow, &of.case));
        std::future::ready(is_new)
    });
    let looks = cases.chunks(CASES_AT_ONCE).map(|cases| {
        let inner = Arc::clone(inner);
        by_itself(async move { inner.views.look_at_cases(cases).await })
    });
    let mut looks = std::pin::pin!(looks.buffered(2));
    while let Some(look) = looks.next().await {
        let (at, repaired) = look?;
        for repaired in repaired {
            tally.add(repaired)?;
        }
        progress(at);
    }
    Ok(())
}

impl Views {
    /// Looks at all registers that the live tokens of cases should have. Returns the last sequence of
    /// their lifecycles.
    async fn look_at_cases(
        &self,
        cases: Vec<std::result::Result<Lifecycle, StorageError>>,
    ) -> Result<(u64, Vec<Result<Repaired>>)> {
        let (mut last, mut looks, mut workflows) = (0, Vec::new(), BTreeMap::<_, Vec<_>>::new());
        for lifecycle in cases {
            match lifecycle {
                Ok(Lifecycle { workflow, case, sequence }) => {
                    last = sequence.get();
                    workflows.entry(workflow).or_default().push(case);
                }
                Err(error @ StorageError::Corrupt { .. }) => looks.push(Err(error.into())),
                Err(error) => return Err(error.into()),
            }
        }
        for (workflow, cases) in &workflows {
            let (asked, heads) = (Instant::now(), self.reader.storage.heads(workflow, cases));
            let repairs = heads.map(|(case, head)| async move {
                let repaired = self.repair_known((workflow, &case), head?, asked).await;
                repaired.map(|repaired| Repaired { cases: 1, ..repaired })
            });
            let mut repairs = std::pin::pin!(repairs.buffer_unordered(AT_ONCE));
            while let Some(repaired) = repairs.next().await {
                looks.push(repaired);
            }
        }
        Ok((last, looks))
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
                    let case = case_named(&outline.workflow, &outline.token)?;
                    let of_case = (outline.workflow.clone(), case);
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
        let (unknown, mut workflows) = (tally.unknown, BTreeMap::<_, BTreeMap<_, _>>::new());
        for ((workflow, case), outlines) in items {
            workflows.entry(workflow).or_default().insert(case, outlines);
        }
        for (workflow, mut cases) in workflows {
            let ids: Vec<_> = cases.keys().cloned().collect();
            let heads = self.reader.storage.heads(&workflow, &ids);
            let looks = heads.map(|(case, head)| {
                let outlines = cases.remove(&case).unwrap_or_default();
                let item = ((workflow.clone(), case), outlines);
                async move {
                    let repaired = match head {
                        Ok(head) => self.judge_case(&item, head, unknown).await,
                        Err(error) => Err(error.into()),
                    };
                    (item, repaired)
                }
            });
            let mut looks = std::pin::pin!(looks.buffer_unordered(AT_ONCE));
            while let Some((item, repaired)) = looks.next().await {
                if let Err(Error::ViewsContended { .. }) = &repaired {
                    tally.contended.push(item);
                }
                tally.add(repaired)?;
            }
        }
        Ok(())
    }

    /// Looks at the view's registers of a case, whose last record was read after them. If any of them is wrong,
    /// the whole case is looked at: a token in one place may be missing in another.
    async fn judge_case(
        &self,
        (of_case, outlines): &Item,
        head: Option<Stored<Record>>,
        unknown: Unknown,
    ) -> Result<Repaired> {
        let (workflow, case) = of_case;
        let right = Right::of(head.as_ref());
        let wrong = outlines
            .iter()
            .filter(|outline| !right.has(&outline.token, &outline.place, outline.revision));
        let wrong: Vec<Key> =
            wrong.map(|outline| (outline.token.clone(), outline.place.clone())).collect();
        match (head, wrong.is_empty()) {
            (None, _) => self.settle_unknown(of_case, wrong, unknown).await,
            (Some(_), true) => Ok(Repaired::default()),
            (Some(_), false) => self.repair_case(workflow, case, wrong).await,
        }
    }

    /// Counts the registers of a case that the log has not got, or takes their tokens away. A record
    /// is in the log before its views: no record of this log has made these.
    pub(super) async fn settle_unknown(
        &self,
        (workflow, case): &(WorkflowId, CaseId),
        registers: Vec<Key>,
        unknown: Unknown,
    ) -> Result<Repaired> {
        let subject =
            |(token, place): &Key| self.reader.storage.token_subject(workflow, place, token);
        let unknown_subjects = first_named(registers.iter().map(subject));
        if unknown == Unknown::Kept {
            let unknown = registers.len() as u64;
            return Ok(Repaired { unknown, unknown_subjects, ..Repaired::default() });
        }
        let repaired = self.repair_case(workflow, case, registers).await?;
        Ok(Repaired { removed: repaired.mended, unknown_subjects, ..repaired })
    }
}

/// The places and versions of a case's live tokens, by its head.
pub(super) struct Right<'a> {
    at: Option<LogSequence>,
    entries: HashMap<&'a TokenId, &'a MarkingEntry>,
}

impl<'a> Right<'a> {
    pub(super) fn of(head: Option<&'a Stored<Record>>) -> Self {
        let marking = head.iter().flat_map(|head| &head.value.marking.0);
        let entries = marking.map(|entry| (&entry.token, entry)).collect();
        Self { at: head.map(|head| head.sequence), entries }
    }

    /// Returns true if the token is there in this version.
    pub(super) fn has(
        &self,
        token: &TokenId,
        place: &PlaceId,
        revision: Option<LogSequence>,
    ) -> bool {
        self.entries.get(token).is_some_and(|entry| {
            entry.place == *place && self.at.map(|at| entry.sequence_in(at)) == revision
        })
    }
}

/// The case of a register. It follows from the register's subject, not from its contents. For
/// a token's id that no case has given, the case's id is made of the token's, and no case has
/// that id.
pub(super) fn case_named(workflow: &WorkflowId, token: &TokenId) -> Result<CaseId> {
    match token.case() {
        Some((case, tag)) if workflow.tag() == tag => Ok(case),
        // The characters of a token's id are those of a case's.
        _ => {
            let id = token.as_str();
            Ok(CaseId::new(&id[..id.len().min(CaseId::MAX_LENGTH)])?)
        }
    }
}

/// Way with tokens whose case the log has not got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unknown {
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

    /// The way with tokens whose case the log has not got.
    pub(super) fn unknown(&self) -> Unknown {
        self.unknown
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
