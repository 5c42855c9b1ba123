//! Items that stop: by an incident or a deadline, and go on when somebody has them tried again.

use serde_json::{Value, json};

use crate::engine::Net;
use crate::models::{
    Answer, Failure, Incident, IncidentAbout, IncidentCode, Item, LONGEST_EXPLANATION, Raised,
    Record, Timer,
};

/// The item in a record in the making.
pub(super) fn in_record(record: &mut Record, number: u64) -> Option<&mut Item> {
    record.items.iter_mut().find(|item| item.number == number)
}

/// A failure as the result that an output expression sees.
pub(super) fn as_result(failure: &Failure) -> Value {
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
pub(in crate::engine) fn try_again(net: &Net, record: &mut Record, number: u64, was: IncidentCode) {
    let now = record.time;
    let timers = record.timers_made;
    let has_deadline = record.timers.iter().any(|timer| timer.item == Some(number));
    let Some(item) = in_record(record, number) else { return };
    (item.failed, item.lost, item.wait) = (0, 0, None);
    // Its silent attempt is counted, and the next one is somebody else's.
    if was == IncidentCode::WorkLost {
        item.running = None;
    }
    // An attempt that runs goes on, by the message that it has.
    if item.running.is_none() {
        (item.offered, item.held) = (None, None);
    }
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
        let message = format!("its time was over; it is open since {}", item.since.to_rfc3339());
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
