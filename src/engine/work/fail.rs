//! Records of attempts that end without an answer that fires: failures, and what was given back.

use serde_json::{Value, json};

use super::{
    answer::end_with,
    item::{Claim, Found, Refused, alone, find, in_record, stopped},
};
use crate::engine::{Act, Bounds, Net, draft::Draft, record::next_record};
use crate::models::{
    Answer, Case, Failure, Incident, IncidentAbout, IncidentCode, LONGEST_EXPLANATION, Raised,
    Record, RecordKind, Timer, Wait,
};

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
    if let Some(outcome) = activity.outcome_of(&failure.code) {
        let (outcome, result) = (Some(outcome.clone()), as_result(&failure));
        let answer = Answer { outcome, result };
        return end_with(net, case, &found, (claim, answer, Some(failure)), act, bounds);
    }
    let mut draft = Draft::new(Some(case), next_record(case, RecordKind::Failed, act));
    let record = &mut draft.record;
    record.work = Some(crate::models::Work { failure: Some(failure.clone()), ..found.work(claim) });
    let failed = item.failed + 1;
    let timers = record.timers_made;
    let Some(after) = in_record(record, item.number) else { return Err(Refused::Over) };
    (after.failed, after.running, after.wait) = (failed, None, None);
    // The next attempt comes by a message of its own.
    after.offered = after.held.take().map_or(after.offered, |_| None);
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
        let timer = (until - act.now >= ARMED_FROM).then_some(timers + 1);
        after.wait = Some(Wait { until, timer, armed: None });
        record.timers_made += u64::from(timer.is_some());
    }
    Ok(alone(net, draft, bounds.limits)?)
}

/// Decides the return of an item that was begun and not carried out: no attempt is counted.
pub fn give_back(
    net: &Net,
    case: &Case,
    claim: Claim,
    act: &Act,
    bounds: Bounds<'_>,
) -> Result<Record, Refused> {
    let found = find(net, case, claim.item)?;
    found.must_hold(claim)?;
    let mut draft = Draft::new(Some(case), next_record(case, RecordKind::Released, act));
    draft.record.work = Some(found.work(claim));
    if let Some(after) = in_record(&mut draft.record, claim.item) {
        (after.running, after.wait) = (None, None);
        after.attempt = after.attempt.saturating_sub(1);
        after.offered = after.held.take().map_or(after.offered, |_| None);
    }
    Ok(alone(net, draft, bounds.limits)?)
}

/// A failure as the result that an output expression sees.
fn as_result(failure: &Failure) -> Value {
    json!({ "code": failure.code, "message": failure.message })
}

/// Raises the incident for which an item waits, and notes the failure in the record.
pub(super) fn stop(record: &mut Record, item: u64, code: IncidentCode, failure: Failure) {
    let mut explanation = match failure.message.is_empty() {
        true => failure.code.clone(),
        false => format!("{}: {}", failure.code, failure.message),
    };
    let most = explanation.floor_char_boundary(LONGEST_EXPLANATION);
    explanation.truncate(most);
    record.incidents_made += 1;
    let number = record.incidents_made;
    let (about, since) = (IncidentAbout::Item(item), record.time);
    record.incidents.push(Incident { number, about, code, since, sequence: None });
    record.raised.push(Raised { number, explanation });
    if let Some(work) = &mut record.work {
        work.failure = Some(failure);
    }
}

/// Has an item tried again that waits for a person, as if it had just been made.
pub(in crate::engine) fn try_again(net: &Net, record: &mut Record, number: u64) {
    let now = record.time;
    let timers = record.timers_made;
    let has_deadline = record.timers.iter().any(|timer| timer.item == Some(number));
    let Some(item) = in_record(record, number) else { return };
    (item.failed, item.lost, item.wait, item.offered) = (0, 0, None, None);
    item.held = None;
    let activity = net.transition(&item.transition).and_then(|of| of.activity.as_ref());
    let Some(deadline) = activity.and_then(|activity| activity.deadline) else { return };
    if has_deadline {
        return;
    }
    let timer = Timer {
        number: timers + 1,
        transition: item.transition.clone(),
        tokens: item.tokens.clone(),
        since: now,
        due: now + deadline,
        armed: None,
        elapsed: false,
        item: Some(number),
    };
    record.timers_made += 1;
    record.timers.push(timer);
}

/// Ends the items whose deadlines, among the timers of a record that come due, are over: by the outcome
/// that their activity names for it, or with an incident.
pub(in crate::engine) fn pass_deadlines(net: &Net, record: &mut Record) {
    let passed: Vec<_> = record.elapsed.iter().filter_map(|timer| timer.item).collect();
    record.timers.retain(|timer| timer.item.is_none_or(|item| !passed.contains(&item)));
    for number in passed {
        let is_stopped =
            record.incidents.iter().any(|open| open.about == IncidentAbout::Item(number));
        let Some(item) = in_record(record, number) else { continue };
        if item.done.is_some() {
            continue;
        }
        let message = format!("it was open since {}", item.since.to_rfc3339());
        let failure = Failure { code: Failure::DEADLINE.to_owned(), message, ..Failure::default() };
        let activity = net.transition(&item.transition).and_then(|of| of.activity.as_ref());
        let outcome = activity.and_then(|activity| activity.outcome_of(&failure.code));
        if let Some(outcome) = outcome {
            let (outcome, result) = (Some(outcome.clone()), as_result(&failure));
            (item.done, item.running, item.wait) = (Some(Answer { outcome, result }), None, None);
        } else if !is_stopped {
            item.wait = None;
            stop(record, number, IncidentCode::DeadlinePassed, failure);
        }
    }
}
