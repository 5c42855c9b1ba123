//! Counters and measurements of this process's audits.

use std::{
    sync::{Mutex, MutexGuard, PoisonError, atomic::AtomicU64},
    time::Duration,
};

use chrono::{DateTime, Utc};
use prometheus_client::{metrics::gauge::Gauge, registry::Registry};

use super::metrics::Labelled;

/// Numbers of an audit that came to its end.
#[derive(Debug)]
pub(crate) struct AuditFigures {
    /// Findings of all kinds.
    pub findings: u64,
    /// Things that could not be checked.
    pub unchecked: u64,
    /// Cases looked at.
    pub cases: u64,
}

/// Counters of all audits, and the numbers of the last whole one.
#[derive(Default)]
pub(crate) struct AuditMetrics {
    audits: Labelled,
    found: Labelled,
    findings: Gauge<u64, AtomicU64>,
    unchecked: Gauge<u64, AtomicU64>,
    cases: Gauge<u64, AtomicU64>,
    ended: Gauge<u64, AtomicU64>,
    seconds: Gauge<f64, AtomicU64>,
    /// Lock that is held while an audit's results are written and while all is rendered, so
    /// that the rendered results are of one audit.
    whole: Mutex<()>,
}

impl AuditMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "audits",
            "Audits of this process, by how they ended",
            self.audits.clone(),
        );
        registry.register("audit_found", "Findings of audits, by kind", self.found.clone());
        let mut gauge = |name: &str, help: &str, gauge: &Gauge<u64, AtomicU64>| {
            registry.register(name, help, gauge.clone());
        };
        gauge("audit_findings", "Findings of the last whole audit", &self.findings);
        gauge("audit_unchecked", "How much the last whole audit could not check", &self.unchecked);
        gauge("audit_cases", "Cases that the last whole audit looked at", &self.cases);
        gauge(
            "audit_ended_timestamp_seconds",
            "When the last whole audit ended, in seconds since 1970",
            &self.ended,
        );
        registry.register(
            "audit_duration_seconds",
            "How long the last whole audit took",
            self.seconds.clone(),
        );
    }

    /// Keeps the results as they are, of one audit, while it is held.
    pub(super) fn hold(&self) -> MutexGuard<'_, ()> {
        self.whole.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn found(&self, kind: &'static str) {
        self.found.get_or_create(&[("kind", kind)]).inc();
    }

    pub(crate) fn ended(&self, figures: &AuditFigures, at: DateTime<Utc>, took: Duration) {
        let _whole = self.hold();
        self.audits.get_or_create(&[("result", "ok")]).inc();
        self.findings.set(figures.findings);
        self.unchecked.set(figures.unchecked);
        self.cases.set(figures.cases);
        self.ended.set(at.timestamp().unsigned_abs());
        self.seconds.set(took.as_secs_f64());
    }

    pub(crate) fn failed(&self) {
        self.audits.get_or_create(&[("result", "failed")]).inc();
    }
}
