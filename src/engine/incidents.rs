//! Open incidents of a case, from one record to the next.

use std::collections::{BTreeMap, HashSet};

use super::{Blocker, Net, NetTransition, draft::Draft};
use crate::models::{
    Incident, IncidentAbout, IncidentCode, LONGEST_EXPLANATION, Raised, Record, RecordKind,
    TransitionId,
};

/// The most transitions that are named as those that repeat.
const MOST_NAMED: usize = 10;

/// Failures of transitions that fire by themselves where a cascade rests, by transition.
pub(super) type Failures = BTreeMap<TransitionId, Stopped>;

/// The transitions that were looked at where a cascade rests, and of these the failures.
#[derive(Debug, Default)]
pub(super) struct Judged {
    pub failures: Failures,
    pub looked: HashSet<TransitionId>,
}

impl Judged {
    pub(super) fn fails(&mut self, transition: &NetTransition, failure: Stopped) {
        self.failures.entry(transition.id.clone()).or_insert(failure);
    }
}

/// The reason that something does not go on.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Stopped {
    code: IncidentCode,
    explanation: String,
}

impl Stopped {
    pub(super) fn is_of(&self, code: IncidentCode) -> bool {
        self.code == code
    }

    pub(super) fn new(code: IncidentCode, mut explanation: String) -> Self {
        cut(&mut explanation, LONGEST_EXPLANATION);
        Self { code, explanation }
    }

    /// More firings than the net allows.
    pub(super) fn too_long(net: &Net, most: usize, fired: &[u32]) -> Self {
        let reason = format!(
            "more than {most} immediate firings follow; these repeat: {}; mend the cycle, or raise \
             max_cascade if the net is wide and has none",
            repeated(net, fired)
        );
        Self::new(IncidentCode::CascadeTooLong, reason)
    }

    /// More steps than there are to find the next firing.
    pub(super) fn too_long_to_find(net: &Net, record: &Record, fired: &[u32]) -> Self {
        let count = record.cascade.len();
        let reason = format!(
            "after {count} immediate firings it takes too many steps to find the next; these repeat: {}; \
             let fewer tokens wait where conditions choose among them, or give those transitions a lower \
             priority, so that they are tried last",
            repeated(net, fired)
        );
        Self::new(IncidentCode::CascadeTooLong, reason)
    }
}

/// The transitions that fired more than once, most often first.
fn repeated(net: &Net, fired: &[u32]) -> String {
    let mut repeated: Vec<_> =
        fired.iter().zip(&net.transitions).filter(|(n, _)| **n > 1).collect();
    repeated.sort_by_key(|(count, _)| std::cmp::Reverse(**count));
    let names = repeated.iter().take(MOST_NAMED);
    let mut names: Vec<_> = names.map(|(count, of)| format!("{} ({count} times)", of.id)).collect();
    match repeated.len().checked_sub(MOST_NAMED) {
        _ if names.is_empty() => names.push("none".to_owned()),
        Some(more @ 1..) => names.push(format!("and {more} more")),
        _ => {}
    }
    names.join(", ")
}

/// The reason for which nobody knows if a transition can fire, among those that it can't.
pub(super) fn stopped_by(blockers: &[Blocker]) -> Option<Stopped> {
    blockers.iter().find_map(|blocker| {
        let code = match blocker {
            Blocker::GuardFailed { .. } => IncidentCode::GuardFailed,
            Blocker::SearchStopped { .. } => IncidentCode::SearchStopped,
            Blocker::Output { .. } => IncidentCode::OutputFailed,
            Blocker::TooLarge { .. } => IncidentCode::TooLarge,
            _ => return None,
        };
        Some(Stopped::new(code, blocker.to_string()))
    })
}

/// Cuts a text that has more than so many bytes, and says so by its last character.
fn cut(text: &mut String, most: usize) {
    const CUT: char = '…';
    if text.len() > most {
        let kept = most.saturating_sub(CUT.len_utf8());
        text.truncate(text.floor_char_boundary(kept));
        if most >= CUT.len_utf8() {
            text.push(CUT);
        }
    }
}

/// The incidents that are open after a record.
#[derive(Debug, Clone)]
pub(super) struct Open {
    incidents: Vec<Incident>,
    raised: Vec<Raised>,
    made: u64,
    since: chrono::DateTime<chrono::Utc>,
}

impl Open {
    /// Those of a record in the making, before it is judged anew: a change of the marking by hand, and
    /// a retry, let the cascade try again.
    pub(super) fn after(record: &Record) -> Self {
        let mut incidents = record.incidents.clone();
        match record.kind {
            RecordKind::Edited => incidents.retain(|open| open.about != IncidentAbout::Cascade),
            RecordKind::Retried => incidents.retain(|open| Some(open.number) != record.incident),
            RecordKind::Cancelled => incidents.clear(),
            _ => {}
        }
        let raised = record.raised.clone();
        Self { incidents, raised, made: record.incidents_made, since: record.time }
    }

    /// Returns true if there is one.
    pub(super) fn is_any(&self) -> bool {
        !self.incidents.is_empty()
    }

    /// Returns true if no immediate transition may fire.
    pub(super) fn is_stopped(&self) -> bool {
        self.incidents.iter().any(|open| open.about == IncidentAbout::Cascade)
    }

    /// Adds the incident of a cascade that was not stored.
    pub(super) fn stop(&mut self, stopped: Stopped) {
        self.raise(IncidentAbout::Cascade, stopped);
    }

    /// The incidents of transitions where a cascade has come to rest: one that fails for the same
    /// cause as before goes on, and one whose cause is gone is over. Of those that nobody looked at,
    /// nothing has changed.
    pub(super) fn judged(mut self, Judged { mut failures, looked }: Judged) -> Self {
        self.incidents.retain(|open| match &open.about {
            IncidentAbout::Transition(transition) if !looked.contains(transition) => true,
            IncidentAbout::Transition(transition) => failures
                .get(transition)
                .is_some_and(|failure| failure.code == open.code)
                .then(|| failures.remove(transition))
                .is_some(),
            IncidentAbout::Cascade | IncidentAbout::Item(_) | IncidentAbout::Unknown => true,
        });
        for (transition, failure) in failures {
            self.raise(IncidentAbout::Transition(transition), failure);
        }
        self
    }

    fn raise(&mut self, about: IncidentAbout, Stopped { code, explanation }: Stopped) {
        self.made += 1;
        let (number, since) = (self.made, self.since);
        self.incidents.push(Incident { number, about, code, since, sequence: None });
        self.raised.push(Raised { number, explanation });
    }

    /// Returns true if some are new.
    pub(super) fn has_raised(&self) -> bool {
        !self.raised.is_empty()
    }

    /// Shortens the causes of those that are new, together to so many bytes.
    pub(super) fn shorten(&mut self, most: usize) {
        let each = most / self.raised.len().max(1);
        for Raised { explanation, .. } in &mut self.raised {
            cut(explanation, each);
        }
    }

    /// The record in the making, with them. One about an item is over with it.
    pub(super) fn into_draft<'a>(mut self, mut draft: Draft<'a>) -> Draft<'a> {
        let record = &mut draft.record;
        self.incidents.retain(|open| match open.about {
            IncidentAbout::Item(item) => {
                record.items.iter().any(|of| of.number == item && of.done.is_none())
            }
            _ => true,
        });
        let is_open = |number| self.incidents.iter().any(|open| open.number == number);
        self.raised.retain(|raised| is_open(raised.number));
        (record.incidents, record.raised, record.incidents_made) =
            (self.incidents, self.raised, self.made);
        draft
    }
}
