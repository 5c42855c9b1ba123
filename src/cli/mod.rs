//! The command line: one file a command.

mod analyse;
mod answer;
mod arguments;
mod audit;
mod awakeable;
mod bar;
mod bench;
mod case;
mod case_cache;
mod check;
mod cluster;
mod connection;
mod definition_file;
mod dev;
mod doctor;
mod draw;
mod explanation;
mod export;
mod failure;
mod file;
mod fire;
mod history;
mod import;
mod incident;
mod init;
mod level;
mod net_file;
mod peers;
mod presentation;
mod queue;
mod queue_workers;
mod rebuild;
mod running;
mod sample_work;
mod serve;
mod simulate;
mod simulated_log;
mod soundness;
mod table;
mod token;
mod watching;
mod wording;
mod work;
mod worker;
mod workflow;

#[cfg(test)]
mod tests;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::{
    config::{Config, LogFormat},
    models::{visible, without_logins},
    telemetry,
};
use answer::{Answer, complain};
use failure::Failure;

/// Petri-net workflows on NATS JetStream
///
/// A workflow is a net of places and transitions. A case is one run of it: its tokens stand
/// in places, and a transition that fires takes tokens and gives tokens, all at once. Every
/// change of a case is one record in NATS JetStream.
#[derive(Debug, Parser)]
#[command(verbatim_doc_comment, name = "petrel", version, propagate_version = true, after_help = EXAMPLES)]
pub struct Cli {
    /// The settings that all commands share.
    #[command(flatten)]
    pub config: Config,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
First steps:
  petrel dev                                  a server with a sample workflow to play with
  petrel case start order-approval --id order-1 --data '{\"amount\": 120}'
  petrel case explain order-approval order-1  what can happen next, and what can't
  petrel fire submit --workflow order-approval --case order-1
  petrel case history order-approval order-1
  petrel draw order-approval -o net.svg       a picture of it, for a browser
  petrel check orders.yaml                    can a case of a workflow of yours get stuck?

Without --nats-url, petrel uses the server of a running `petrel dev`, or runs its own for as
long as the command takes. --help lists all settings, -h the most common ones.

Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 server unavailable;
check, audit and doctor say more with theirs.";

#[derive(Debug, Subcommand)]
enum Command {
    Dev(dev::Dev),
    Serve(serve::Serve),
    Init(init::Init),
    #[command(subcommand)]
    Workflow(workflow::Workflow),
    #[command(subcommand)]
    Case(case::Case),
    #[command(subcommand)]
    Incident(incident::Incident),
    #[command(subcommand)]
    Awakeable(awakeable::Awakeable),
    #[command(subcommand)]
    Work(work::Work),
    #[command(subcommand)]
    Queue(queue::Queue),
    Worker(worker::Worker),
    #[command(subcommand)]
    Token(token::Token),
    Fire(fire::Fire),
    Check(check::Check),
    #[command(alias = "analyze")]
    Analyse(analyse::Analyse),
    Draw(draw::Draw),
    Simulate(simulate::Simulate),
    Import(import::Import),
    Export(export::Export),
    #[command(subcommand)]
    History(history::History),
    Audit(audit::Audit),
    Rebuild(rebuild::Rebuild),
    Doctor(doctor::Doctor),
    Level(level::Level),
    Bench(bench::Bench),
}

impl Cli {
    /// Reads the arguments of this process. Otherwise, help or an error has been printed and
    /// the process should end with the exit code.
    pub fn from_arguments() -> Result<Self, ExitCode> {
        let error = match Self::try_parse() {
            Ok(cli) => return Ok(cli),
            Err(error) => error,
        };
        // What was typed wrongly may be an address with a login, or come from elsewhere: so the
        // message is about the arguments as they may be shown.
        let shown = std::env::args_os().map(|argument| match argument.to_str() {
            Some(text) => visible(&without_logins(text)).into_owned().into(),
            None => argument,
        });
        let error = Self::try_parse_from(shown).err().unwrap_or(error);
        let wants_json = std::env::args_os().any(|argument| argument == "--json");
        if error.use_stderr() && wants_json {
            let text = error.render().to_string();
            let message = text.strip_prefix("error: ").unwrap_or(&text).trim_end();
            return Err(Failure::usage(message).report(true));
        }
        if error.use_stderr() {
            // What was typed wrongly may be an address with a login in it.
            complain(without_logins(&error.render().to_string()).trim_end());
        } else {
            // Nothing is left to do if even the help can't be written.
            let _ = error.print();
        }
        Err(u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from))
    }

    /// Starts the log that the settings ask for. Otherwise, an error has been printed.
    pub fn start_log(&self) -> Result<(), ExitCode> {
        // A service is watched through its log; a command answers by itself.
        let is_serve = matches!(self.command, Command::Serve(_) | Command::Worker(_));
        // The layout of drawings tells of each of its steps.
        let default = if is_serve { "info,rust_sugiyama=warn" } else { "warn" };
        let filter = self.config.log_level.as_deref().unwrap_or(default);
        let format = self.config.log_format.unwrap_or(LogFormat::Human);
        telemetry::init(format, filter).map_err(|error| {
            let message = format!("--log-level (RUST_LOG) {filter:?}: {error}");
            Failure::usage(message).report(self.config.json)
        })
    }

    /// Carries out the command and prints its answer.
    pub async fn run(self) -> ExitCode {
        let json = self.config.json;
        match self.command.run(&self.config).await {
            Ok(answer) => answer.print(json),
            Err(failure) => failure.report(json),
        }
    }
}

impl Command {
    async fn run(self, config: &Config) -> Result<Answer, Failure> {
        match self {
            Self::Dev(command) => command.run(config).await,
            Self::Serve(command) => command.run(config).await,
            Self::Init(command) => command.run(config).await,
            Self::Workflow(command) => command.run(config).await,
            Self::Case(command) => command.run(config).await,
            Self::Incident(command) => command.run(config).await,
            Self::Awakeable(command) => command.run(config).await,
            Self::Work(command) => command.run(config).await,
            Self::Queue(command) => command.run(config).await,
            Self::Worker(command) => command.run(config).await,
            Self::Token(command) => command.run(config).await,
            Self::Fire(command) => command.run(config).await,
            Self::Import(command) => command.run(),
            Self::Export(command) => command.run(config).await,
            Self::Draw(command) => command.run(config).await,
            Self::History(command) => command.run(config).await,
            Self::Rebuild(command) => command.run(config).await,
            Self::Audit(command) => command.run(config).await,
            Self::Check(command) => command.run(config),
            Self::Analyse(command) => command.run(config),
            Self::Simulate(command) => command.run(config),
            Self::Doctor(command) => command.run(config).await,
            Self::Level(command) => command.run(config).await,
            Self::Bench(command) => command.run(config).await,
        }
    }
}
