//! `petrel incident`.

use clap::{ArgGroup, Args, Subcommand};
use serde_json::{Map, Value};

use super::{
    answer::Answer,
    arguments::{ChangeArgs, PageArgs, json},
    connection::{self, Connection},
    failure::Failure,
    presentation::{changed, incident_line, incident_of, listing, time},
    table::Table,
};
use crate::{
    config::Config,
    durable::Settlement,
    engine::Answered,
    models::{self, CaseId, OutcomeId, TokenId, WorkflowId},
    petrel::{Correction, Error, Petrel},
};

/// Incidents: parts of cases that can't go on until a person acts
#[derive(Debug, Subcommand)]
pub(super) enum Incident {
    List(List),
    Retry(Retry),
    Complete(Complete),
    Settle(Settle),
}

const LIST_EXAMPLES: &str = "\
Examples:
  petrel incident list
  petrel incident list order-approval
  petrel incident list order-approval order-1";

/// List open incidents, each with its cause
///
/// Of all cases, of a workflow, or of one case. What began in another process in the last second may be
/// missing, but for that of one case.
#[derive(Debug, Args)]
#[command(after_help = LIST_EXAMPLES)]
pub(super) struct List {
    /// Only those of this workflow
    workflow: Option<WorkflowId>,
    /// Only those of this case
    case: Option<CaseId>,
    #[command(flatten)]
    page: PageArgs,
}

const RETRY_EXAMPLES: &str = "\
Examples:
  petrel incident retry order-approval order-1 2
  petrel incident retry order-approval order-1 2 --by alice --firing-id again-1
  petrel incident retry order-approval order-1 2 --data TOKEN='{\"card\": \"4711\"}'

Mend the cause first: if it is still there, the case has a new incident afterwards.";

/// End an open incident and try again what it stopped
#[derive(Debug, Args)]
#[command(after_help = RETRY_EXAMPLES)]
pub(super) struct Retry {
    /// The workflow
    workflow: WorkflowId,
    /// The case
    case: CaseId,
    /// Number of the incident in the case
    incident: u64,
    /// Patch to merge into the data of a token before it is tried again (RFC 7396: null removes a key); for
    /// several tokens, several times
    #[arg(long, value_name = "TOKEN=JSON", value_parser = correction)]
    data: Vec<Correction>,
    #[command(flatten)]
    change: ChangeArgs,
}

/// A token and the patch of its data.
fn correction(text: &str) -> Result<Correction, String> {
    let (token, patch) = text.split_once('=').ok_or("not TOKEN=JSON")?;
    let token = TokenId::new(token).map_err(|error| error.to_string())?;
    Ok(Correction { token, patch: json(patch)? })
}

const COMPLETE_EXAMPLES: &str = "\
Examples:
  petrel incident complete orders order-1 1 --result '{\"paid\": true}'
  petrel incident complete orders order-1 1 --outcome declined --by alice";

/// End the work item that an incident stops, with a result: its activity fires
#[derive(Debug, Args)]
#[command(after_help = COMPLETE_EXAMPLES)]
pub(super) struct Complete {
    /// The workflow
    workflow: WorkflowId,
    /// The case
    case: CaseId,
    /// Number of the incident in the case
    incident: u64,
    /// Outcome by which the activity ends, if it has several
    #[arg(long, value_name = "OUTCOME")]
    outcome: Option<OutcomeId>,
    /// Result, as JSON [default: {}]
    #[arg(long, value_name = "JSON", value_parser = json)]
    result: Option<Value>,
    #[command(flatten)]
    change: ChangeArgs,
}

const SETTLE_EXAMPLES: &str = "\
Examples:
  petrel incident settle orders order-1 1 --result '{\"receipt\": \"r-17\"}' --by alice
  petrel incident settle orders order-1 1 --failed NO_MONEY --message 'the account is empty'
  petrel incident settle orders order-1 1 --not-done

Look outside what became of it, before you say it.";

/// Say what became of a durable handler's step whose worker was lost in it, and go on (OUTCOME_UNKNOWN)
#[derive(Debug, Args)]
#[command(after_help = SETTLE_EXAMPLES)]
#[command(group(ArgGroup::new("settlement").required(true).args(["result", "failed", "not_done"])))]
pub(super) struct Settle {
    /// The workflow
    workflow: WorkflowId,
    /// The case
    case: CaseId,
    /// Number of the incident in the case
    incident: u64,
    /// It had its effect, and this result, as JSON
    #[arg(long, value_name = "JSON", value_parser = json)]
    result: Option<Value>,
    /// It failed, with this code
    #[arg(long, value_name = "CODE")]
    failed: Option<String>,
    /// Words about the failure
    #[arg(long, value_name = "TEXT", requires = "failed", default_value = "")]
    message: String,
    /// It had no effect: it is carried out
    #[arg(long)]
    not_done: bool,
    #[command(flatten)]
    change: ChangeArgs,
}

