//! `petrel rebuild`.

use clap::Args;
use serde_json::{Value, json};

use super::{
    answer::Answer,
    bar::{REBUILDING, bar},
    connection::{self, Connection},
    failure::Failure,
};
use crate::{config::Config, petrel::Repaired};

const EXAMPLES: &str = "\
Examples:
  petrel rebuild
  petrel rebuild --remove-unknown

Tokens in the view whose workflow or case the log has not got are counted and left alone, and the
first ten are named: if the log was lost or is an old copy, the view is all that is left of them.
Restore the log; if it is the right one, --remove-unknown takes them away.

Exit codes: 0 the view is what the log says, 1 something was left alone, or could not be read or
mended; and 3 as for all commands: server unavailable.";

/// Make the views of all tokens equal to the log again, from its beginning
///
/// Views heal by themselves while `petrel serve` runs; this is for when they have been
/// deleted or changed by hand. It can be stopped and repeated at any time.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Rebuild {
    /// Take away the tokens of workflows and cases that the log has not got
    #[arg(long)]
    remove_unknown: bool,
}

impl Rebuild {
    pub(super) async fn run(self, config: &Config) -> Result<Answer, Failure> {
        let shutdown = connection::shutdown(config)?;
        let bar = bar(config, REBUILDING);
        let repaired = Connection::with(config, &shutdown, async |connection| {
            let progress = |done, of| {
                bar.set_length(of);
                bar.set_position(done);
            };
            let petrel = &connection.petrel;
            Ok(match self.remove_unknown {
                true => petrel.rebuild_and_remove_unknown(&progress).await?,
                false => petrel.rebuild(&progress).await?,
            })
        })
        .await;
        bar.finish_and_clear();
        Ok(answer(&repaired?))
    }
}

fn answer(repaired: &Repaired) -> Answer {
    let Repaired { cases, mended, ahead, failed, unknown, removed, unknown_subjects, .. } =
        repaired;
    let mut text = format!("cases looked at: {cases}, views mended: {mended}");
    if *ahead > 0 {
        text.push_str(&format!(
            ", {ahead} of them from later records than the log has: it has gone back"
        ));
    }
    if *removed > 0 {
        text.push_str(&format!(", {removed} of them taken away, which the log has not got"));
    }
    let mut json = json!(repaired);
    json["problem"] = Value::Null;
    let mut complaint = None;
    if *unknown > 0 {
        let all_named = unknown_subjects.len() as u64 >= *unknown;
        let (named, dots) = (unknown_subjects.join(", "), if all_named { "" } else { ", ..." });
        let problem = format!(
            "{unknown} tokens in the view are of workflows or cases that the log has not got, and \
             were left alone: {named}{dots}; if the log was lost or is an old copy, restore it; if \
             it is the right one, `petrel rebuild --remove-unknown` takes them away"
        );
        json["problem"] = json!(problem);
        complaint = Some(Failure::findings(problem));
    }
    let mut answer = Answer::new(json, text);
    answer.complaints.extend(complaint);
    if *failed > 0 {
        answer.complaints.push(Failure::corrupt(format!(
            "{failed} cases could not be read or mended; the log lines above say which and why"
        )));
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_that_could_not_be_read_are_a_complaint() {
        let fine = answer(&Repaired { cases: 3, mended: 1, ..Repaired::default() });
        assert_eq!(fine.text, "cases looked at: 3, views mended: 1");
        assert!(fine.complaints.is_empty());
        let ahead = answer(&Repaired { mended: 5, ahead: 2, ..Repaired::default() });
        assert!(ahead.text.contains("mended: 5, 2 of them from later records"), "{}", ahead.text);
        let named = vec!["cb.x".to_owned()];
        let unknown = Repaired { unknown: 2, unknown_subjects: named, ..Repaired::default() };
        let unknown = answer(&unknown);
        let said = unknown.complaints[0].to_text();
        assert!(said.contains("2 tokens") && said.contains("cb.x, ...;"), "{said}");
        assert!(unknown.json["problem"].as_str().unwrap().contains("--remove-unknown"));
        let broken = answer(&Repaired { cases: 3, failed: 2, ..Repaired::default() });
        assert!(broken.complaints[0].to_text().contains("2 cases"));
    }
}
