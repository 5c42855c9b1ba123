//! `petrel case`.

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use futures::StreamExt;
use serde_json::{Map, Value, json as object};

use super::{
    answer::{Answer, json_line, line},
    arguments::{ChangeArgs, PageArgs, json},
    connection::{self, Connection},
    explanation,
    failure::Failure,
    presentation::{
        case_json, case_text, changed, listing, marking_line, page, record_json, record_line,
        status_changed,
    },
    table::Table,
};
use crate::{
    config::{Config, duration},
    models::{
        CaseId, CaseStatus, LogSequence, OnResume, PlaceId, PutAside, Record, RecordKind, Stored,
        WorkflowId, visible,
    },
    petrel::{Following, NewCase, Petrel},
    storage::{Cursor, LogScope, MAX_PAGE, Page, TokenScope},
};

/// Cases, the runs of a workflow: start, look at, pause, cancel
#[derive(Debug, Subcommand)]
pub(super) enum Case {
    Start(Start),
    List(List),
    /// Show a case and its tokens
    Show(Named),
    History(History),
    /// List every transition, with the exact reasons if it can't fire
    Explain(Named),
    /// Stop a case from firing until it is resumed
    Pause(Changing),
    Resume(Resuming),
    Wait(Wait),
    /// End a case for good; its tokens go
    Cancel(Changing),
    Quarantine(Quarantine),
}

const WAIT_EXAMPLES: &str = "\
Examples:
  petrel case wait order-approval order-1
  petrel --json case wait order-approval order-1 --within 5m

Exit codes: 0 it has ended, 2 it is still running. The result is the data of its tokens, merged.";

/// Wait for the end of a case, and show its result
#[derive(Debug, Args)]
#[command(after_help = WAIT_EXAMPLES)]
pub(super) struct Wait {
    #[command(flatten)]
    named: Named,
    /// Longest wait
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    within: Duration,
}

impl Wait {
    async fn run(self, petrel: &Petrel) -> Result<Answer, Failure> {
        let Self { named: Named { workflow, case }, within } = self;
        let case = petrel.await_case(&workflow, &case, within).await?;
        let mut json = case_json(&case);
        (json["ended"], json["result"]) = (case.status.has_ended().into(), object!(case.result()));
        let mut text = case_text(&case);
        if let Some(result) = case.result() {
            text.push_str(&format!("result {result}\n"));
        }
        let mut answer = Answer::new(json, text);
        if !case.status.has_ended() {
            answer
                .text
                .push_str(&format!("still running after {}\n", humantime::format_duration(within)));
            answer.exit = Some(2);
        }
        Ok(answer)
    }
}

/// Let a paused case go on
#[derive(Debug, Args)]
pub(super) struct Resuming {
    #[command(flatten)]
    named: Named,
    /// Way on of its timers
    #[arg(long, value_enum, value_name = "WAY", default_value_t = Timers::CatchUp)]
    timers: Timers,
    #[command(flatten)]
    change: ChangeArgs,
}

/// The way on of a resumed case's timers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Timers {
    /// What came due in the pause happens at once, in the order of the times
    CatchUp,
    /// Each timer has left what it had left when the case was paused
    KeepRemaining,
}

impl From<Timers> for OnResume {
    fn from(timers: Timers) -> Self {
        match timers {
            Timers::CatchUp => Self::CatchUp,
            Timers::KeepRemaining => Self::KeepRemaining,
        }
    }
}

const QUARANTINE_EXAMPLES: &str = "\
Examples:
  petrel case quarantine order-approval order-1 --reason \"published by a script\" --by alice
  petrel case quarantine order-approval order-1 --with-following

The messages stay in the log, and a record of its own names them. It is refused if nothing is
wrong, and if a newer petrel wrote what can't be read. Where changes that were acknowledged follow
what has to be put aside, it stores nothing and names them, until it is told --with-following.";

/// Put aside messages of a case's log that can't be read or do not follow
///
/// The case goes on in the state of its last good record. A case without any is cancelled.
#[derive(Debug, Args)]
#[command(after_help = QUARANTINE_EXAMPLES)]
pub(super) struct Quarantine {
    #[command(flatten)]
    named: Named,
    /// Reason; noted in the log
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Put aside as well the acknowledged changes that follow such a message
    #[arg(long)]
    with_following: bool,
    #[command(flatten)]
    change: ChangeArgs,
}

