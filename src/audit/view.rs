//! The registers of the view compared with the heads of their cases.

use std::{collections::HashSet, time::Instant};

use super::{Auditor, Finding, FindingIn, FindingKind};
use crate::{
    models::{
        Case, CaseId, LogSequence, MarkingEntry, PlaceId, Record, Stored, TokenId, ViewSequence,
        WorkflowId,
    },
    petrel::{
        Result,
        read::turn::Purpose,
        views::repair::{is_wrong, same},
        views::settled::MENDED_AFTER,
    },
    storage::{Consistency, Register, RegisterState},
};

/// Number of looks at a register that is wrong in another way each time.
const MOST_LOOKS: u32 = 8;

/// A register to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Spot {
    pub workflow: WorkflowId,
    pub case: CaseId,
    pub place: PlaceId,
    pub token: TokenId,
}

/// A register that says something else than the log, perhaps only for a moment: its writer may
/// be about to write it.
#[derive(Debug)]
pub(super) struct Suspicion {
    spot: Spot,
    difference: Difference,
    seen: Instant,
    looks: u32,
}

/// Difference of a register from the log.
#[derive(Debug, Clone, PartialEq)]
struct Difference {
    finding: Finding,
    /// The log sequence of the record since which it is so, at the latest.
    since: Option<LogSequence>,
    /// The log sequence of the record that put the token where it is, if it is alive.
    arrived: Option<LogSequence>,
    /// Sequence of the register's last write.
    register: Option<ViewSequence>,
}

impl Spot {
    pub(super) fn of(register: &Register, case: CaseId) -> Self {
        let (workflow, place) = (register.workflow.clone(), register.place.clone());
        Self { workflow, case, place, token: register.token.clone() }
    }

    /// The register in which a live token of a case must be.
    pub(super) fn at(entry: &MarkingEntry, case: &Case) -> Self {
        let (workflow, place) = (case.workflow.clone(), entry.place.clone());
        Self { workflow, case: case.id.clone(), place, token: entry.token.clone() }
    }
}

impl Suspicion {
    fn of(spot: Spot, difference: Difference) -> Self {
        Self { spot, difference, seen: Instant::now(), looks: 1 }
    }
}

impl Difference {
    /// Returns true if nothing has happened to the token and its register since the other
    /// look.
    fn is(&self, other: &Self) -> bool {
        let key = |one: &Self| (one.finding.kind, one.arrived, one.register);
        key(self) == key(other)
    }
}

impl Auditor<'_> {
    /// Registers of the view, which were read before the head of their case.
    pub(super) async fn registers_of(
        &self,
        case: &CaseId,
        head: Option<Stored<Record>>,
        registers: &[Register],
    ) -> Result<Vec<Suspicion>> {
        let state = match head {
            Some(head) => {
                let tokens = registers.iter().map(|register| register.token.clone()).collect();
                Some(self.reader.restore_some(head, &tokens, Purpose::Upkeep).await?)
            }
            None => None,
        };
        let mut suspicions = Vec::new();
        for register in registers {
            let spot = Spot::of(register, case.clone());
            suspicions.extend(self.compare(state.as_ref(), &spot, register).await?);
        }
        Ok(suspicions)
    }

    /// Compares a register with its case. If they agree the register is right, in any order of
    /// the two reads; otherwise it is looked at again.
    pub(super) async fn compare(
        &self,
        case: Option<&Case>,
        spot: &Spot,
        register: &Register,
    ) -> Result<Option<Suspicion>> {
        match differs(case, spot, register) {
            Some(_) => self.look(spot).await,
            None => Ok(None),
        }
    }

    /// Looks at a register. A fault since a settled record is found at once; any other is a
    /// suspicion.
    pub(super) async fn look(&self, spot: &Spot) -> Result<Option<Suspicion>> {
        let Some(difference) = self.difference(spot).await? else { return Ok(None) };
        if difference.since <= self.settled() {
            // Between reading the log and reading the view much may have happened.
            match self.difference(spot).await? {
                Some(again) if again.is(&difference) => self.found(again.finding),
                None => {}
                Some(other) => return Ok(Some(Suspicion::of(spot.clone(), other))),
            }
            return Ok(None);
        }
        Ok(Some(Suspicion::of(spot.clone(), difference)))
    }

    /// Waits until the reconciler would have mended each suspicion, and looks again: the same
    /// difference once more is a finding.
    pub(super) async fn resolve(&self, suspicions: Vec<Suspicion>) -> Result<()> {
        let mut todo = suspicions;
        while !todo.is_empty() {
            let mut again = Vec::new();
            for mut suspicion in std::mem::take(&mut todo) {
                let age = suspicion.seen.elapsed();
                tokio::time::sleep(MENDED_AFTER.saturating_sub(age)).await;
                match self.difference(&suspicion.spot).await {
                    Ok(None) => {}
                    Ok(Some(now)) if now.is(&suspicion.difference) => self.found(now.finding),
                    Ok(Some(now)) if suspicion.looks == MOST_LOOKS => {
                        let Finding { workflow, case, .. } = &now.finding;
                        let token = &suspicion.spot.token;
                        let reason = format!("the view of token {token} changes all the time");
                        self.unchecked_case(workflow, case, &reason);
                    }
                    Ok(Some(now)) => {
                        suspicion.difference = now;
                        suspicion.seen = Instant::now();
                        suspicion.looks += 1;
                        again.push(suspicion);
                    }
                    Err(error) => {
                        let Spot { workflow, case, .. } = &suspicion.spot;
                        self.failed(workflow, case, error)?;
                    }
                }
            }
            todo = again;
        }
        Ok(())
    }

    async fn difference(&self, spot: &Spot) -> Result<Option<Difference>> {
        let Spot { workflow, place, token, .. } = spot;
        // The log first: what is newer in the view than this is not wrong.
        let before = self.case_with(spot).await?;
        let register = self.reader.storage.register(workflow, place, token).await?;
        let is_newer = match &before {
            Some(before) => register.state.revision() > Some(before.sequence),
            None => !matches!(register.state, RegisterState::Empty),
        };
        // Then the log has to have it by now.
        let state = match is_newer {
            true => self.case_with(spot).await?,
            false => before,
        };
        let Some(mut difference) = differs(state.as_ref(), spot, &register) else {
            return Ok(None);
        };
        if let Some(state) = &state
            && let Some(entry) = state.marking.entry(token)
            && difference.finding.kind == FindingKind::TokenMisplaced
        {
            let there = self.reader.storage.register(workflow, &entry.place, token).await?;
            if !is_wrong(state, &there) {
                difference.finding.kind = FindingKind::TokenDoubled;
            }
        }
        Ok(Some(difference))
    }

    /// The case as the log has it now, with no other token than this one: few records are
    /// read, for any number of tokens.
    async fn case_with(&self, spot: &Spot) -> Result<Option<Case>> {
        let Spot { workflow, case, token, .. } = spot;
        let head = self.reader.storage.head(workflow, case, Consistency::Strong).await?;
        let Some(head) = head else { return Ok(None) };
        self.reader
            .restore_some(head, &HashSet::from([token.clone()]), Purpose::Upkeep)
            .await
            .map(Some)
    }
}

