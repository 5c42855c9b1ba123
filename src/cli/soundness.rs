//! Soundness in the answers of `petrel check` and `petrel workflow apply`, and its settings.

use std::time::Duration;

use clap::Args;

use crate::{
    analysis::{Report, Verdict},
    config::duration,
    models::visible,
    petrel::Checks,
};

/// Settings of the check of definitions before they are stored.
#[derive(Debug, Args)]
pub(super) struct Soundness {
    /// Refuse definitions that are not known to be sound; see `petrel check --help`
    #[arg(long, env = "PETREL_REQUIRE_SOUND", hide_env_values = true)]
    require_sound: bool,
    /// Longest time of the check of a definition, after which it is unknown, as in 500ms
    #[arg(long, env = "PETREL_CHECK_BUDGET", value_name = "TIME", hide_env_values = true)]
    #[arg(default_value = "1s", value_parser = duration)]
    check_budget: Duration,
}

impl Soundness {
    pub(super) fn checks(&self) -> Checks {
        Checks { budget: self.check_budget, require_sound: self.require_sound }
    }
}

/// A report as lines: the verdict with its reason, then the findings, and notes.
pub(super) fn text(report: &Report) -> String {
    let net = &report.net;
    let mut text = match report.verdict {
        Verdict::Sound => "sound".to_owned(),
        Verdict::Unsound => "not sound".to_owned(),
        Verdict::Unknown => "not known to be sound".to_owned(),
    };
    if report.verdict != Verdict::Unknown {
        text.push_str(&format!(", by {}", report.decided_by.as_str()));
    }
    text.push_str(&format!(
        " ({} places, {} transitions, {} arcs",
        net.places, net.transitions, net.arcs
    ));
    if let Some(states) = net.states {
        text.push_str(&format!(", {states} markings"));
    }
    text.push_str(")\n");
    for finding in &report.findings {
        text.push_str(&format!("  {}\n", visible(&finding.to_string())));
    }
    if let Some(endless) = &net.endless {
        text.push_str(&format!("  {}\n", visible(&endless.to_string())));
    }
    for note in &report.notes {
        text.push_str(&format!("  note: {}\n", visible(note)));
    }
    text
}
