//! The record that begins a work item: the claim.

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{
    item::{Found, Refused, alone, find, stopped},
    stop::{in_record, stop},
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
    Case, CaseStatus, Ended, Failure, IncidentCode, Item, Record, RecordKind, Work,
};

/// A start of a work item.
#[derive(Debug, Clone, Copy)]
pub struct Begin {
    /// Number of the item in its case.
    pub item: u64,
    /// The last claim whose worker is not heard of any more, if it did not end: its attempt is lost.
    pub over: Option<u64>,
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
    Begin { item, over }: Begin,
    act: &Act,
    Bounds { limits, budget }: Bounds<'_>,
) -> Result<Begun, Refused> {
    let found = find(net, case, item)?;
    let Found { item, activity, .. } = found;
    if case.status == CaseStatus::Paused {
        return Err(Refused::Paused);
    }
    if item.done.is_some() {
        return Err(Refused::Done);
    }
    if let Some(incident) = stopped(case, item) {
        return Err(Refused::Stopped(incident.clone()));
    }
    if let Some(wait) = item.wait.as_ref().filter(|wait| wait.until > act.now) {
        return Err(Refused::NotYet { until: wait.until });
    }
    let is_lost = item.running.is_some();
    if is_lost && over != Some(item.claim) {
        return Err(Refused::Taken { claim: item.claim });
    }
    let input = {
        let mut view = View::new(net, case, act.now, budget);
        view.budget = budget.clone();
        input(&view, case, &found)
    };
    if budget.ran_out().is_some() {
        return Err(NotMade::Late.into());
    }
    let lost = item.lost + u64::from(is_lost);
    let is_too_often = is_lost && lost >= activity.policy.lost;
    let kind = match input.is_err() || is_too_often {
        true => RecordKind::Failed,
        false => RecordKind::Begun,
    };
    let mut draft = Draft::new(Some(case), next_record(case, kind, act));
    let record = &mut draft.record;
    record.work = Some(Work {
        item: item.number,
        claim: Some(item.claim + 1),
        attempt: item.attempt + 1,
        transition: item.transition.clone(),
        outcome: None,
        failure: None,
        ended: is_lost.then_some(Ended::Lost),
        next: None,
    });
    let Some(after) = in_record(record, item.number) else { return Err(Refused::Over) };
    after.lost = lost;
    after.wait = None;
    if is_too_often {
        // Nothing begins: the last claim may still be answered.
        let message = format!("{lost} workers were lost while they carried it out");
        let failure = Failure { code: Failure::LOST.to_owned(), message, ..Failure::default() };
        if let Some(work) = &mut record.work {
            (work.claim, work.attempt, work.ended) = (Some(item.claim), item.attempt, None);
        }
        stop(record, item.number, IncidentCode::WorkLost, failure);
        return Ok(Begun { record: alone(net, draft, limits)?, input: None });
    }
    after.claim += 1;
    after.attempt += 1;
    after.run(act);
    let input = match input {
        Ok(input) => Some(input),
        Err(message) => {
            after.running = None;
            let code = Failure::INPUT_FAILED.to_owned();
            let failure = Failure { code, message, is_final: true, ..Failure::default() };
            stop(record, item.number, IncidentCode::InputFailed, failure);
            None
        }
    };
    Ok(Begun { record: alone(net, draft, limits)?, input })
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
