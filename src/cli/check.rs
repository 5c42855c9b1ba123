//! `petrel check`.

use std::{path::PathBuf, time::Duration};

use clap::Args;
use serde_json::json;

use super::{answer::Answer, failure::Failure, net_file, soundness, watching::Watching};
use crate::{
    analysis::{Limits, Verdict, check},
    config::{Config, duration},
    models::visible,
};

const EXAMPLES: &str = "\
Examples:
  petrel check orders.yaml
  petrel check workflows/*.yaml --json
  petrel check net.pnml --budget 5m --max-states 100000000
  petrel workflow show orders | petrel check -       a workflow that is stored

A workflow is sound if from everything that can happen a case can still end, nothing is left
over when it does, and every transition can fire. An unsound one is shown with the transitions
to fire, one after the other, to see it go wrong. Guards are taken as free choices. Where a file
or a definition names final markings, a case is to end in one of these.

Exit codes: 0 sound, 1 not sound, 2 not decided within the limits or not readable.
With several files, 1 if any is not sound, else 2 if any was not decided.";

/// Check the soundness of workflows, before they run; needs no server
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Check {
    /// Definitions (YAML or JSON) or nets (PNML); - is the standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Approximate time for the check of a net, as in 30s
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration)]
    budget: Duration,
    /// Most markings to look at, within 1 GiB of memory
    #[arg(long, value_name = "N", default_value_t = Limits::default().states)]
    max_states: usize,
}

impl Check {
    pub(super) fn run(self, config: &Config) -> Result<Answer, Failure> {
        let mut watching = Watching::new(self.budget, config);
        let limits = Limits { states: self.max_states, ..Limits::default() };
        let mut answer = Answer::default();
        let mut items = Vec::new();
        let mut worst = Verdict::Sound;
        for file in &self.files {
            let name = file.display();
            let (verdict, item) = match net_file::read(file) {
                Ok(nets) => {
                    let mut verdict = Verdict::Sound;
                    let mut reports = Vec::new();
                    for net in nets {
                        watching.begin();
                        let mut watch = |progress| watching.watch(progress);
                        let mut report =
                            check(&net.net, &net.ends, &net.final_markings, &limits, &mut watch);
                        report.notes.extend(net.notes);
                        let text = soundness::text(&report);
                        answer.text.push_str(&format!("{name}: {}: {text}", visible(&net.name)));
                        verdict = worse(verdict, report.verdict);
                        reports.push(json!({ "name": net.name, "analysis": report }));
                    }
                    (verdict, json!({ "file": file, "verdict": verdict, "nets": reports }))
                }
                Err(failure) => {
                    let mut item = failure.to_json();
                    item["file"] = json!(file);
                    answer.complaints.push(failure);
                    (Verdict::Unknown, item)
                }
            };
            worst = worse(worst, verdict);
            items.push(item);
        }
        watching.end();
        answer.json = json!({ "items": items, "verdict": worst });
        answer.exit = Some(match worst {
            Verdict::Sound => 0,
            Verdict::Unsound => 1,
            Verdict::Unknown => 2,
        });
        Ok(answer)
    }
}

/// The one of two verdicts that the exit code tells.
fn worse(one: Verdict, other: Verdict) -> Verdict {
    match (one, other) {
        (Verdict::Unsound, _) | (_, Verdict::Unsound) => Verdict::Unsound,
        (Verdict::Unknown, _) | (_, Verdict::Unknown) => Verdict::Unknown,
        _ => Verdict::Sound,
    }
}
