//! What `petrel check` and `petrel workflow apply` say of soundness, and the settings of it.

use std::time::Duration;

use clap::Args;

use crate::{
    analysis::{Report, Verdict},
    config::duration,
    models::visible,
    petrel::Checks,
};

/// How definitions are checked before they are stored.
#[derive(Debug, Args)]
pub(super) struct Soundness {
    /// Refuse definitions that are not known to be sound; `petrel check --help` says what that is
    #[arg(long, env = "PETREL_REQUIRE_SOUND", hide_env_values = true)]
    require_sound: bool,
    /// How long the check of a definition may take before it is given up as unknown, as in 500ms
    #[arg(long, env = "PETREL_CHECK_BUDGET", value_name = "TIME", hide_env_values = true)]
    #[arg(default_value = "1s", value_parser = duration)]
    check_budget: Duration,
}

impl Soundness {
    pub(super) fn checks(&self) -> Checks {
        Checks { budget: self.check_budget, require_sound: self.require_sound }
    }
}

/// A report as lines: the verdict with what decided it, then what was found, and notes.
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
    for note in &report.notes {
        text.push_str(&format!("  note: {}\n", visible(note)));
    }
    text
}