fn differs(case: Option<&Case>, spot: &Spot, register: &Register) -> Option<Difference> {
    let revision = register.state.revision();
    let entry = case.and_then(|case| case.marking.entry(&spot.token));
    let head = case.map(|case| case.sequence);
    let place = &spot.place;
    let (kind, sequence, message) = match (case, &register.state) {
        (None, RegisterState::Empty | RegisterState::Gone { .. }) => return None,
        (None, _) => {
            let message = "the view has a token of a case that the log has not got".to_owned();
            (FindingKind::TokenUnknown, revision, message)
        }
        (Some(case), _) if revision > head => {
            let message = format!(
                "the view has it from record {}, and the case's last one is {}",
                number(revision),
                case.sequence
            );
            (FindingKind::RecordMissing, revision, message)
        }
        (Some(case), state) => {
            is_wrong(case, register).then_some(())?;
            let here = entry.filter(|entry| entry.place == *place);
            let right = here.and_then(|_| case.tokens.get(&spot.token));
            let sequence = entry.map_or(head, |entry| entry.sequence);
            let (kind, message) = match (right, entry, state) {
                (_, _, RegisterState::Unreadable { reason }) => {
                    (FindingKind::TokenChanged, format!("the view can't be read: {reason}"))
                }
                (Some(right), _, RegisterState::Live(seen)) if !same(right, seen) => {
                    (FindingKind::TokenChanged, changed(sequence, seen.nats_sequence))
                }
                (Some(_), _, _) => {
                    let message = format!("the token is in {place}, and the view has not got it");
                    (FindingKind::TokenLost, message)
                }
                (None, Some(entry), _) => {
                    let message =
                        format!("the view has the token in {place}; it is in {}", entry.place);
                    (FindingKind::TokenMisplaced, message)
                }
                (None, None, _) if spot.token.number().is_some_and(|n| n <= case.tokens_made) => {
                    let message =
                        format!("the view has the token in {place}, and it has been taken");
                    (FindingKind::TokenDoubled, message)
                }
                (None, None, _) => {
                    let message = format!("the view has a token in {place} that nothing has made");
                    (FindingKind::TokenUnknown, message)
                }
            };
            (kind, sequence, message)
        }
    };
    let finding = Finding {
        kind,
        place_of: FindingIn::View,
        workflow: spot.workflow.clone(),
        case: spot.case.clone(),
        sequence,
        place: Some(place.clone()),
        token: Some(spot.token.clone()),
        message,
    };
    // A token that is alive is where it is since its entry's record; one that is not has been
    // taken by the head at the latest.
    let since = entry.map_or(head, |entry| entry.sequence);
    let arrived = entry.and_then(|entry| entry.sequence);
    Some(Difference { finding, since, arrived, register: register.sequence })
}

fn changed(right: Option<LogSequence>, seen: Option<LogSequence>) -> String {
    let (is_same, right) = (seen == right, number(right));
    match is_same {
        true => format!("the view has other contents than record {right}"),
        false => {
            let seen = number(seen);
            format!("the view has the token from record {seen}; the log, from {right}")
        }
    }
}

/// A sequence as it is shown; a view's message that some other program wrote may have none.
fn number(sequence: Option<LogSequence>) -> String {
    sequence.map_or_else(|| "unknown".to_owned(), |sequence| sequence.to_string())
}