const START_EXAMPLES: &str = "\
Examples:
  petrel case start order-approval --data '{\"amount\": 120}'
  petrel case start order-approval --id order-1 --by alice

With --id the command can be repeated: the case is started once.";

/// Start a case with a token in the workflow's initial place
#[derive(Debug, Args)]
#[command(after_help = START_EXAMPLES)]
pub(super) struct Start {
    /// The workflow, in its latest version
    workflow: WorkflowId,
    /// Id of the case [default: a new one]
    #[arg(long, value_name = "CASE")]
    id: Option<CaseId>,
    /// Data of the token
    #[arg(long, value_name = "JSON", value_parser = json, default_value = "{}")]
    data: Value,
    /// Place of the token [default: the workflow's initial place]
    #[arg(long)]
    place: Option<PlaceId>,
    /// Name of the caller; noted in the log
    #[arg(long, value_name = "WHO")]
    by: Option<String>,
}

/// List the cases of a workflow in the order in which they were started
#[derive(Debug, Args)]
pub(super) struct List {
    /// The workflow
    workflow: WorkflowId,
    /// The only status of the cases to list
    #[arg(long, value_enum)]
    status: Option<Status>,
    #[command(flatten)]
    page: PageArgs,
}

/// A case's status on the command line.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Status {
    Running,
    Paused,
    Completed,
    Cancelled,
}

/// Choice of a case.
#[derive(Debug, Args)]
pub(super) struct Named {
    /// The workflow
    workflow: WorkflowId,
    /// The case
    case: CaseId,
}

/// A change of a whole case.
#[derive(Debug, Args)]
pub(super) struct Changing {
    #[command(flatten)]
    named: Named,
    #[command(flatten)]
    change: ChangeArgs,
}

/// Show the changes of a case, record by record
///
/// One line a record: sequence, the server's time, kind of change, tokens taken (-) and given
/// (+). With --follow and --json, one JSON document a line.
#[derive(Debug, Args)]
pub(super) struct History {
    #[command(flatten)]
    named: Named,
    /// Show everything, and then each new record as it comes, until Ctrl-C
    #[arg(long, conflicts_with_all = ["first", "after"])]
    follow: bool,
    #[command(flatten)]
    page: PageArgs,
}

impl Case {
    pub(super) async fn run(self, config: &Config) -> Result<Answer, Failure> {
        let shutdown = connection::shutdown(config)?;
        Connection::with(config, &shutdown, async |connection| {
            self.run_on(&connection.petrel, config.json).await
        })
        .await
    }

    async fn run_on(self, petrel: &Petrel, as_json: bool) -> Result<Answer, Failure> {
        match self {
            Self::Start(start) => start.run(petrel).await,
            Self::List(list) => list.run(petrel).await,
            Self::Show(Named { workflow, case }) => {
                let case = petrel.case(&workflow, &case).await?;
                Ok(Answer::new(case_json(&case), case_text(&case)))
            }
            Self::History(history) if history.follow => history.follow(petrel, as_json).await,
            Self::History(history) => history.page(petrel).await,
            Self::Explain(Named { workflow, case }) => {
                let explained = petrel.explain(&workflow, &case).await?;
                Ok(explanation::answer(&workflow, &explained))
            }
            Self::Pause(Changing { named: Named { workflow, case }, change }) => {
                let changed = petrel.pause(&workflow, &case, change.change()).await?;
                Ok(status_changed(&changed, RecordKind::Paused))
            }
            Self::Resume(Resuming { named: Named { workflow, case }, timers, change }) => {
                let timers = timers.into();
                let changed = petrel.resume_with(&workflow, &case, timers, change.change()).await?;
                Ok(status_changed(&changed, RecordKind::Resumed))
            }
            Self::Wait(wait) => wait.run(petrel).await,
            Self::Quarantine(quarantine) => quarantine.run(petrel).await,
            Self::Cancel(Changing { named: Named { workflow, case }, change }) => {
                let changed = petrel.cancel(&workflow, &case, change.change()).await?;
                Ok(status_changed(&changed, RecordKind::Cancelled))
            }
        }
    }
}

