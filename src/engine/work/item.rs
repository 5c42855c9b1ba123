//! The item that a request is about, and the reasons for which nothing is done with it.

use chrono::{DateTime, TimeDelta, Utc};

use super::NetActivity;
use crate::engine::{Act, Limits, Net, NetTransition, NotMade, draft::Draft, fit::fit};
use crate::models::{
    Case, CaseStatus, Held, Incident, IncidentAbout, Item, OutcomeId, Record, Running,
    TransitionId, Work,
};

/// The right to answer for a work item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// Number of the item in its case.
    pub item: u64,
    /// Number of the start that it was given for; `None` for a person, who may end it at any time.
    pub number: Option<u64>,
}

/// A wait of an item that is given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PutOff {
    /// The time before which nobody begins it.
    pub until: DateTime<Utc>,
    /// True if an answer from outside ends the wait as well.
    pub answers: bool,
}

/// Reason that nothing is done with a work item.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Refused {
    /// The case has ended.
    Ended(CaseStatus),
    /// The case is paused, and nothing starts.
    Paused,
    /// The case never had it.
    Unknown {
        /// Number of items that it has had.
        made: u64,
    },
    /// It is not open any more.
    Over,
    /// Its answer is stored, and it fires as soon as it can.
    Done,
    /// Another claim is the present one.
    LeaseLost {
        /// The present claim.
        claim: u64,
        /// True if the claim is the present one, and its attempt has ended.
        is_over: bool,
    },
    /// Somebody else has begun it.
    Taken {
        /// The present claim.
        claim: u64,
    },
    /// It is not to be tried before a time.
    NotYet {
        /// The time.
        until: DateTime<Utc>,
        /// True if an answer from outside ends the wait as well.
        answers: bool,
    },
    /// It waits for a person.
    Stopped(Incident),
    /// The activity has no such outcome, or none was named and it has several.
    Outcome {
        /// The outcomes that it has.
        outcomes: Vec<OutcomeId>,
    },
    /// Its record would not fit, or it takes too long to decide.
    NotMade(NotMade),
}

impl From<NotMade> for Refused {
    fn from(not: NotMade) -> Self {
        Self::NotMade(not)
    }
}

/// An open item, with its transition.
pub(super) struct Found<'a> {
    pub item: &'a Item,
    pub transition: &'a NetTransition,
    pub activity: &'a NetActivity,
}

/// Looks an item up that is open in a case.
pub(super) fn find<'a>(net: &'a Net, case: &'a Case, number: u64) -> Result<Found<'a>, Refused> {
    if case.status.has_ended() {
        return Err(Refused::Ended(case.status));
    }
    let item = case.items.iter().find(|item| item.number == number);
    let Some(item) = item else {
        return Err(match (1..=case.items_made).contains(&number) {
            true => Refused::Over,
            false => Refused::Unknown { made: case.items_made },
        });
    };
    // A definition never changes under a case.
    let transition = net.transition(&item.transition).ok_or(Refused::Over)?;
    let activity = transition.activity.as_ref().ok_or(Refused::Over)?;
    Ok(Found { item, transition, activity })
}

/// The incident that an item waits for.
pub(super) fn stopped<'c>(case: &'c Case, item: &Item) -> Option<&'c Incident> {
    case.incidents.iter().find(|open| open.about == IncidentAbout::Item(item.number))
}

impl Found<'_> {
    /// Refuses an answer that is none of the present claim's attempt.
    pub(super) fn must_hold(&self, claim: Claim) -> Result<(), Refused> {
        let present = self.item.claim;
        match claim.number {
            _ if self.item.done.is_some() => Err(Refused::Done),
            None => Ok(()),
            Some(number) if number == present && self.item.running.is_some() => Ok(()),
            Some(number) => Err(Refused::LeaseLost { claim: present, is_over: number == present }),
        }
    }

    /// The part about it of a record that ends or gives back an attempt.
    pub(super) fn work(&self, claim: Claim) -> Work {
        let is_overridden = claim.number.is_none() && self.item.running.is_some();
        Work {
            item: self.item.number,
            claim: claim.number,
            attempt: self.item.attempt,
            transition: self.transition_id(),
            outcome: None,
            failure: None,
            ended: is_overridden.then_some(crate::models::Ended::Overridden),
            next: None,
        }
    }

    fn transition_id(&self) -> TransitionId {
        self.item.transition.clone()
    }
}

impl Item {
    /// Notes that its attempt, with the claim that it has now, runs from now on. What was handed over
    /// before keeps its message, and has a lease of its own.
    pub(super) fn run(&mut self, act: &Act, lease: Option<TimeDelta>) {
        let (since, begun, worker) = (act.now, None, act.by.clone());
        self.running =
            Some(Running { since, begun, worker, lease: lease.map(|of| of.num_milliseconds()) });
        let (item, claim) = (self.number, self.claim);
        self.held = self.held.take().map(|held| Held { item, claim, ..held });
    }
}

/// The record of a change that moves no token, so that nothing follows it.
pub(super) fn alone(net: &Net, draft: Draft<'_>, limits: Limits) -> Result<Record, NotMade> {
    let before = draft.before;
    let mut record = draft.finish(net);
    fit(&mut record, before, limits)?;
    Ok(record)
}
