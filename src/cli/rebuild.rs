//! `petrel rebuild`.

use clap::Args;
use serde_json::json;

use super::{
    answer::Answer,
    bar::{REBUILDING, bar},
    connection::{self, Connection},
    failure::Failure,
};
use crate::{cases::Repaired, config::Config};

/// Make the views of all tokens equal to the log again, from its beginning
///
/// Views heal by themselves while `petrel serve` runs; this is for when they have been
/// deleted or changed by hand. It can be stopped and repeated at any time.
#[derive(Debug, Args)]
pub(super) struct Rebuild {}

impl Rebuild {
    pub(super) async fn run(self, config: &Config) -> Result<Answer, Failure> {
        let shutdown = connection::shutdown(config)?;
        let bar = bar(config, REBUILDING);
        let repaired = Connection::with(config, &shutdown, async |connection| {
            let progress = |done, of| {
                bar.set_length(of);
                bar.set_position(done);
            };
            Ok(connection.cases.rebuild(&progress).await?)
        })
        .await;
        bar.finish_and_clear();
        Ok(answer(repaired?))
    }
}

fn answer(repaired: Repaired) -> Answer {
    let Repaired { cases, mended, ahead, failed } = repaired;
    let mut text = format!("cases looked at: {cases}, views mended: {mended}");
    if ahead > 0 {
        text.push_str(&format!(
            ", {ahead} of them from later records than the log has: it has gone back"
        ));
    }
    let mut answer = Answer::new(json!(repaired), text);
    if failed > 0 {
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
        let fine = answer(Repaired { cases: 3, mended: 1, ..Repaired::default() });
        assert_eq!(fine.text, "cases looked at: 3, views mended: 1");
        assert!(fine.complaints.is_empty());
        let ahead = answer(Repaired { mended: 5, ahead: 2, ..Repaired::default() });
        assert!(ahead.text.contains("mended: 5, 2 of them from later records"), "{}", ahead.text);
        let broken = answer(Repaired { cases: 3, failed: 2, ..Repaired::default() });
        assert!(broken.complaints[0].to_text().contains("2 cases"));
    }
}
