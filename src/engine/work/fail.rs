//! Records of attempts that end without an answer that fires: failures, and what was given back.

use super::{
    answer::end_with,
    item::{Claim, Found, PutOff, Refused, alone, find, stopped},
    stop::{as_result, in_record, stop},
};
use crate::engine::{Act, Bounds, Net, draft::Draft, record::next_record, timing::whole};
use crate::models::{Answer, Case, Failure, IncidentCode, Record, RecordKind, Wait};

/// The shortest delay that is armed as a timer; whoever holds the item keeps a shorter one.
const ARMED_FROM: chrono::TimeDelta = chrono::TimeDelta::seconds(2);

/// Decides what follows a failed attempt: an outcome that its code is mapped to, another attempt, or an
/// incident.
pub fn fail(
    net: &Net,
    case: &Case,
    claim: Claim,
    failure: Failure,
    act: &Act,
    bounds: Bounds<'_>,
) -> Result<Record, Refused> {
    let found = find(net, case, claim.item)?;
    found.must_hold(claim)?;
    let Found { item, activity, .. } = found;
    if let (None, Some(incident)) = (claim.number, stopped(case, item)) {
        return Err(Refused::Stopped(incident.clone()));
    }
    if let Some(outcome) = activity.outcome_of(&failure.code) {
        let (outcome, result) = (Some(outcome.clone()), as_result(&failure));
        let answer = Answer { outcome, result };
        return end_with(net, case, &found, (claim, answer, Some(failure)), act, bounds);
    }
    let mut draft = Draft::new(Some(case), next_record(case, RecordKind::Failed, act));
    let record = &mut draft.record;
    record.work = Some(crate::models::Work { failure: Some(failure.clone()), ..found.work(claim) });
    // What did not run is no attempt.
    let failed = item.failed + u64::from(item.running.is_some());
    let timers = record.timers_made;
    let Some(after) = in_record(record, item.number) else { return Err(Refused::Over) };
    (after.failed, after.running, after.wait) = (failed, None, None);
    // The next attempt comes by a message of its own.
    after.offered = after.held.take().map_or(after.offered, |_| None);
    if claim.number.is_none() {
        after.offered = None;
    }
    if stopped(case, item).is_some() {
        // It waits for a person, as before.
    } else if activity.policy.is_final(&failure, failed) {
        let code = match failure.code.as_str() {
            Failure::INPUT_FAILED => IncidentCode::InputFailed,
            _ => IncidentCode::WorkFailed,
        };
        stop(record, item.number, code, failure);
    } else {
        let seed = format!("{} {} {} {failed}", case.workflow, case.id, item.number);
        let delay = activity.policy.delay(failed, &seed);
        let until = failure.not_before.unwrap_or(act.now).max(act.now + delay);
        let wait = wait(PutOff { until, answers: false }, timers, act);
        record.timers_made += u64::from(wait.timer.is_some());
        if let Some(after) = in_record(record, item.number) {
            after.wait = Some(wait);
        }
    }
    Ok(alone(net, draft, bounds.limits)?)
}

/// A wait up to a time, in a case that has had so many timers. What is armed has whole microseconds.
fn wait(PutOff { until, answers }: PutOff, timers: u64, act: &Act) -> Wait {
    let until = whole(until);
    let timer = (until - act.now >= ARMED_FROM).then_some(timers + 1);
    Wait { until, timer, armed: None, answers }
}

/// Decides the return of an item that was begun and not carried out to its end: no attempt is counted. Nobody begins it
/// before its wait is over, if that is to come.
pub fn give_back(
    net: &Net,
    case: &Case,
    (claim, put_off): (Claim, Option<PutOff>),
    act: &Act,
    bounds: Bounds<'_>,
) -> Result<Record, Refused> {
    let found = find(net, case, claim.item)?;
    found.must_hold(claim)?;
    if found.item.running.is_none() {
        return Err(Refused::LeaseLost { claim: found.item.claim, is_over: true });
    }
    let mut draft = Draft::new(Some(case), next_record(case, RecordKind::Released, act));
    let record = &mut draft.record;
    record.work = Some(found.work(claim));
    let put_off = put_off.filter(|of| of.until > act.now);
    let wait = put_off.map(|of| wait(of, record.timers_made, act));
    record.timers_made += u64::from(wait.as_ref().is_some_and(|wait| wait.timer.is_some()));
    if let Some(after) = in_record(record, claim.item) {
        (after.running, after.wait) = (None, wait);
        after.attempt = after.attempt.saturating_sub(1);
        after.offered = after.held.take().map_or(after.offered, |_| None);
    }
    Ok(alone(net, draft, bounds.limits)?)
}
