//! Facts about a case, gathered from its records.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use stormpetrel::models::{
    CaseStatus, IncidentAbout, IncidentCode, LogSequence, Record, RecordKind, Stored,
};

use crate::{follower::is_stopped, intruder};

/// Facts about a case after its last record.
#[derive(Debug, Clone)]
pub(crate) struct CaseFacts {
    pub status: CaseStatus,
    /// The last record.
    pub last: LogSequence,
    pub created: DateTime<Utc>,
    /// Time of the last record.
    pub at: DateTime<Utc>,
    /// Number of records.
    pub records: u32,
    /// Number of firings of each transition.
    pub fired: BTreeMap<String, u32>,
    /// The places of its tokens.
    pub places: Vec<String>,
    /// Incidents that it has had, each with its item.
    pub incidents: Vec<(IncidentCode, Option<u64>)>,
    /// True if an incident is open and all work waits for it.
    pub is_stopped: bool,
    /// The reasons that it goes on by itself or by a person, in words.
    pub waits_for: Vec<&'static str>,
    /// True if the deadline of charging has ended it.
    pub is_late: bool,
    /// True if something is in its log that the intruder wrote.
    pub is_intruded: bool,
}

impl CaseFacts {
    /// The facts after a case's first record.
    pub(crate) fn new(stored: &Stored<Record>) -> Self {
        let record = &stored.value;
        let (fired, places, incidents, waits_for) = Default::default();
        let mut facts = Self {
            status: record.status,
            last: stored.sequence,
            created: stored.timestamp,
            at: stored.timestamp,
            records: 0,
            fired,
            places,
            incidents,
            is_stopped: false,
            waits_for,
            is_late: false,
            is_intruded: false,
        };
        facts.add(stored);
        facts
    }

    /// Adds the case's next record.
    pub(crate) fn add(&mut self, stored: &Stored<Record>) {
        let record = &stored.value;
        (self.status, self.last, self.at) = (record.status, stored.sequence, stored.timestamp);
        self.records += 1;
        let own = record.transition.iter().filter(|_| record.kind == RecordKind::Fired);
        for transition in own.chain(record.cascade.iter().map(|step| &step.transition)) {
            *self.fired.entry(transition.to_string()).or_default() += 1;
        }
        self.places = record.marking.0.iter().map(|entry| entry.place.to_string()).collect();
        for raised in &record.raised {
            let open = record.incidents.iter().find(|open| open.number == raised.number);
            if let Some(open) = open {
                let item = match open.about {
                    IncidentAbout::Item(item) => Some(item),
                    _ => None,
                };
                self.incidents.push((open.code, item));
            }
        }
        self.is_stopped = is_stopped(record);
        let fires_charge =
            || record.cascade.iter().any(|step| step.transition.as_str() == "charge");
        self.is_late |= record.kind == RecordKind::Elapsed && fires_charge();
        self.is_intruded |= record.by.as_deref() == Some(intruder::NAME);
        let waits = [
            (!record.items.is_empty(), "work"),
            (!record.timers.is_empty(), "a timer"),
            (record.marking.0.iter().any(|at| at.place.as_str() == "to_approve"), "a person"),
            (!record.incidents.is_empty(), "an incident"),
        ];
        self.waits_for = waits.iter().filter(|(is, _)| *is).map(|(_, what)| *what).collect();
    }
}
