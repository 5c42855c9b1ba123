//! Repair of registers of the view, so that they agree with the log.
//!
//! A record is in the log before its views are written, so a register is judged by a head that
//! was read after it: a register's record that this head does not know is no record of this
//! log. Each write expects the sequence that was read, so no writer is undone meanwhile.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
    time::Instant,
};

use tokio::sync::SemaphorePermit;

use crate::petrel::{
    Error, Result,
    read::{narrowed::narrowed, turn::Purpose},
    views::{Views, unseen::Key},
};
use crate::{
    models::{Case, CaseId, LogSequence, MarkingEntry, Record, Stored, Token, TokenId, WorkflowId},
    storage::{
        Consistency, Register, RegisterState, StorageError, ViewContent, ViewOutcome, ViewWrite,
        WriteOptions,
    },
};

/// Number of times that a register is tried while others write it too, or while it takes too
/// long.
const MOST_ROUNDS: u32 = 16;

/// Numbers of registers that are read together, and written together.
const READ_AT_ONCE: usize = 512;
const WRITTEN_AT_ONCE: usize = 64;

/// The number of registers from which on a case takes its turn with others of that size.
const LARGE: usize = 256;

/// Numbers of a repair.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Repaired {
    /// Number of cases looked at.
    pub cases: u64,
    /// Number of registers that were wrong and have been written.
    pub mended: u64,
    /// Number of those that came from a record after the last one that the log has of their
    /// case: the log has gone back, or is another one.
    pub ahead: u64,
    /// Number of cases that could not be read or mended; each was logged with its error.
    pub failed: u64,
    /// Number of those that could not be reached, or were changed by others all the time: tried
    /// again they may not fail.
    #[serde(skip)]
    pub unsettled: u64,
    /// Number of registers with tokens of workflows or cases that the log has not got, which
    /// were left alone.
    pub unknown: u64,
    /// Number of registers of that kind that have been taken away; they are among the mended.
    pub removed: u64,
    /// The first of their subjects, in the order of the alphabet: two runs name the same ones.
    pub unknown_subjects: Vec<String>,
}

/// Number of registers that the log has not got that are named.
const UNKNOWN_NAMED: usize = 10;

impl std::ops::AddAssign for Repaired {
    fn add_assign(&mut self, other: Self) {
        self.cases += other.cases;
        self.mended += other.mended;
        self.ahead += other.ahead;
        self.failed += other.failed;
        self.unsettled += other.unsettled;
        self.unknown += other.unknown;
        self.removed += other.removed;
        if !other.unknown_subjects.is_empty() {
            let both = std::mem::take(&mut self.unknown_subjects).into_iter();
            self.unknown_subjects = first_named(both.chain(other.unknown_subjects));
        }
    }
}

/// The first of the subjects, in the order of the alphabet, as many as are named.
pub(in crate::petrel) fn first_named(subjects: impl Iterator<Item = String>) -> Vec<String> {
    let mut subjects: Vec<String> = subjects.collect();
    subjects.sort_unstable();
    subjects.truncate(UNKNOWN_NAMED);
    subjects
}

/// The log's word on a case, or on some of its tokens.
struct Truth<'a> {
    workflow: &'a WorkflowId,
    id: &'a CaseId,
    /// The known tokens; all of them where absent.
    only: Option<HashSet<TokenId>>,
    /// Purpose for which the log is asked.
    purpose: Purpose,
    /// `None` if the log has no such case.
    case: Option<Case>,
    /// The turn of a large case: only so many are there at once.
    turn: Option<SemaphorePermit<'a>>,
    /// Places of the live tokens, as indexes into the case's marking.
    places: HashMap<TokenId, usize>,
    /// Time at which the log was asked.
    read: Instant,
    /// Error of the first register that can't be written.
    refused: Option<StorageError>,
}

impl<'a> Truth<'a> {
    /// A truth of which nothing is known yet.
    fn of(workflow: &'a WorkflowId, id: &'a CaseId, only: Option<HashSet<TokenId>>) -> Self {
        let (case, turn, places, read) = (None, None, HashMap::new(), Instant::now());
        let purpose = Purpose::Upkeep;
        Self { workflow, id, only, purpose, case, turn, places, read, refused: None }
    }

    /// A truth about the tokens of these registers only.
    fn some(workflow: &'a WorkflowId, id: &'a CaseId, registers: &[Key]) -> Self {
        let tokens = registers.iter().map(|(token, _)| token.clone()).collect();
        Self::of(workflow, id, Some(tokens))
    }

    /// Adds a failure to the numbers, if something could not be written.
    fn told_of(self, repaired: Repaired) -> Repaired {
        let Some(error) = self.refused else { return repaired };
        let (workflow, case) = (self.workflow, self.id);
        tracing::warn!(%workflow, %case, %error, "a view can't be written; the others are");
        let unsettled = repaired.unsettled + u64::from(error.retryable());
        Repaired { failed: repaired.failed + 1, unsettled, ..repaired }
    }

    fn sequence(&self) -> Option<LogSequence> {
        self.case.as_ref().map(|case| case.sequence)
    }

