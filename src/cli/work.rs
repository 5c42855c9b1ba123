//! `petrel work`.

use clap::{Args, Subcommand};
use serde_json::{Map, Value};

use super::{
    answer::Answer,
    arguments::{ChangeArgs, json},
    connection::{self, Connection},
    failure::Failure,
    presentation::{changed, item_state, listing, time},
    table::Table,
};
use crate::{
    config::Config,
    engine::Answered,
    models::{CaseId, Failure as Failed, OutcomeId, WorkflowId},
    petrel::{Petrel, WorkId},
};

/// Work items: activities of a case that wait for a worker, or are with one
#[derive(Debug, Subcommand)]
pub(super) enum Work {
    List(List),
    Complete(Complete),
    Fail(Fail),
}

/// List the open work items of a case: with whom each is, and what it waits for
#[derive(Debug, Args)]
pub(super) struct List {
    /// The workflow
    workflow: WorkflowId,
    /// The case
    case: CaseId,
}

/// A work item.
#[derive(Debug, Args)]
struct OfItem {
    /// The workflow
    workflow: WorkflowId,
    /// The case
    case: CaseId,
    /// Number of the item in the case
    item: u64,
    /// Claim that answers; without, it is a person's word, which ends the item whoever has it
    #[arg(long, value_name = "N")]
    claim: Option<u64>,
}

const COMPLETE_EXAMPLES: &str = "\
Examples:
  petrel work complete orders order-1 2
  petrel work complete orders order-1 2 --outcome declined --result '{\"reason\": \"limit\"}'";

/// End a work item with its result: its activity fires
#[derive(Debug, Args)]
#[command(after_help = COMPLETE_EXAMPLES)]
pub(super) struct Complete {
    #[command(flatten)]
    of: OfItem,
    /// Outcome by which the activity ends, if it has several
    #[arg(long, value_name = "OUTCOME")]
    outcome: Option<OutcomeId>,
    /// Result, as JSON [default: {}]
    #[arg(long, value_name = "JSON", value_parser = json)]
    result: Option<Value>,
    #[command(flatten)]
    change: ChangeArgs,
}

/// End an attempt at a work item as failed
#[derive(Debug, Args)]
pub(super) struct Fail {
    #[command(flatten)]
    of: OfItem,
    /// Code of the failure
    #[arg(long, value_name = "CODE")]
    code: String,
    /// Words about it
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    message: String,
    /// Another attempt makes no sense
    #[arg(long)]
    without_retry: bool,
    #[command(flatten)]
    change: ChangeArgs,
}

impl Work {
    pub(super) async fn run(self, config: &Config) -> Result<Answer, Failure> {
        let shutdown = connection::shutdown(config)?;
        Connection::with(config, &shutdown, async |connection| match self {
            Self::List(list) => list.run(&connection.petrel).await,
            Self::Complete(complete) => complete.run(&connection.petrel).await,
            Self::Fail(fail) => fail.run(&connection.petrel).await,
        })
        .await
    }
}

impl OfItem {
    fn work(self) -> WorkId {
        let Self { workflow, case, item, .. } = self;
        WorkId { workflow, case, item }
    }
}

impl List {
    async fn run(self, petrel: &Petrel) -> Result<Answer, Failure> {
        let case = petrel.case(&self.workflow, &self.case).await?;
        let mut table = Table::new(&["ITEM", "ACTIVITY", "STATE", "ATTEMPTS", "SINCE"]);
        for item in &case.items {
            table.row([
                item.number.to_string(),
                item.transition.to_string(),
                item_state(item, &case.incidents),
                item.attempt.to_string(),
                time(item.since),
            ]);
        }
        let items = case.items.iter().map(|item| serde_json::json!(item)).collect();
        Ok(listing(items, None, &table))
    }
}

impl Complete {
    async fn run(self, petrel: &Petrel) -> Result<Answer, Failure> {
        let Self { of, outcome, result, change } = self;
        let (claim, work) = (of.claim, of.work());
        let result = result.unwrap_or_else(|| Value::Object(Map::new()));
        let answer = Answered { outcome, result, hand_over: None };
        Ok(changed(&petrel.complete_work(&work, claim, answer, change.change()).await?))
    }
}

impl Fail {
    async fn run(self, petrel: &Petrel) -> Result<Answer, Failure> {
        let Self { of, code, message, without_retry: is_final, change } = self;
        let (claim, work) = (of.claim, of.work());
        let failure = Failed { code, message, is_final, ..Failed::default() };
        Ok(changed(&petrel.fail_work(&work, claim, failure, change.change()).await?))
    }
}
