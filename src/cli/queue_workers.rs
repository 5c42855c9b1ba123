//! `petrel queue workers`.

use clap::Args;
use serde_json::json;

use super::{
    answer::Answer,
    failure::Failure,
    presentation::{listing, time},
    table::Table,
};
use crate::{
    models::QueueId,
    petrel::Petrel,
    storage::{Doing, PresentWorker, RunningAttempt},
};

/// Attempts of a worker that its line names.
const NAMED: usize = 3;

const EXAMPLES: &str = "\
Examples:
  petrel queue workers
  petrel queue workers billing";

/// List the workers that run now, and what each of them does
///
/// They are asked, and answer for themselves: one that is cut off, or stands still, is not among them.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Workers {
    /// Only those that serve this queue
    queue: Option<QueueId>,
}

impl Workers {
    pub(super) async fn run(self, petrel: &Petrel) -> Result<Answer, Failure> {
        let found = petrel.workers(self.queue.as_ref()).await?;
        let header = ["WORKER", "QUEUES", "KINDS", "DONE", "FAILED", "SINCE", "DOES NOW"];
        let mut table = Table::new(&header);
        for PresentWorker { card, doing, .. } in &found {
            let queues = card.queues.iter().map(|of| format!("{} ({})", of.queue, of.concurrency));
            let kinds = card.kinds.iter().map(ToString::to_string);
            table.row([
                card.name.clone(),
                queues.collect::<Vec<_>>().join(", "),
                kinds.collect::<Vec<_>>().join(", "),
                doing.ended.done.to_string(),
                doing.ended.failed.to_string(),
                time(card.since),
                does(doing),
            ]);
        }
        let items = found.iter().map(|worker| json!(worker)).collect();
        Ok(listing(items, None, &table))
    }
}

/// The doing of a worker, in words.
fn does(doing: &Doing) -> String {
    let Doing { attempts, running, stopping, .. } = doing;
    let one = |of: &RunningAttempt| {
        let RunningAttempt { workflow, case, item, kind, .. } = of;
        format!("{kind} of {workflow} {case} (item {item}) since {}", time(of.since))
    };
    let mut words: Vec<_> = attempts.iter().take(NAMED).map(one).collect();
    let more = running.saturating_sub(words.len() as u64);
    if more > 0 {
        words.push(format!("{more} more"));
    }
    if words.is_empty() {
        words.push("nothing".to_owned());
    }
    if *stopping {
        words.push("stops".to_owned());
    }
    words.join("; ")
}