impl Quarantine {
    async fn run(self, petrel: &Petrel) -> Result<Answer, Failure> {
        let Self { named: Named { workflow, case }, reason, with_following, change } = self;
        let following = if with_following { Following::PutAside } else { Following::Refuse };
        let mut change = change.change();
        if let Some(reason) = reason {
            change.metadata.insert("reason".to_owned(), reason.into());
        }
        let done = petrel.quarantine(&workflow, &case, following, change).await?;
        let put_aside = &done.record.value.put_aside;
        let mut answer = changed(&done);
        answer.json["put_aside"] = object!(put_aside);
        for PutAside { subject, sequence, reason } in put_aside {
            answer.text.push_str(&format!(
                "put aside: {} at sequence {sequence}: {}\n",
                visible(subject),
                visible(reason)
            ));
        }
        Ok(answer)
    }
}

impl Start {
    async fn run(self, petrel: &Petrel) -> Result<Answer, Failure> {
        let Self { workflow, id: case, data, place, by } = self;
        let request = NewCase { workflow, case, place, data, metadata: Map::new(), by };
        let started = petrel.create_case(request).await?;
        let mut answer = changed(&started);
        let (workflow, case) = (&started.case.workflow, &started.case.id);
        // An id may begin with a dash, as flags do.
        let dash = [workflow.as_str(), case.as_str()].iter().any(|id| id.starts_with('-'));
        let dash = if dash { "-- " } else { "" };
        answer.text.push_str(&format!("next: petrel case explain {dash}{workflow} {case}\n"));
        Ok(answer)
    }
}

impl List {
    async fn run(self, petrel: &Petrel) -> Result<Answer, Failure> {
        let status = self.status.map(CaseStatus::from);
        if status.is_some() {
            petrel.index_cases().await?;
        }
        let found = petrel.cases(&self.workflow, status, self.page.page()).await?;
        if found.end().is_none() {
            let workflow = self.workflow.clone();
            petrel.must_exist(&TokenScope { workflow, place: None, case: None }).await?;
        }
        let mut table = Table::new(&["CASE", "STATUS", "REVISION", "IN"]);
        for (_, case) in &found.cases.items {
            table.row([
                case.id.to_string(),
                case.status.as_str().to_owned(),
                case.revision().to_string(),
                marking_line(case),
            ]);
        }
        let items = found.cases.items.iter().map(|(_, case)| case_json(case)).collect();
        let next = found.end().filter(|_| found.cases.has_next).map(|cursor| cursor.0.into());
        let mut answer = listing(items, next, &table);
        if !found.unreadable.is_empty() {
            let named: Vec<_> = found.unreadable.iter().map(|(_, case)| case.as_str()).collect();
            answer.text.push_str(&format!(
                "can't be read: {}; `petrel case show` says why\n",
                named.join(", ")
            ));
            answer.json["unreadable"] = serde_json::json!(named);
        }
        Ok(answer)
    }
}

impl From<Status> for CaseStatus {
    fn from(status: Status) -> Self {
        match status {
            Status::Running => Self::Running,
            Status::Paused => Self::Paused,
            Status::Completed => Self::Completed,
            Status::Cancelled => Self::Cancelled,
        }
    }
}

impl History {
    async fn page(self, petrel: &Petrel) -> Result<Answer, Failure> {
        let Named { workflow, case } = &self.named;
        let records = petrel.history(workflow, case, self.page.page()).await?;
        let mut lines = Table::new(&["SEQUENCE  TIME                      WHAT"]);
        for (_, record) in &records.items {
            lines.row([record_line(record)]);
        }
        Ok(page(&records, record_json, &lines))
    }

    async fn follow(self, petrel: &Petrel, as_json: bool) -> Result<Answer, Failure> {
        let Named { workflow, case } = &self.named;
        let print = |record: &Stored<Record>| {
            if as_json {
                json_line(&record_json(record).to_string())
            } else {
                line(&record_line(record))
            }
        };
        let mut after = None;
        loop {
            let records = petrel.history(workflow, case, Page { first: MAX_PAGE, after }).await?;
            records.items.iter().try_for_each(|(_, record)| print(record))?;
            after = records.end().or(after);
            if !records.has_next {
                break;
            }
        }
        let seen = after.and_then(Cursor::log_position).map(|seen| seen.sequence);
        let scope = LogScope::Case(workflow.clone(), case.clone());
        let mut news = petrel.watch(scope, Some(LogSequence::after(seen).into())).await?;
        while let Some(record) = news.next().await {
            print(record?.as_ref())?;
        }
        Ok(Answer::default())
    }
}