    fn entry(&self, token: &TokenId) -> Option<&MarkingEntry> {
        self.case.as_ref()?.marking.0.get(*self.places.get(token)?)
    }

    fn correction(&self, register: &Register) -> Option<ViewContent> {
        let case = self.case.as_ref();
        let entry = self.entry(&register.token);
        let token = case.and_then(|case| case.tokens.get(&register.token));
        correction(self.sequence(), entry, token, register)
    }
}

impl Views {
    /// Compares these registers of a case with its log, and writes those that are wrong.
    /// Returns the number of those. A change waits for it.
    pub(in crate::petrel) async fn repair(
        &self,
        workflow: &WorkflowId,
        case: &CaseId,
        registers: Vec<Key>,
    ) -> Result<u64> {
        let some = Truth::some(workflow, case, &registers);
        let mut truth = Truth { purpose: Purpose::Change, ..some };
        let repaired = self.refresh_and_mend(&mut truth, registers).await?;
        truth.refused.map_or(Ok(repaired.mended), |refused| Err(refused.into()))
    }

    /// Does the same with a head that has been asked for at `asked`, for those who go on past a register
    /// that can't be written.
    pub(in crate::petrel) async fn repair_some(
        &self,
        (workflow, case): (&WorkflowId, &CaseId),
        (head, asked): (Option<Stored<Record>>, Instant),
        registers: Vec<Key>,
    ) -> Result<Repaired> {
        let mut truth = Truth { read: asked, ..Truth::some(workflow, case, &registers) };
        self.learn(&mut truth, head).await?;
        let repaired = self.mend(&mut truth, registers).await?;
        Ok(truth.told_of(repaired))
    }

    async fn refresh_and_mend<'a>(
        &'a self,
        truth: &mut Truth<'a>,
        registers: Vec<Key>,
    ) -> Result<Repaired> {
        let head = self.reader.storage.head(truth.workflow, truth.id, Consistency::Strong).await?;
        self.learn(truth, head).await?;
        self.mend(truth, registers).await
    }

    /// Compares every register that a case's live tokens should have, and `others`. Cases of
    /// many tokens take turns.
    pub(in crate::petrel) async fn repair_case(
        &self,
        workflow: &WorkflowId,
        case: &CaseId,
        others: Vec<Key>,
    ) -> Result<Repaired> {
        let truth = Truth::of(workflow, case, None);
        let head = self.reader.storage.head(workflow, case, Consistency::Strong).await?;
        self.repair_all(truth, head, others).await
    }

    /// Does the same for a case whose head has been asked for at `asked`.
    pub(super) async fn repair_known(
        &self,
        (workflow, case): (&WorkflowId, &CaseId),
        head: Option<Stored<Record>>,
        asked: Instant,
    ) -> Result<Repaired> {
        let truth = Truth { read: asked, ..Truth::of(workflow, case, None) };
        self.repair_all(truth, head, Vec::new()).await
    }

    async fn repair_all<'a>(
        &'a self,
        mut truth: Truth<'a>,
        head: Option<Stored<Record>>,
        others: Vec<Key>,
    ) -> Result<Repaired> {
        let tokens = head.as_ref().map_or(0, |head| head.value.marking.0.len());
        let _turn = match tokens + others.len() > LARGE {
            true => self.large_cases.acquire().await.ok(),
            false => None,
        };
        self.learn(&mut truth, head).await?;
        let marking = truth.case.iter().flat_map(|case| &case.marking.0);
        let live = marking.map(|entry| (entry.token.clone(), entry.place.clone()));
        let registers: BTreeSet<_> = live.chain(others).collect();
        let repaired = self.mend(&mut truth, registers.into_iter().collect()).await?;
        Ok(truth.told_of(repaired))
    }

    /// Asks the log again; for the tokens only if the case has changed.
    async fn refresh<'a>(&'a self, truth: &mut Truth<'a>) -> Result<()> {
        let read = Instant::now();
        let head = self.reader.storage.head(truth.workflow, truth.id, Consistency::Strong).await?;
        let known = truth.case.as_ref().map(|case| &case.head_hash);
        if known != head.as_ref().map(|head| &head.hash) {
            self.learn(truth, head).await?;
        }
        truth.read = read;
        Ok(())
    }

    async fn learn<'a>(
        &'a self,
        truth: &mut Truth<'a>,
        head: Option<Stored<Record>>,
    ) -> Result<()> {
        // First of all: it would wait for its own turn.
        (truth.case, truth.turn) = (None, None);
        if let Some(head) = head {
            let head = match &truth.only {
                None => head,
                Some(only) => narrowed(head, only),
            };
            let (case, turn) = self.reader.restore_held(&head, truth.purpose).await?;
            (truth.case, truth.turn) = (Some(case), turn);
        }
        let marking = truth.case.iter().flat_map(|case| &case.marking.0);
        let places = marking.enumerate().map(|(at, entry)| (entry.token.clone(), at));
        truth.places = places.collect();
        Ok(())
    }

    async fn mend<'a>(&'a self, truth: &mut Truth<'a>, registers: Vec<Key>) -> Result<Repaired> {
        let mut repaired = Repaired::default();
        for some in registers.chunks(READ_AT_ONCE) {
            repaired += self.mend_some(truth, some.to_vec()).await?;
        }
        if repaired.ahead > 0 {
            let (workflow, case, ahead) = (truth.workflow, truth.id, repaired.ahead);
            tracing::info!(
                %workflow, %case, ahead,
                "the view had tokens from later records than the log has: the log has gone \
                 back; they are mended, and `petrel rebuild` looks at all others"
            );
        }
        Ok(repaired)
    }

    async fn mend_some<'a>(
        &'a self,
        truth: &mut Truth<'a>,
        mut todo: Vec<Key>,
    ) -> Result<Repaired> {
        let (mut mended, mut ahead) = (BTreeSet::new(), BTreeSet::new());
        for _ in 0..MOST_ROUNDS {
            let registers = self.reader.storage.registers_of(truth.workflow, &todo).await?;
            let is_ahead = |truth: &Truth<'_>, register: &Register| {
                let revision = register.state.revision();
                revision > truth.sequence() && !matches!(register.state, RegisterState::Gone { .. })
            };
            // Newer than what is known here, or of no record: the log tells which.
            let is_newer = |register: &Register| register.state.revision() > truth.sequence();
            let is_stale = self.reader.storage.is_stale(truth.read);
            if registers.iter().any(is_newer) || is_stale {
                self.refresh(truth).await?;
            }
            todo.clear();
            let mut writes = Vec::new();
            for register in &registers {
                let Some(content) = truth.correction(register) else { continue };
                if is_ahead(truth, register) {
                    ahead.insert((register.token.clone(), register.place.clone()));
                }
                writes.push(ViewWrite {
                    workflow: truth.workflow.clone(),
                    case: truth.id.clone(),
                    place: register.place.clone(),
                    token: register.token.clone(),
                    expected: register.version(),
                    content,
                });
            }
            for writes in writes.chunks(WRITTEN_AT_ONCE) {
                let options = WriteOptions { log_read: truth.read };
                let outcomes = self.reader.storage.write_views(writes.to_vec(), options).await;
                for (write, outcome) in writes.iter().zip(outcomes) {
                    let key = (write.token.clone(), write.place.clone());
                    let outcome = match outcome {
                        Err(error @ StorageError::TooLarge { .. }) => {
                            truth.refused.get_or_insert(error);
                            continue;
                        }
                        outcome => outcome?,
                    };
                    if !matches!(outcome, ViewOutcome::Written(_)) {
                        todo.push(key.clone());
                    }
                    if outcome != ViewOutcome::LostRace && mended.insert(key) {
                        self.metrics.view_mended();
                    }
                }
            }
            if todo.is_empty() {
                ahead.retain(|key| mended.contains(key));
                let (mended, ahead) = (mended.len() as u64, ahead.len() as u64);
                return Ok(Repaired { mended, ahead, ..Repaired::default() });
            }
        }
        Err(Error::ViewsContended { case: truth.id.clone() })
    }
}

