//! `petrel workflow`.

use crate::storage::CaseLogExt;
use std::{path::PathBuf, sync::Arc};

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{
    answer::Answer,
    arguments::first,
    connection::{self, Connection},
    definition_file,
    failure::Failure,
    presentation::{listing, time},
    soundness::{self, Soundness},
    table::Table,
};
use crate::{
    analysis::Report,
    config::Config,
    models::{LogSequence, StoredDefinition, Version, WorkflowDefinition, WorkflowId},
    petrel::{Error, ExpectedVersion, Lookup, Petrel},
};

/// Workflow definitions: apply, list, show
#[derive(Debug, Subcommand)]
pub(super) enum Workflow {
    Apply(Apply),
    List(List),
    Show(Show),
    Schema(Schema),
}

const APPLY_EXAMPLES: &str = "\
Examples:
  petrel workflow apply orders.yaml returns.json
  petrel workflow show orders | sed s/Orders/Purchases/ | petrel workflow apply -
  petrel workflow apply orders.yaml --expect-version 3
  petrel workflow apply orders.yaml --require-sound

A case runs the version that was the latest when it started. The answer says whether the
definition is sound; `petrel check` says it without storing anything.";

/// Store definitions from YAML or JSON files; the same definition again makes no new version
#[derive(Debug, Args)]
#[command(after_help = APPLY_EXAMPLES)]
pub(super) struct Apply {
    /// Files with one definition each; - is the standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Refuse if the latest version is another one
    #[arg(long, value_name = "N", conflicts_with = "create_only")]
    expect_version: Option<u64>,
    /// Refuse if the workflow exists
    #[arg(long)]
    create_only: bool,
    #[command(flatten)]
    soundness: Soundness,
}

/// List the workflows in their latest versions
#[derive(Debug, Args)]
pub(super) struct List {
    /// Most workflows to list
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = first())]
    first: usize,
    /// Continue after this workflow
    #[arg(long, value_name = "WORKFLOW")]
    after: Option<WorkflowId>,
}

const SCHEMA_EXAMPLES: &str = "\
Examples:
  petrel workflow schema > workflow.schema.json

An editor with a YAML language server completes and checks a file that begins with
  # yaml-language-server: $schema=workflow.schema.json
What only a net tells, `petrel check` says.";

/// Print the JSON Schema of definitions, for editors
#[derive(Debug, Args)]
#[command(after_help = SCHEMA_EXAMPLES)]
pub(super) struct Schema {}

impl Schema {
    fn run() -> Answer {
        let mut schema = schemars::schema_for!(WorkflowDefinition).to_value();
        schema["title"] = json!("Storm Petrel workflow definition");
        let text = format!("{schema:#}\n");
        Answer::document(schema, text)
    }
}

/// Show a definition as YAML, as `petrel workflow apply` reads it
#[derive(Debug, Args)]
pub(super) struct Show {
    /// The workflow
    workflow: WorkflowId,
    /// Version at this log sequence, as a case names it [default: the latest]
    #[arg(long, value_name = "SEQUENCE")]
    version_sequence: Option<LogSequence>,
}

impl Workflow {
    pub(super) async fn run(self, config: &Config) -> Result<Answer, Failure> {
        let shutdown = connection::shutdown(config)?;
        match self {
            Self::Schema(_) => Ok(Schema::run()),
            Self::Apply(apply) => {
                // All files are read before anything is stored.
                let files = apply.files.iter();
                let definitions: Vec<_> = files
                    .map(|file| Ok((file.display().to_string(), definition_file::read(file)?)))
                    .collect::<Result<_, Failure>>()?;
                let (expected, checks) = (apply.expected(), apply.soundness.checks());
                Connection::with(config, &shutdown, async |connection| {
                    let cases = connection.petrel.clone().with_checks(checks);
                    Ok(apply_all(&cases, definitions, expected).await)
                })
                .await
            }
            Self::List(list) => {
                Connection::with(config, &shutdown, async |connection| {
                    list.run(&connection.petrel).await
                })
                .await
            }
            Self::Show(show) => {
                Connection::with(config, &shutdown, async |connection| {
                    show.run(&connection.petrel).await
                })
                .await
            }
        }
    }
}

