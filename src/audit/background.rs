//! The audit as a task of a serving process.

use std::time::{Duration, Instant};

use chrono::Utc;
use tokio_util::sync::CancellationToken;

use super::{AuditScope, AuditWatcher, Finding};
use crate::petrel::{Metrics, Petrel, audit_metrics::AuditFigures};

/// Writes findings to the process's log and counts them.
struct Reporter<'a>(&'a Metrics);

impl AuditWatcher for Reporter<'_> {
    fn found(&self, finding: Finding) {
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
    /// `every` after the start, and then so long after the end of the audit before. The
    /// findings go to the process's log and its metrics.
    pub async fn run_auditor(&self, every: Duration, shutdown: CancellationToken) {
        let (metrics, scope) = (self.metrics(), AuditScope::default());
        let reporter = Reporter(metrics);
        loop {
            // Both arms are cancel-safe.
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(every) => {}
            }
            let begun = Instant::now();
            // Both arms are cancel-safe: an audit changes nothing.
            tokio::select! {
                           () = shutdown.cancelled() => return,
                           audited = self.audit(&scope, &reporter) => match audited {
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
}