/// The right contents of a register that has others. `entry` and `token` are the log's facts
/// about the token after the case's record at `revision`, and the register was read before
/// that.
pub(super) fn correction(
    revision: Option<LogSequence>,
    entry: Option<&MarkingEntry>,
    token: Option<&Arc<Token>>,
    register: &Register,
) -> Option<ViewContent> {
    let is_here = entry.is_some_and(|entry| entry.place == register.place);
    match (token.filter(|_| is_here), &register.state) {
        (Some(token), RegisterState::Live(seen)) if same(token, seen) => None,
        (Some(token), _) => Some(ViewContent::Live(token.clone())),
        (None, RegisterState::Live(_) | RegisterState::Unreadable { .. }) => {
            let moved_to = entry.filter(|_| !is_here).map(|entry| entry.place.clone());
            Some(ViewContent::Gone { revision, moved_to })
        }
        (None, RegisterState::Empty | RegisterState::Gone { .. }) => None,
    }
}

/// Returns true if a register disagrees with the case, which was read after it.
pub(crate) fn is_wrong(case: &Case, register: &Register) -> bool {
    let (entry, token) = (case.marking.entry(&register.token), case.tokens.get(&register.token));
    correction(Some(case.sequence), entry, token, register).is_some()
}

/// The same version with the same contents, from any read: all but the time at which the view
/// has stored it.
pub(crate) fn same(one: &Token, other: &Token) -> bool {
    let Token {
        id,
        workflow,
        case,
        place,
        data,
        metadata,
        created_at,
        updated_at,
        history,
        history_total,
        nats_sequence,
        nats_timestamp: _,
        nats_subject,
    } = one;
    let (one_at, other_at) = ((created_at, updated_at), (&other.created_at, &other.updated_at));
    (nats_sequence, history_total, one_at) == (&other.nats_sequence, &other.history_total, other_at)
        && (id, workflow, case) == (&other.id, &other.workflow, &other.case)
        && (place, nats_subject) == (&other.place, &other.nats_subject)
        && (data, metadata, history) == (&other.data, &other.metadata, &other.history)
}