impl Incident {
    pub(super) async fn run(self, config: &Config) -> Result<Answer, Failure> {
        let shutdown = connection::shutdown(config)?;
        Connection::with(config, &shutdown, async |connection| match self {
            Self::List(list) => list.run(&connection.petrel).await,
            Self::Retry(retry) => retry.run(&connection.petrel).await,
            Self::Complete(complete) => complete.run(&connection.petrel).await,
            Self::Settle(settle) => settle.run(&connection.petrel).await,
        })
        .await
    }
}

impl List {
    async fn run(self, petrel: &Petrel) -> Result<Answer, Failure> {
        let Self { workflow, case, page } = self;
        if let (Some(workflow), Some(case)) = (&workflow, &case) {
            page.must_not_continue()?;
            return of_case(petrel, workflow, case).await;
        }
        let found = petrel.incidents(workflow.as_ref(), page.page()).await?;
        let header = ["WORKFLOW", "CASE", "INCIDENT", "OF", "CODE", "SINCE", "CAUSE"];
        let (mut table, mut items) = (Table::new(&header), Vec::new());
        for (_, open) in &found.items {
            let cause = match petrel.explanation_of(open).await {
                Err(error) if !error.retryable() => error.to_string(),
                cause => cause?,
            };
            table.row([
                open.workflow.to_string(),
                open.case.to_string(),
                open.incident.number.to_string(),
                incident_of(&open.incident.about),
                open.incident.code.as_str().to_owned(),
                time(open.incident.since),
                cause.clone(),
            ]);
            let mut item = serde_json::json!(open.incident);
            item["workflow"] = serde_json::json!(open.workflow);
            item["case"] = serde_json::json!(open.case);
            item["explanation"] = cause.into();
            items.push(item);
        }
        let next = found.end().filter(|_| found.has_next).map(|cursor| cursor.0);
        Ok(listing(items, next.map(Value::from), &table))
    }
}

async fn of_case(petrel: &Petrel, workflow: &WorkflowId, id: &CaseId) -> Result<Answer, Failure> {
    let case = petrel.case(workflow, id).await?;
    let mut table = Table::new(&["INCIDENT", "OF", "CODE", "SINCE", "CAUSE"]);
    let mut items = Vec::new();
    for open in &case.incidents {
        let cause = petrel.incident_explanation(&case, open).await?;
        table.row([
            open.number.to_string(),
            incident_of(&open.about),
            open.code.as_str().to_owned(),
            time(open.since),
            cause.clone(),
        ]);
        let mut item = serde_json::json!(open);
        item["explanation"] = cause.into();
        items.push(item);
    }
    Ok(listing(items, None, &table))
}

impl Retry {
    async fn run(self, petrel: &Petrel) -> Result<Answer, Failure> {
        let Self { workflow, case, incident, data, change } = self;
        let change = change.change();
        let done = petrel.retry_incident_with(&workflow, &case, incident, data, change).await;
        let done = done.map_err(|error| match error {
            Error::InvalidArgument { argument, reason }
                if ["corrections", "patch"].contains(&argument.as_str()) =>
            {
                Error::argument("--data", reason)
            }
            error => error,
        })?;
        let mut answer = changed(&done);
        for open in &done.case.incidents {
            answer.text.push_str(&incident_line(open));
            answer.text.push('\n');
        }
        Ok(answer)
    }
}

impl Complete {
    async fn run(self, petrel: &Petrel) -> Result<Answer, Failure> {
        let Self { workflow, case, incident, outcome, result, change } = self;
        let result = result.unwrap_or_else(|| Value::Object(Map::new()));
        let answer = Answered { outcome, result, hand_over: None };
        let done = petrel.complete_incident(&workflow, &case, incident, answer, change.change());
        Ok(changed(&done.await?))
    }
}

impl Settle {
    async fn run(self, petrel: &Petrel) -> Result<Answer, Failure> {
        let Self { workflow, case, incident, result, failed, message, change, .. } = self;
        let settlement = match (result, failed) {
            (Some(result), _) => Settlement::Done(result),
            (None, Some(code)) => {
                Settlement::Failed(models::Failure { code, message, ..Default::default() })
            }
            (None, None) => Settlement::NotDone,
        };
        let change = change.change();
        let done = petrel.settle_step(&workflow, &case, incident, settlement, change);
        Ok(changed(&Box::pin(done).await?))
    }
}
