//! Counters and measurements of this process, in the Prometheus text format.

use std::{fmt, sync::atomic::AtomicU64, time::Duration};

use prometheus_client::{
    encoding::text::encode,
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};

#[cfg(feature = "analysis")]
use super::audit_metrics::AuditMetrics;
use super::work_metrics::WorkMetrics;
use crate::petrel::Error;

/// Counters by one label, such as the result.
pub(super) type Labelled = Family<[(&'static str, &'static str); 1], Counter>;

/// Counters and latency histograms of one process.
pub struct Metrics {
    registry: Registry,
    commits: Labelled,
    conflicts: Counter,
    retries: Counter,
    cold: Counter,
    views_failed: Counter,
    views_mended: Counter,
    views_later: Counter,
    reconciler_lag: Gauge<u64, AtomicU64>,
    #[cfg(feature = "analysis")]
    audits: AuditMetrics,
    commit_seconds: Histogram,
    append_seconds: Histogram,
    view_lag_seconds: Histogram,
    read_seconds: Histogram,
    timer_late_seconds: Histogram,
    work: WorkMetrics,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Default for Metrics {
    fn default() -> Self {
        // 50 µs to 6.5 s, each bucket twice the one before.
        let histogram = || Histogram::new(exponential_buckets(0.000_05, 2.0, 18));
        let mut metrics = Self {
            registry: Registry::with_prefix("petrel"),
            commits: Labelled::default(),
            conflicts: Counter::default(),
            retries: Counter::default(),
            cold: Counter::default(),
            views_failed: Counter::default(),
            views_mended: Counter::default(),
            views_later: Counter::default(),
            reconciler_lag: Gauge::default(),
            #[cfg(feature = "analysis")]
            audits: AuditMetrics::default(),
            commit_seconds: histogram(),
            append_seconds: histogram(),
            view_lag_seconds: histogram(),
            read_seconds: histogram(),
            timer_late_seconds: Histogram::new(exponential_buckets(0.001, 2.0, 22)),
            work: WorkMetrics::default(),
        };
        metrics.register();
        metrics
    }
}

impl Metrics {
    fn register(&mut self) {
        let registry = &mut self.registry;
        let mut counter = |name: &str, help: &str, counter: &Counter| {
            registry.register(name, help, counter.clone());
        };
        counter("conflicts", "Appends that lost a race and were decided again", &self.conflicts);
        counter("retries", "Appends without an answer that were tried again", &self.retries);
        counter(
            "cold_changes",
            "Changes that read their case first, as it was not in memory",
            &self.cold,
        );
        counter(
            "views_failed",
            "Changes whose views were left to the reconciler",
            &self.views_failed,
        );
        counter(
            "views_mended",
            "View registers that were wrong and were written",
            &self.views_mended,
        );
        counter(
            "views_later",
            "Times that the views of what workers did to a case were written together",
            &self.views_later,
        );
        registry.register("commits", "Changes asked for, by how they ended", self.commits.clone());
        registry.register(
            "reconciler_lag_records",
            "Records of the log that the reconciler has not looked at yet",
            self.reconciler_lag.clone(),
        );
        #[cfg(feature = "analysis")]
        self.audits.register(registry);
        let mut histogram = |name: &str, help: &str, histogram: &Histogram| {
            registry.register_with_unit(name, help, Unit::Seconds, histogram.clone());
        };
        histogram("commit", "A whole change, queueing and retries included", &self.commit_seconds);
        histogram("append", "Deciding and appending a record", &self.append_seconds);
        histogram("view_lag", "From the append to the views being written", &self.view_lag_seconds);
        histogram("read", "A read of one token or a page of them", &self.read_seconds);
        let late = "From the time of a timer to the record in which it came due";
        histogram("timer_late", late, &self.timer_late_seconds);
        self.work.register(registry);
    }

    /// All of them in the Prometheus (OpenMetrics) text format.
    pub fn render(&self) -> String {
        #[cfg(feature = "analysis")]
        let _whole = self.audits.hold();
        let mut text = String::new();
        // Writing to a String can't fail.
        let _ = encode(&mut text, &self.registry);
        text
    }

    pub(in crate::petrel) fn committed<T>(&self, took: Duration, result: &Result<T, Error>) {
        let code = result.as_ref().map_or_else(Error::code, |_| "ok");
        self.commits.get_or_create(&[("result", code)]).inc();
        self.commit_seconds.observe(took.as_secs_f64());
    }

    pub(in crate::petrel) fn appended(&self, took: Duration) {
        self.append_seconds.observe(took.as_secs_f64());
    }

    pub(in crate::petrel) fn viewed(&self, took: Duration) {
        self.view_lag_seconds.observe(took.as_secs_f64());
    }

    pub(in crate::petrel) fn read(&self, took: Duration) {
        self.read_seconds.observe(took.as_secs_f64());
    }

    pub(in crate::petrel) fn timer_elapsed(&self, late: chrono::TimeDelta) {
        self.timer_late_seconds.observe(late.as_seconds_f64().max(0.0));
    }

    /// Those of work.
    pub(crate) fn work(&self) -> &WorkMetrics {
        &self.work
    }

    pub(in crate::petrel) fn race_lost(&self) {
        self.conflicts.inc();
    }

    pub(in crate::petrel) fn was_cold(&self) {
        self.cold.inc();
    }

    pub(in crate::petrel) fn retried(&self) {
        self.retries.inc();
    }

    pub(in crate::petrel) fn view_failed(&self) {
        self.views_failed.inc();
    }

    pub(in crate::petrel) fn view_put_off(&self) {
        self.views_later.inc();
    }

    pub(in crate::petrel) fn view_mended(&self) {
        self.views_mended.inc();
    }

    pub(in crate::petrel) fn reconciled(&self, records_left: u64) {
        self.reconciler_lag.set(records_left);
    }

    /// Those of audits.
    #[cfg(feature = "analysis")]
    pub(crate) fn audits(&self) -> &AuditMetrics {
        &self.audits
    }
}
