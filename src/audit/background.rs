//! The audit as a task of a serving process.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use chrono::Utc;
use tokio_util::sync::CancellationToken;

use super::{AuditScope, AuditWatcher, Finding, FindingIn};
use crate::petrel::{Metrics, Petrel, audit_metrics::AuditFigures};

/// Time between two looks if the reconciler has come through.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Longest wait for that. A reconciler that does not get on is a reason for an audit.
const PATIENCE: Duration = Duration::from_secs(600);

/// Writes findings to the process's log and counts them.
struct Reporter<'a> {
    metrics: &'a Metrics,
    petrel: &'a Petrel,
    /// Number of findings that are left to the reconciler; none if it was waited for in vain.
    left: Option<AtomicU64>,
}

impl AuditWatcher for Reporter<'_> {
    fn found(&self, finding: Finding) {
        // The server has crashed since the audit began, and the reconciler is about to mend it.
        if let Some(left) = &self.left
            && finding.place_of == FindingIn::View
            && self.petrel.catches_up()
        {
            tracing::debug!(case = %finding.case, "left to the reconciler: {}", finding.message);
            left.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.metrics.audits().found(finding.kind.as_str());
        tracing::error!(
            kind = finding.kind.as_str(),
            found_in = finding.place_of.as_str(),
            workflow = %finding.workflow,
            case = %finding.case,
            sequence = finding.sequence.map(tracing::field::display),
            place = finding.place.as_ref().map(tracing::field::display),
            token = finding.token.as_ref().map(tracing::field::display),
            "the audit has found: {}",
            finding.message
        );
    }

    fn unchecked(&self, reason: &str) {
        tracing::warn!("the audit could not check: {reason}");
    }

    fn noted(&self, notice: &str) {
        tracing::info!("the audit notes: {notice}");
    }

    fn progress(&self, _: u64, _: u64) {}
}

impl Petrel {
    /// Audits everything, without replay, again and again until `shutdown`: the first time
    /// `every` after the start, and then so long after the end of the audit before; later, if the
    /// reconciler of this process has not looked at all that a crash of the server may have taken.
    /// The findings go to the process's log and its metrics.
    pub async fn run_auditor(&self, every: Duration, shutdown: CancellationToken) {
        let (metrics, scope) = (self.metrics(), AuditScope::default());
        loop {
            // Both arms are cancel-safe.
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(every) => {}
            }
            let waiting = Instant::now();
            while self.catches_up() && waiting.elapsed() < PATIENCE {
                tokio::select! {
                    () = shutdown.cancelled() => return,
                    () = tokio::time::sleep(LOOK_EVERY) => {}
                }
            }
            let is_through = !self.catches_up();
            if !is_through {
                tracing::warn!("the audit begins though the reconciler has not come through");
            }
            let left = is_through.then(AtomicU64::default);
            let reporter = Reporter { metrics, petrel: self, left };
            let begun = Instant::now();
            // Both arms are cancel-safe: an audit changes nothing.
            let audited = tokio::select! {
                () = shutdown.cancelled() => return,
                audited = self.audit(&scope, &reporter) => audited,
            };
            match audited {
                Ok(audited) => {
                    let left = reporter.left.map_or(0, AtomicU64::into_inner);
                    if left > 0 {
                        tracing::info!(
                            left,
                            "the audit has left to the reconciler what a crash took"
                        );
                    }
                    let found: u64 = audited.findings.values().sum();
                    let figures = AuditFigures {
                        findings: found.saturating_sub(left),
                        unchecked: audited.unchecked,
                        cases: audited.cases,
                    };
                    metrics.audits().ended(&figures, Utc::now(), begun.elapsed());
                    tracing::debug!(?audited, took = ?begun.elapsed(), "audited");
                }
                Err(error) => {
                    metrics.audits().failed();
                    tracing::warn!(%error, "the audit has ended early; it will be tried again");
                }
            }
        }
    }
}
