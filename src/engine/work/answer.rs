//! The record that ends a work item by an answer: its activity fires.

use serde_json::Value;

use super::{
    hand::{HandOver, hand_over},
    item::{Claim, Found, Refused, find},
    stop::in_record,
};
use crate::engine::{
    Act, Blocker, Bounds, Net,
    binding::View,
    cascade::{NotMade, conclude},
    draft::Draft,
    fire::{Ask, NotProduced, draft_of, produce},
    record::next_record,
    waiting::{bound, mode_of},
};
use crate::models::{Answer, Case, Failure, OutcomeId, Record, RecordKind, Work};

/// The answer of a worker, or of somebody in its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Answered {
    /// The outcome; `None` if the activity has one or none.
    pub outcome: Option<OutcomeId>,
    /// The result: any JSON value.
    pub result: Value,
    /// The request for a next item of the case; `None` if none is wanted.
    pub hand_over: Option<HandOver>,
}

/// Decides the end of a work item by an answer, and the cascade after it. Where the activity can't fire
/// now, the answer is stored, and it fires as soon as it can.
pub fn complete(
    net: &Net,
    case: &Case,
    claim: Claim,
    answer: Answered,
    act: &Act,
    bounds: Bounds<'_>,
) -> Result<Record, Refused> {
    let found = find(net, case, claim.item)?;
    found.must_hold(claim)?;
    let outcome = outcome_of(&found, answer.outcome)?;
    let over = answer.hand_over.filter(|_| claim.number.is_some());
    let answer = Answer { outcome, result: answer.result };
    let mut record = end_with(net, case, &found, (claim, answer, None), act, bounds)?;
    if let Some(over) = &over {
        hand_over(net, case, &mut record, over, act, bounds.limits);
    }
    Ok(record)
}

/// The outcome by which an item ends.
fn outcome_of(found: &Found<'_>, named: Option<OutcomeId>) -> Result<Option<OutcomeId>, Refused> {
    let outcomes = &found.activity.outcomes;
    match (named, &outcomes[..]) {
        (None, []) => Ok(None),
        (None, [only]) => Ok(Some(only.id.clone())),
        (Some(named), all) if all.iter().any(|of| of.id == named) => Ok(Some(named)),
        _ => Err(Refused::Outcome { outcomes: outcomes.iter().map(|of| of.id.clone()).collect() }),
    }
}

/// The end of an item with an answer, which may come of a failure.
pub(super) fn end_with(
    net: &Net,
    case: &Case,
    found: &Found<'_>,
    (claim, answer, failure): (Claim, Answer, Option<Failure>),
    act: &Act,
    bounds: Bounds<'_>,
) -> Result<Record, Refused> {
    let work = Work { outcome: answer.outcome.clone(), failure, ..found.work(claim) };
    match fired(net, case, found, &answer, act, bounds) {
        Ok(mut draft) => {
            draft.record.items.retain(|item| item.number != claim.item);
            draft.record.work = Some(work);
            Ok(conclude(net, draft, bounds)?)
        }
        Err(NotProduced::Excess(excess)) => Err(NotMade::Excess(excess).into()),
        Err(NotProduced::Output(blocker)) if blocker.ran_out().is_some() => {
            Err(NotMade::Late.into())
        }
        // It fires once there is room, or once its output succeeds.
        Err(NotProduced::Output(_)) => {
            let mut draft = Draft::new(Some(case), next_record(case, RecordKind::Completed, act));
            if let Some(item) = in_record(&mut draft.record, claim.item) {
                (item.done, item.running, item.wait) = (Some(answer), None, None);
            }
            draft.record.work = Some(work);
            Ok(conclude(net, draft, bounds)?)
        }
    }
}

/// The firing with an answer, or the reason that it can't fire now.
fn fired<'c>(
    net: &Net,
    case: &'c Case,
    found: &Found<'_>,
    answer: &Answer,
    act: &Act,
    Bounds { limits, budget }: Bounds<'_>,
) -> Result<Draft<'c>, NotProduced> {
    let view = View::new(net, case, act.now, budget);
    let blank = Draft::new(Some(case), next_record(case, RecordKind::Fired, act));
    let gone = || Blocker::Status { status: case.status };
    let mode = mode_of(&view, found.transition, found.item, answer.outcome.as_ref());
    let mode = mode.ok_or_else(|| NotProduced::Output(gone()))?;
    let binding = bound(&view, &blank, found.transition, mode, found.item)
        .ok_or_else(|| NotProduced::Output(gone()))?
        .map_err(|blockers| NotProduced::Output(blockers.into_iter().next().unwrap_or(gone())))?;
    let ask = Ask {
        transition: found.transition,
        mode,
        act,
        data: None,
        result: Some(&answer.result),
        limits,
        marked: case.marking.0.len(),
        alone: None,
    };
    let given = produce(&view, &ask, binding, case.tokens_made)?;
    Ok(draft_of(case, given, act))
}