impl Apply {
    fn expected(&self) -> ExpectedVersion {
        match self.expect_version {
            _ if self.create_only => ExpectedVersion::New,
            Some(version) => {
                Version::new(version).map_or(ExpectedVersion::New, ExpectedVersion::Version)
            }
            None => ExpectedVersion::Any,
        }
    }
}

/// Stores each definition. One that is refused stops none of the others.
async fn apply_all(
    petrel: &Petrel,
    definitions: Vec<(String, WorkflowDefinition)>,
    expected: ExpectedVersion,
) -> Answer {
    let mut answer = Answer::default();
    let mut items = Vec::new();
    for (file, definition) in definitions {
        let id = definition.id.clone();
        items.push(match apply(petrel, definition, expected).await {
            Ok((outcome, stored, report)) => {
                let repeated = outcome == "unchanged";
                let (version, sequence) = (stored.version, stored.sequence);
                let soundness = soundness::text(&report);
                answer.text.push_str(&format!("{id}: {outcome} v{version}, {soundness}"));
                json!({
                    "file": file, "workflow": id, "outcome": outcome, "repeated": repeated,
                    "version": version, "sequence": sequence, "analysis": report,
                })
            }
            Err(failure) => {
                let failure = failure.about(&file);
                let mut item = failure.to_json();
                item["file"] = Value::from(file);
                item["workflow"] = Value::from(id.as_str());
                answer.complaints.push(failure);
                item
            }
        });
    }
    answer.json = json!({ "items": items, "next": null });
    answer
}

async fn apply(
    petrel: &Petrel,
    definition: WorkflowDefinition,
    expected: ExpectedVersion,
) -> Result<(&'static str, StoredDefinition, Arc<Report>), Failure> {
    let (stored, repeated) = petrel.store_workflow(definition, expected).await?;
    let outcome = match stored.version {
        _ if repeated => "unchanged",
        Version::FIRST => "created",
        _ => "updated",
    };
    let report = petrel.analysis(&stored).await?;
    Ok((outcome, stored, report))
}

impl List {
    async fn run(self, petrel: &Petrel) -> Result<Answer, Failure> {
        let (workflows, has_next) = petrel.workflows(self.first, self.after.as_ref()).await?;
        let mut table = Table::new(&["WORKFLOW", "VERSION", "STORED", "NAME"]);
        for stored in &workflows {
            table.row([
                stored.definition.id.to_string(),
                format!("v{}", stored.version),
                time(stored.stored_at),
                stored.definition.name.clone(),
            ]);
        }
        let last = workflows.last().filter(|_| has_next);
        let next = last.map(|stored| Value::from(stored.definition.id.as_str()));
        let items = workflows.iter().map(|stored| json!(stored)).collect();
        Ok(listing(items, next, &table))
    }
}

impl Show {
    async fn run(self, petrel: &Petrel) -> Result<Answer, Failure> {
        let stored = match self.version_sequence {
            None => StoredDefinition::clone(&*petrel.workflow(&self.workflow).await?),
            Some(sequence) => {
                let found = petrel.storage().definition_at(&self.workflow, sequence).await?;
                let workflow = self.workflow.clone();
                found.ok_or(Error::NotFound(Lookup::Definition { workflow, sequence }))?
            }
        };
        let StoredDefinition { definition, version, sequence, stored_at } = &stored;
        let yaml = definition_file::to_yaml(definition)?;
        let stored_at = time(*stored_at);
        let text = format!("# v{version}, log sequence {sequence}, stored {stored_at}\n{yaml}");
        Ok(Answer::document(json!(stored), text))
    }
}
