//! Making registers of the view say what the log says.

use std::time::Instant;

use super::{Error, Inner, Result};
use crate::{
    models::{Case, CaseId, PlaceId, Record, Token, TokenId, WorkflowId},
    storage::{Register, RegisterState, ViewContent, ViewOutcome, ViewWrite},
};

/// How many times a register is tried while others write it too.
const MOST_RACES: u32 = 16;

/// What a repair did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Repaired {
    /// Cases looked at.
    pub cases: u64,
    /// Registers that were wrong and have been written.
    pub mended: u64,
    /// Cases that could not be read; each was logged with its subject and sequence.
    pub failed: u64,
}

impl std::ops::AddAssign for Repaired {
    fn add_assign(&mut self, other: Self) {
        self.cases += other.cases;
        self.mended += other.mended;
        self.failed += other.failed;
    }
}

impl Inner {
    /// Compares these registers of a case with its log, and writes those that are wrong.
    /// Answers how many there were.
    pub(super) async fn repair(
        &self,
        workflow: &WorkflowId,
        case: &CaseId,
        registers: Vec<(TokenId, PlaceId)>,
    ) -> Result<u64> {
        loop {
            let read_at = Instant::now();
            let Some((_, state)) = self.load(workflow, case).await? else { return Ok(0) };
            let mut mended = 0;
            for (token, place) in &registers {
                mended += u64::from(self.mend(&state, token, place).await?);
            }
            // Later than this a marker that would have stopped a wrong write may be gone.
            if read_at.elapsed() <= self.storage.late_after() {
                return Ok(mended);
            }
        }
    }

    /// Every register that a case's live tokens should have.
    pub(super) async fn repair_case(&self, workflow: &WorkflowId, case: &CaseId) -> Result<u64> {
        let Some((_, state)) = self.load(workflow, case).await? else { return Ok(0) };
        let live = state.marking.0.into_iter().map(|entry| (entry.token, entry.place));
        self.repair(workflow, case, live.collect()).await
    }

    /// Takes away what stands in a register for a case that the log does not have, unless
    /// somebody has written there since. Answers how many registers that were.
    pub(super) async fn clear(&self, register: Register, case: CaseId) -> Result<u64> {
        let revision = register.state.revision();
        let write = ViewWrite {
            workflow: register.workflow,
            case,
            place: register.place,
            token: register.token,
            expected: register.sequence,
            content: ViewContent::Gone { revision, moved_to: None },
        };
        for outcome in self.storage.write_views(vec![write]).await {
            if let ViewOutcome::Written(_) = outcome? {
                self.metrics.view_mended();
                return Ok(1);
            }
        }
        Ok(0)
    }

    async fn mend(&self, case: &Case, token: &TokenId, place: &PlaceId) -> Result<bool> {
        for _ in 0..MOST_RACES {
            let register = self.storage.register(&case.workflow, place, token).await?;
            let Some(content) = correction(case, &register) else { return Ok(false) };
            let write = ViewWrite {
                workflow: case.workflow.clone(),
                case: case.id.clone(),
                place: place.clone(),
                token: token.clone(),
                expected: register.sequence,
                content,
            };
            for outcome in self.storage.write_views(vec![write]).await {
                if let ViewOutcome::Written(_) = outcome? {
                    self.metrics.view_mended();
                    return Ok(true);
                }
            }
        }
        let what = format!("the view of token {token} in place {place}");
        Err(Error::Conflict { what, expected: case.sequence, actual: 0 })
    }
}

/// The registers that a record is about.
pub(super) fn touched(record: &Record) -> impl Iterator<Item = (TokenId, PlaceId)> + '_ {
    let left = record.consumed.iter().chain(&record.removed);
    let left = left.map(|at| (at.token.clone(), at.place.clone()));
    left.chain(record.produced.iter().map(|token| (token.id.clone(), token.place.clone())))
}

/// What a register should say and does not; `None` if it is right, or newer than the case.
pub(super) fn correction(case: &Case, register: &Register) -> Option<ViewContent> {
    let now = case.marking.entry(&register.token);
    let here = now.filter(|entry| entry.place == register.place);
    let live = here.and_then(|entry| case.tokens.get(&entry.token));
    match (live, &register.state) {
        (_, state) if state.revision() > case.sequence => None,
        (Some(token), RegisterState::Live(seen)) if same(token, seen) => None,
        (Some(token), RegisterState::Gone { revision }) if *revision > token.nats_sequence => None,
        (Some(token), _) => Some(ViewContent::Live(token.clone())),
        (None, RegisterState::Live(_) | RegisterState::Unreadable { .. }) => {
            Some(ViewContent::Gone {
                revision: case.sequence,
                moved_to: now.map(|entry| entry.place.clone()),
            })
        }
        (None, _) => None,
    }
}

/// The same version with the same contents, wherever it was read.
pub(super) fn same(one: &Token, other: &Token) -> bool {
    let plain = |token: &Token| {
        let mut token = token.clone();
        token.nats_timestamp = None;
        token
    };
    one.nats_sequence == other.nats_sequence && plain(one) == plain(other)
}
