//! Queues in memory: what waits in them, and what is with takers.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::timers::later;
use crate::{
    models::{CaseId, LogSequence, QueueId, WorkClass, WorkflowId},
    storage::{ClassState, Delivery, Offer, QueueSettings, Receipt},
};

/// Identity of an offer.
pub(super) type Key = (WorkflowId, CaseId, u64, QueueId, WorkClass);

/// A class of a queue.
pub(super) type Part = (QueueId, WorkClass);

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) entries: BTreeMap<u64, Entry>,
    pub(super) numbers: BTreeMap<Key, u64>,
    pub(super) parts: BTreeMap<Part, Taken>,
    pub(super) settings: BTreeMap<QueueId, (QueueSettings, LogSequence)>,
    last: u64,
    pub(super) versions: u64,
}

/// State of a class of a queue.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// The offers that nobody has got yet.
    waiting: BTreeSet<u64>,
    /// Those that somebody has got, by the time at which each may be given out again.
    pub(super) in_flight: BTreeSet<(DateTime<Utc>, u64)>,
    pub(super) pulls: u64,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) offer: Offer,
    published: DateTime<Utc>,
    /// Time at which it may be given out again; absent where nobody has got it yet.
    next: Option<DateTime<Utc>>,
    deliveries: u64,
}

impl State {
    pub(super) fn offer(&mut self, offer: &Offer, now: DateTime<Utc>) {
        if self.numbers.contains_key(&key(offer)) {
            return;
        }
        self.last += 1;
        self.numbers.insert(key(offer), self.last);
        let number = self.last;
        self.part(&offer.queue, offer.class).waiting.insert(number);
        let entry = Entry { offer: offer.clone(), published: now, next: None, deliveries: 0 };
        self.entries.insert(self.last, entry);
    }

    pub(super) fn part(&mut self, queue: &QueueId, class: WorkClass) -> &mut Taken {
        self.parts.entry((queue.clone(), class)).or_default()
    }

    pub(super) fn settings(&self, queue: &QueueId) -> QueueSettings {
        self.settings.get(queue).map(|(settings, _)| *settings).unwrap_or_default()
    }

    pub(super) fn end(&mut self, number: u64) {
        if let Some(entry) = self.entries.remove(&number) {
            self.numbers.remove(&key(&entry.offer));
            let part = self.part(&entry.offer.queue, entry.offer.class);
            match entry.next {
                None => part.waiting.remove(&number),
                Some(next) => part.in_flight.remove(&(next, number)),
            };
        }
    }

    /// Lets an offer that was given out be given out again at a time.
    pub(super) fn put_off(&mut self, number: u64, until: DateTime<Utc>) {
        let Some(entry) = self.entries.get_mut(&number) else { return };
        let (offer, before) = (entry.offer.clone(), entry.next.replace(until));
        let part = self.part(&offer.queue, offer.class);
        match before {
            None => part.waiting.remove(&number),
            Some(before) => part.in_flight.remove(&(before, number)),
        };
        part.in_flight.insert((until, number));
    }

    pub(super) fn take(&mut self, part: &Part, most: usize, now: DateTime<Utc>) -> Vec<Delivery> {
        let settings = self.settings(&part.0);
        let of = self.part(&part.0, part.1);
        if settings.paused {
            return Vec::new();
        }
        // What is delivered again has its place already.
        let again = of.in_flight.iter().take_while(|(at, _)| *at <= now).map(|(_, number)| *number);
        let limit = settings.most_in_flight.of(part.1) as usize;
        let room = limit.saturating_sub(of.in_flight.len());
        let ready: Vec<u64> =
            again.chain(of.waiting.iter().copied().take(room)).take(most).collect();
        let mut taken = Vec::with_capacity(ready.len());
        for number in ready {
            self.put_off(number, later(now, settings.ack_wait));
            let behind = self.part(&part.0, part.1).waiting.len() as u64;
            if let Some(entry) = self.entries.get_mut(&number) {
                entry.deliveries += 1;
                taken.push(Delivery {
                    offer: entry.offer.clone(),
                    deliveries: entry.deliveries,
                    behind,
                    published: entry.published,
                    receipt: Receipt(format!("{number} {}", entry.deliveries)),
                });
            }
        }
        taken
    }

    pub(super) fn class(
        &self,
        queue: &QueueId,
        class: WorkClass,
        now: DateTime<Utc>,
    ) -> ClassState {
        let Some(part) = self.parts.get(&(queue.clone(), class)) else {
            return ClassState { at: Some(now), ..ClassState::default() };
        };
        let again = |number: &u64| self.entries.get(number).is_some_and(|of| of.deliveries > 1);
        let oldest = part.waiting.first().and_then(|number| self.entries.get(number));
        ClassState {
            waiting: part.waiting.len() as u64,
            in_flight: part.in_flight.len() as u64,
            redelivered: part.in_flight.iter().filter(|(_, number)| again(number)).count() as u64,
            open_pulls: part.pulls,
            oldest: oldest.map(|entry| entry.published),
            at: Some(now),
        }
    }
}

pub(super) fn key(offer: &Offer) -> Key {
    let Offer { queue, class, workflow, case, item, .. } = offer;
    (workflow.clone(), case.clone(), *item, queue.clone(), *class)
}
