//! Hand-over: the record that ends an item begins the next one, for the same worker.

use chrono::TimeDelta;

use crate::engine::{
    Act, Limits, Net,
    fit::{fit, fits_still},
};
use crate::models::{
    Case, CaseStatus, Held, IncidentAbout, Item, KindId, Next, QueueId, Record, WorkClass,
};

/// A worker's request to begin a next item of the case, with the end of the one that it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandOver {
    /// The queue from which it takes items.
    pub queue: QueueId,
    /// The class of the message that it keeps.
    pub class: WorkClass,
    /// The kinds that it can carry out.
    pub kinds: Vec<KindId>,
    /// The lease of the item that it ends, and of the chain from now on.
    pub held: Held,
    /// The time for which the claim is left alone without a sign of life, if its worker says one.
    pub lease: Option<TimeDelta>,
}

/// Begins with a record one of the items that it made, of the queue and class of the message that the
/// worker keeps, if there is one and the record has room.
pub(super) fn hand_over(
    net: &Net,
    before: &Case,
    record: &mut Record,
    over: &HandOver,
    act: &Act,
    limits: Limits,
) {
    if record.status != CaseStatus::Running {
        return;
    }
    let is_stopped = |item: &Item| {
        record.incidents.iter().any(|open| open.about == IncidentAbout::Item(item.number))
    };
    let is_of_queue = |item: &Item| {
        let transition = net.transition(&item.transition);
        let activity = transition.and_then(|transition| transition.activity.as_ref());
        let is_ours = activity.is_some_and(|activity| {
            activity.queue == over.queue && over.kinds.contains(&activity.kind)
        });
        is_ours && item.class == over.class
    };
    let is_new = |item: &Item| {
        item.offered.is_none() && item.claim == 0 && item.wait.is_none() && item.done.is_none()
    };
    let found =
        record.items.iter().position(|item| is_new(item) && is_of_queue(item) && !is_stopped(item));
    let (Some(found), Some(_)) = (found, &record.work) else { return };
    let item = &mut record.items[found];
    let before_it = item.clone();
    (item.claim, item.attempt) = (item.claim + 1, item.attempt + 1);
    item.run(act, over.lease);
    item.held = Some(over.held.clone());
    let next = Next {
        item: item.number,
        claim: item.claim,
        attempt: item.attempt,
        transition: item.transition.clone(),
    };
    if let Some(work) = &mut record.work {
        work.next = Some(next);
    }
    if fits_still(record, Some(before), limits) {
        return;
    }
    // What does not fit loses some of what it has, and then it is not handed over.
    let mut fitted = record.clone();
    if fit(&mut fitted, Some(before), limits).is_ok() {
        *record = fitted;
        return;
    }
    record.items[found] = before_it;
    if let Some(work) = &mut record.work {
        work.next = None;
    }
}
