//! The audit as a task of a serving process.

use std::time::{Duration, Instant};

use chrono::Utc;
use tokio_util::sync::CancellationToken;

use super::{AuditScope, AuditWatcher, Finding, FindingIn};
use crate::petrel::{Metrics, Petrel, audit_metrics::AuditFigures};

/// Time between two looks if the reconciler has come through.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Writes findings to the process's log and counts them.
struct Reporter<'a>(&'a Metrics, &'a Petrel);

impl AuditWatcher for Reporter<'_> {
    fn found(&self, finding: Finding) {
        // The server has crashed since the audit began, and the reconciler is about to mend it.
        if finding.place_of == FindingIn::View && self.1.catches_up() {
            tracing::debug!(case = %finding.case, "left to the reconciler: {}", finding.message);
            return;
        }
        self.0.audits().found(finding.kind.as_str());
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
        let reporter = Reporter(metrics, self);
        loop {
            // Both arms are cancel-safe.
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(every) => {}
            }
            while self.catches_up() {
                tokio::select! {
                    () = shutdown.cancelled() => return,
                    () = tokio::time::sleep(LOOK_EVERY) => {}
                }
            }
            let begun = Instant::now();
            // Both arms are cancel-safe: an audit changes nothing.
            let audited = tokio::select! {
                () = shutdown.cancelled() => return,
                audited = self.audit(&scope, &reporter) => audited,
            };
            match audited {
                Ok(audited) => {
                    let figures = AuditFigures {
                        findings: audited.findings.values().sum(),
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
