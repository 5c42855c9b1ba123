//! Counters and measurements of work, of the records that this process has appended.

use std::sync::atomic::AtomicU64;

use chrono::{DateTime, TimeDelta, Utc};
use prometheus_client::{
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};

use crate::{
    engine::Net,
    models::{Case, IncidentAbout, Item, QueueId, Record, RecordKind, TransitionId},
    storage::{ClassState, QueueState},
};

type ByQueue = Family<[(&'static str, String); 1], Counter>;
type NowByQueue = Family<[(&'static str, String); 1], Gauge<u64, AtomicU64>>;
type ByQueueAndEnd = Family<[(&'static str, String); 2], Counter>;

/// Counters and measurements of work.
#[derive(Debug)]
pub(crate) struct WorkMetrics {
    begun: ByQueue,
    ended: ByQueueAndEnd,
    lost: ByQueue,
    handed_over: ByQueue,
    waiting: NowByQueue,
    in_flight: NowByQueue,
    redelivered: Counter,
    incidents: Counter,
    incidents_open: Gauge<u64, AtomicU64>,
    wait_seconds: Histogram,
    attempt_seconds: Histogram,
}

impl Default for WorkMetrics {
    fn default() -> Self {
        // 1 ms to 35 min, each bucket twice the one before.
        let histogram = || Histogram::new(exponential_buckets(0.001, 2.0, 22));
        Self {
            begun: ByQueue::default(),
            ended: ByQueueAndEnd::default(),
            lost: ByQueue::default(),
            handed_over: ByQueue::default(),
            waiting: NowByQueue::default(),
            in_flight: NowByQueue::default(),
            redelivered: Counter::default(),
            incidents: Counter::default(),
            incidents_open: Gauge::default(),
            wait_seconds: histogram(),
            attempt_seconds: histogram(),
        }
    }
}

impl WorkMetrics {
    pub(in crate::petrel) fn register(&self, registry: &mut Registry) {
        let help = "Attempts at work items that began, by queue";
        registry.register("work_begun", help, self.begun.clone());
        let help = "Attempts and items that ended, by queue and by how";
        registry.register("work_ended", help, self.ended.clone());
        let help = "Attempts whose worker was lost, by queue";
        registry.register("work_lost", help, self.lost.clone());
        let help = "Work items that were handed over with an answer, by queue";
        registry.register("work_handed_over", help, self.handed_over.clone());
        let help =
            "Items that nobody has got yet, of the queues that a worker in this process serves";
        registry.register("work_waiting", help, self.waiting.clone());
        let help = "Items that were given out and have not ended, of the same queues";
        registry.register("work_in_flight", help, self.in_flight.clone());
        let help = "Deliveries of work items that the store had made before, as far as it knows";
        registry.register("work_redelivered", help, self.redelivered.clone());
        let help = "Incidents that are open, up to some 100,000, as a process that serves counts them once a minute";
        registry.register("incidents_open", help, self.incidents_open.clone());
        let help = "Incidents that began";
        registry.register("incidents", help, self.incidents.clone());
        let mut histogram = |name: &str, help: &str, histogram: &Histogram| {
            registry.register_with_unit(name, help, Unit::Seconds, histogram.clone());
        };
        let help = "From the opening of a work item to the start of its first attempt";
        histogram("work_wait", help, &self.wait_seconds);
        let help = "From the start of an attempt at a work item to its answer";
        histogram("work_attempt", help, &self.attempt_seconds);
    }

    pub(crate) fn redelivered(&self) {
        self.redelivered.inc();
    }

    /// Notes how many incidents are open in all cases.
    pub(crate) fn incidents_are_open(&self, count: u64) {
        self.incidents_open.set(count);
    }

    /// Notes what a queue has now, as a worker of this process has found it.
    pub(crate) fn found(&self, state: &QueueState) {
        let label = [("queue", state.queue.to_string())];
        let sum = |of: fn(&ClassState) -> u64| state.classes.iter().map(of).sum();
        self.waiting.get_or_create(&label).set(sum(|class| class.waiting));
        self.in_flight.get_or_create(&label).set(sum(|class| class.in_flight));
    }

    /// Forgets a queue that no worker of this process looks at any more.
    pub(crate) fn left(&self, queue: &QueueId) {
        let label = [("queue", queue.to_string())];
        self.waiting.remove(&label);
        self.in_flight.remove(&label);
    }

    /// Counts what a record that was just appended says of work.
    pub(in crate::petrel) fn note(&self, net: &Net, before: Option<&Case>, record: &Record) {
        let began = record.raised.len() as u64;
        self.incidents.inc_by(began);
        let was = |number: u64| before?.items.iter().find(|item| item.number == number);
        if let Some(work) = &record.work {
            let queue = queue(net, &work.transition);
            if work.ended.is_some() {
                self.lost.get_or_create(&[("queue", queue.clone())]).inc();
            }
            let is_begun = record.kind == RecordKind::Begun;
            let item = was(work.item);
            if is_begun {
                self.begun(&queue, item, record.time);
            } else {
                self.ended(&queue, end_of(record), item, record.time);
            }
            if let Some(next) = &work.next {
                self.handed_over.get_or_create(&[("queue", queue.clone())]).inc();
                let item = record.items.iter().find(|item| item.number == next.item);
                self.begun(&queue, item, record.time);
            }
        }
        // Those that nobody answered.
        let answered = record.work.as_ref().map(|work| work.item);
        let fired = |number: u64| record.cascade.iter().any(|step| step.item == Some(number));
        for item in before.into_iter().flat_map(|before| &before.items) {
            let is_open = record.items.iter().any(|open| open.number == item.number);
            if !is_open && Some(item.number) != answered && !fired(item.number) {
                self.ended(&queue(net, &item.transition), "withdrawn", Some(item), record.time);
            }
        }
    }

    fn begun(&self, queue: &str, item: Option<&Item>, now: DateTime<Utc>) {
        self.begun.get_or_create(&[("queue", queue.to_owned())]).inc();
        if let Some(item) = item.filter(|item| item.claim <= 1) {
            self.wait_seconds.observe(seconds(now - item.since));
        }
    }

    fn ended(&self, queue: &str, end: &str, item: Option<&Item>, now: DateTime<Utc>) {
        let labels = [("queue", queue.to_owned()), ("end", end.to_owned())];
        self.ended.get_or_create(&labels).inc();
        if let Some(running) = item.and_then(|item| item.running.as_ref()) {
            self.attempt_seconds.observe(seconds(now - running.since));
        }
    }
}

fn seconds(span: TimeDelta) -> f64 {
    span.as_seconds_f64().max(0.0)
}

fn queue(net: &Net, transition: &TransitionId) -> String {
    let activity = net.transition(transition).and_then(|of| of.activity.as_ref());
    activity.map_or_else(String::new, |activity| activity.queue.to_string())
}

/// The way in which an attempt ended: by an outcome, done, failed, stopped by an incident, or given back.
fn end_of(record: &Record) -> &str {
    let Some(work) = &record.work else { return "" };
    let is_stopped = || {
        let about = IncidentAbout::Item(work.item);
        record.incidents.iter().any(|open| open.about == about && open.sequence.is_none())
    };
    match record.kind {
        RecordKind::Released => "released",
        RecordKind::Failed if is_stopped() => "stopped",
        RecordKind::Failed => "failed",
        _ => work.outcome.as_ref().map_or("done", |outcome| outcome.as_str()),
    }
}
