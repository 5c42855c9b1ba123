//! The record that begins a work item: the claim.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use super::{
    answer::end_with,
    item::{Claim, Found, Refused, alone, find, stopped},
    stop::{as_result, in_record, stop},
};
use crate::engine::{
    Act, Bounds, Budget, Net,
    binding::View,
    cascade::NotMade,
    draft::Draft,
    record::next_record,
    waiting::{merged, modes_of, takes},
};
use crate::models::{
    Answer, Case, CaseStatus, Ended, Failure, IncidentCode, Item, Record, RecordKind, Wait, Work,
};

/// A start of a work item.
#[derive(Debug, Clone, Copy)]
pub struct Begin {
    /// Number of the item in its case.
    pub item: u64,
    /// The last claim whose worker is not heard of any more, if it did not end: its attempt is lost.
    pub over: Option<u64>,
    /// True if that attempt got on, by the journal of its item: it is lost, and does not count as one that was lost.
    pub got_on: bool,
    /// True if what it waits for has come, by the journal of its item.
    pub answered: bool,
    /// The time for which the claim is left alone without a sign of life, if its worker says one.
    pub lease: Option<TimeDelta>,
}

/// A start that is decided.
#[derive(Debug, Clone, PartialEq)]
pub struct Begun {
    /// The record to append.
    pub record: Record,
    /// The input of the attempt; `None` if it can't begin, and the record says why.
    pub input: Option<Value>,
}

/// Decides the start of an attempt by the worker of `act`.
pub fn begin(
    net: &Net,
    case: &Case,
    Begin { item, over, got_on, answered, lease }: Begin,
    act: &Act,
    Bounds { limits, budget }: Bounds<'_>,
) -> Result<Begun, Refused> {
    let found = find(net, case, item)?;
    let Found { item, activity, .. } = found;
    let is_lost = may_begin(case, item, (over, answered), act.now)?;
    let input = {
        let mut view = View::new(net, case, act.now, budget);
        view.budget = budget.clone();
        input(&view, case, &found)
    };
    if budget.ran_out().is_some() {
        return Err(NotMade::Late.into());
    }
    let counts = is_lost && !got_on;
    let lost = item.lost + u64::from(counts);
    let is_too_often = counts && lost >= activity.policy.lost;
    let input = match (is_too_often, input) {
        (false, Ok(input)) => input,
        (true, _) => {
            let message = format!("{lost} workers were lost while they carried it out");
            let why = (Failure::LOST, message, IncidentCode::WorkLost);
            return not_begun(net, case, &found, (lost, why), act, Bounds { limits, budget });
        }
        (false, Err(message)) => {
            let why = (Failure::INPUT_FAILED, message, IncidentCode::InputFailed);
            return not_begun(net, case, &found, (lost, why), act, Bounds { limits, budget });
        }
    };
    let mut draft = Draft::new(Some(case), next_record(case, RecordKind::Begun, act));
    draft.record.work = Some(Work {
        claim: Some(item.claim + 1),
        attempt: item.attempt + 1,
        ended: is_lost.then_some(Ended::Lost),
        ..found.work(Claim { item: item.number, number: None })
    });
    let after = in_record(&mut draft.record, item.number).ok_or(Refused::Over)?;
    (after.lost, after.wait) = (lost, None);
    (after.claim, after.attempt) = (after.claim + 1, after.attempt + 1);
    after.run(act, lease);
    Ok(Begun { record: alone(net, draft, limits)?, input: Some(input) })
}

/// The record of an item that can't begin: it ends by the outcome to which the failure's code is mapped, or
/// waits for a person. No attempt is counted, and the answer of the last claim would still count.
fn not_begun(
    net: &Net,
    case: &Case,
    found: &Found<'_>,
    (lost, (code, message, incident)): (u64, (&str, String, IncidentCode)),
    act: &Act,
    bounds: Bounds<'_>,
) -> Result<Begun, Refused> {
    let claim = Claim { item: found.item.number, number: None };
    let failure = Failure { code: code.to_owned(), message, is_final: true, ..Failure::default() };
    if let Some(outcome) = found.activity.outcome_of(code) {
        let (outcome, result) = (Some(outcome.clone()), as_result(&failure));
        let end = (claim, Answer { outcome, result }, Some(failure));
        return Ok(Begun { record: end_with(net, case, found, end, act, bounds)?, input: None });
    }
    let mut draft = Draft::new(Some(case), next_record(case, RecordKind::Failed, act));
    let (number, ended) = (Some(found.item.claim).filter(|claim| *claim > 0), None);
    draft.record.work = Some(Work { claim: number, ended, ..found.work(claim) });
    let after = in_record(&mut draft.record, claim.item).ok_or(Refused::Over)?;
    (after.lost, after.wait) = (lost, None);
    if incident == IncidentCode::InputFailed {
        after.running = None;
    }
    stop(&mut draft.record, claim.item, incident, failure);
    Ok(Begun { record: alone(net, draft, bounds.limits)?, input: None })
}

/// Refuses an item that is not to begin. Returns true if an attempt at it is lost thereby.
fn may_begin(
    case: &Case,
    item: &Item,
    (over, answered): (Option<u64>, bool),
    now: DateTime<Utc>,
) -> Result<bool, Refused> {
    if case.status == CaseStatus::Paused {
        return Err(Refused::Paused);
    }
    if item.done.is_some() {
        return Err(Refused::Done);
    }
    if let Some(incident) = stopped(case, item) {
        return Err(Refused::Stopped(incident.clone()));
    }
    let is_over = |wait: &&Wait| wait.until <= now || (answered && wait.answers);
    if let Some(wait) = item.wait.as_ref().filter(|wait| !is_over(wait)) {
        return Err(Refused::NotYet { until: wait.until, answers: wait.answers });
    }
    let is_lost = item.running.is_some();
    match is_lost && over != Some(item.claim) {
        true => Err(Refused::Taken { claim: item.claim }),
        false => Ok(is_lost),
    }
}

/// The input of an attempt at an open item, by the data that its tokens have in `case`.
///
/// # Errors
///
/// The reason in words that there is none.
pub fn input_of(net: &Net, case: &Case, item: &Item, now: DateTime<Utc>) -> Result<Value, String> {
    let found = find(net, case, item.number).map_err(|_| "its item is over".to_owned())?;
    let budget = Budget::default();
    let mut view = View::new(net, case, now, &budget);
    view.budget = budget.clone();
    input(&view, case, &found)
}

/// The input of an attempt that begins now.
fn input(view: &View<'_>, case: &Case, found: &Found<'_>) -> Result<Value, String> {
    let tokens = found.item.tokens.iter().filter_map(|at| case.tokens.get(&at.token));
    let tokens: Vec<_> = tokens.map(AsRef::as_ref).collect();
    let mode = modes_of(view, found.transition, found.item).next();
    let taken = mode.map_or(tokens.len(), takes).min(tokens.len());
    found.activity.input(&view.scope(&tokens), merged(&tokens[..taken]))
}
