//! `petrel incident`.

use clap::{Args, Subcommand};

use super::{
    answer::Answer,
    arguments::ChangeArgs,
    connection::{self, Connection},
    failure::Failure,
    presentation::{changed, incident_line, incident_of, listing, time},
    table::Table,
};
use crate::{
    config::Config,
    models::{CaseId, WorkflowId},
    petrel::Petrel,
};

/// Incidents: parts of a case that can't go on until a person acts
#[derive(Debug, Subcommand)]
pub(super) enum Incident {
    List(List),
    Retry(Retry),
}

/// List the open incidents of a case, each with its cause
#[derive(Debug, Args)]
pub(super) struct List {
    /// The workflow
    workflow: WorkflowId,
    /// The case
    case: CaseId,
}

const RETRY_EXAMPLES: &str = "\
Examples:
  petrel incident retry order-approval order-1 2
  petrel incident retry order-approval order-1 2 --by alice --firing-id again-1

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
    #[command(flatten)]
    change: ChangeArgs,
}

impl Incident {
    pub(super) async fn run(self, config: &Config) -> Result<Answer, Failure> {
        let shutdown = connection::shutdown(config)?;
        Connection::with(config, &shutdown, async |connection| match self {
            Self::List(list) => list.run(&connection.petrel).await,
            Self::Retry(retry) => retry.run(&connection.petrel).await,
        })
        .await
    }
}

impl List {
    async fn run(self, petrel: &Petrel) -> Result<Answer, Failure> {
        let case = petrel.case(&self.workflow, &self.case).await?;
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
}

impl Retry {
    async fn run(self, petrel: &Petrel) -> Result<Answer, Failure> {
        let Self { workflow, case, incident, change } = self;
        let done = petrel.retry_incident(&workflow, &case, incident, change.change()).await?;
        let mut answer = changed(&done);
        for open in &done.case.incidents {
            answer.text.push_str(&incident_line(open));
            answer.text.push('\n');
        }
        Ok(answer)
    }
}
