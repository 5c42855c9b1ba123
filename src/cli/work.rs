//! `petrel work`.

use clap::{Args, Subcommand};
use serde_json::{Map, Value};

use super::{
    answer::Answer,
    arguments::{ChangeArgs, PageArgs, json},
    connection::{self, Connection},
    failure::Failure,
    presentation::{self, changed, item_state, listing, time},
    table::Table,
};
use crate::{
    config::Config,
    engine::Answered,
    models::{CaseId, Failure as Failed, OutcomeId, QueueId, WorkflowId},
    petrel::{OpenItem, Petrel, WorkFilter, WorkId},
};

/// Work items: activities of cases that wait for a worker, or are with one
#[derive(Debug, Subcommand)]
pub(super) enum Work {
    List(List),
    Complete(Complete),
    Fail(Fail),
}

const LIST_EXAMPLES: &str = "\
Examples:
  petrel work list
  petrel work list --queue billing
  petrel work list orders
  petrel work list orders order-1";

/// List open work items: with whom each is, and what it waits for
///
/// Of all cases, of a workflow, or of one case. What another process opened in the last second may be
/// missing, but for that of one case.
#[derive(Debug, Args)]
#[command(after_help = LIST_EXAMPLES)]
pub(super) struct List {
    /// Only those of this workflow
    workflow: Option<WorkflowId>,
    /// Only those of this case
    case: Option<CaseId>,
    /// Only those of this queue
    #[arg(long, conflicts_with = "case")]
    queue: Option<QueueId>,
    #[command(flatten)]
    page: PageArgs,
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
        let Self { workflow, case, queue, page } = self;
        if let (Some(workflow), Some(case)) = (&workflow, &case) {
            page.must_not_continue()?;
            return of_case(petrel, workflow, case).await;
        }
        let filter = WorkFilter { queue, workflow };
        let found = petrel.work_items(&filter, page.page()).await?;
        let header =
            ["WORKFLOW", "CASE", "ITEM", "ACTIVITY", "QUEUE", "STATE", "ATTEMPTS", "SINCE"];
        let mut table = Table::new(&header);
        for (_, open) in &found.items {
            let mut state = item_state(&open.item, &open.incidents);
            if open.is_paused {
                state.push_str("; its case is paused");
            }
            table.row([
                open.workflow.to_string(),
                open.case.to_string(),
                open.item.number.to_string(),
                open.item.transition.to_string(),
                open.queue.to_string(),
                state,
                open.item.attempt.to_string(),
                time(open.item.since),
            ]);
        }
        let item = |open: &OpenItem| {
            let mut item = serde_json::json!(open.item);
            item["workflow"] = serde_json::json!(open.workflow);
            item["case"] = serde_json::json!(open.case);
            item["queue"] = serde_json::json!(open.queue);
            item["kind"] = serde_json::json!(open.kind);
            item["case_paused"] = open.is_paused.into();
            item
        };
        Ok(presentation::page(&found, item, &table))
    }
}

async fn of_case(petrel: &Petrel, workflow: &WorkflowId, id: &CaseId) -> Result<Answer, Failure> {
    let case = petrel.case(workflow, id).await?;
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
