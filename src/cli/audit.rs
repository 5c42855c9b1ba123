//! `petrel audit`.

use std::{
    fmt::Write,
    sync::{Mutex, MutexGuard, PoisonError},
};

use clap::Args;
use indicatif::ProgressBar;
use serde_json::json;

use super::{
    answer::{Answer, line},
    bar::{AUDITING, bar},
    connection::{self, Connection},
    failure::Failure,
};
use crate::{
    audit::{AuditScope, AuditWatcher, Audited, Finding, FindingIn},
    config::Config,
    models::{CaseId, WorkflowId, visible},
};

/// Numbers of findings, and of things that could not be checked, that a JSON answer lists.
const LISTED: usize = 10_000;

const EXAMPLES: &str = "\
Examples:
  petrel audit
  petrel audit order-approval --replay
  petrel audit order-approval --case order-1 --json

A finding says what is wrong (a token lost, doubled or in the wrong place; a record missing,
changed or impossible), whether it is in the log or in a view, and its case, record (by its
sequence in the log) and place. --json lists the first 10,000; findings_total counts all.

Nothing is repaired. Views: `petrel rebuild` makes them from the log again, and with
--remove-unknown takes away tokens of cases that the log has not got. The log is the truth and is
never rewritten: what is wrong there was changed by something else than petrel, and a backup says
how it was.

Exit codes: 0 all is well, 1 something was found, 2 nothing was found, but not everything could
be checked; and 3 as for all commands: server unavailable.";

/// Check that no token is lost, doubled or in the wrong place
///
/// Compares every case's log with itself and with the views of its tokens. It can run while
/// the system works: a view that lags behind for a moment is not reported.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Audit {
    /// The only workflow to audit [default: all]
    workflow: Option<WorkflowId>,
    /// The only case to audit, from the start of its log; can be repeated
    #[arg(long = "case", value_name = "CASE", requires = "workflow")]
    cases: Vec<CaseId>,
    /// Fire every case's log again from its start, and check the chain of its records' hashes.
    /// Without it, only a case's last record is fired again, and its tokens are counted by the
    /// net's invariants (weighted sums over places that no firing changes)
    #[arg(long)]
    replay: bool,
}

impl Audit {
    pub(super) async fn run(self, config: &Config) -> Result<Answer, Failure> {
        let shutdown = connection::shutdown(config)?;
        let Self { workflow, cases, replay } = self;
        let scope = AuditScope { workflow, cases, replay };
        let reporter =
            Reporter { as_json: config.json, bar: bar(config, AUDITING), heard: Mutex::default() };
        let audited = Connection::with(config, &shutdown, async |connection| {
            Ok(connection.petrel.audit(&scope, &reporter).await?)
        })
        .await;
        reporter.bar.finish_and_clear();
        let heard = reporter.heard.into_inner().unwrap_or_else(PoisonError::into_inner);
        match heard.failed {
            Some(failure) => Err(failure),
            None => Ok(answer(&audited?, &heard)),
        }
    }
}

/// Prints findings as they come, or keeps them for the JSON document.
struct Reporter {
    as_json: bool,
    bar: ProgressBar,
    heard: Mutex<Heard>,
}

#[derive(Debug, Default)]
struct Heard {
    findings: Vec<Finding>,
    unchecked: Vec<String>,
    notes: Vec<String>,
    /// True if any finding is in a view.
    in_views: bool,
    /// Error of standard output, if it can't be written any more.
    failed: Option<Failure>,
}

impl Reporter {
    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn say(&self, text: &str) {
        if let Err(failure) = self.bar.suspend(|| line(&visible(text))) {
            self.heard().failed.get_or_insert(failure);
        }
    }
}

impl AuditWatcher for Reporter {
    fn found(&self, finding: Finding) {
        self.heard().in_views |= finding.place_of == FindingIn::View;
        if !self.as_json {
            self.say(&text(&finding));
        } else if self.heard().findings.len() < LISTED {
            self.heard().findings.push(finding);
        }
    }

    fn unchecked(&self, reason: &str) {
        if !self.as_json {
            self.say(&format!("not checked: {reason}"));
        } else if self.heard().unchecked.len() < LISTED {
            self.heard().unchecked.push(reason.to_owned());
        }
    }

    fn noted(&self, notice: &str) {
        if !self.as_json {
            self.say(&format!("note: {notice}"));
        } else if self.heard().notes.len() < LISTED {
            self.heard().notes.push(notice.to_owned());
        }
    }

    fn progress(&self, done: u64, of: u64) {
        self.bar.set_length(of);
        self.bar.set_position(done);
    }
}

/// A finding in one line.
fn text(finding: &Finding) -> String {
    let Finding { kind, place_of, workflow, case, sequence, place, token, message } = finding;
    let (kind, place_of) = (kind.as_str(), place_of.as_str());
    let mut text = format!("{kind} in the {place_of}: workflow {workflow}, case {case}");
    // Writing to a String can't fail.
    if let Some(sequence) = sequence {
        let _ = write!(text, ", record {sequence}");
    }
    if let Some(place) = place {
        let _ = write!(text, ", place {place}");
    }
    if let Some(token) = token {
        let _ = write!(text, ", token {token}");
    }
    let _ = write!(text, ": {message}");
    text
}

fn answer(audited: &Audited, heard: &Heard) -> Answer {
    let Audited { cases, replayed, tokens, findings, unchecked, quarantined } = audited;
    let total: u64 = findings.values().sum();
    let json = json!({
        "cases": cases,
        "replayed": replayed,
        "tokens": tokens,
        "findings": heard.findings,
        "findings_total": total,
        "findings_by_kind": findings,
        "unchecked": heard.unchecked,
        "unchecked_total": unchecked,
        "notes": heard.notes,
        "quarantined_total": quarantined,
    });
    let text = format!(
        "cases: {cases}, records fired again: {replayed}, tokens in the view: {tokens}, \
         findings: {total}"
    );
    let mut answer = Answer::new(json, text);
    if total > 0 {
        let advice = match heard.in_views {
            true => "; views are made from the log again by `petrel rebuild`",
            false => "",
        };
        let things = if total == 1 { "thing is" } else { "things are" };
        let message = format!("{total} {things} not as they must be{advice}");
        answer.complaints.push(Failure::findings(message));
    }
    if *unchecked > 0 {
        let message = format!("{unchecked} could not be checked; the lines above say why");
        answer.complaints.push(Failure::incomplete(message));
    }
    answer
}
