//! `petrel worker`.

use std::{path::PathBuf, time::Duration};

use clap::Args;

use super::{
    answer::Answer,
    connection::{self, Connection},
    failure::Failure,
};
use crate::{
    config::{Config, duration},
    models::{KindId, QueueId},
    worker::{CommandHandler, QueueOptions, Worker as Serving, WorkerError},
};

const EXAMPLES: &str = "\
Examples:
  petrel worker --command charge-card=./charge.sh
  petrel worker --queue billing --max-concurrent 20 --command 'charge-card=node charge.js'
  petrel worker --queue billing --queue mail --command charge-card=./charge.sh \\
      --command send-mail=./mail.sh

A program gets the input of its activity as JSON on stdin, and PETREL_WORKFLOW, PETREL_CASE,
PETREL_ITEM, PETREL_CLAIM and PETREL_ATTEMPT in its environment. What it writes to stdout is the
result, as JSON. Another exit code than 0 is a failed attempt, with the end of stderr as its words.
Ctrl-C or SIGTERM lets what runs end and begins nothing more; a second one stops at once.";

/// Carry out the work of activities by programs
///
/// Takes items from queues, begins each with a record in its case's log, runs the program of its
/// kind, and ends it with another record. Any number of workers share a queue.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Worker {
    /// Queue to serve; several by repeating it [default: default]
    #[arg(long, env = "PETREL_QUEUE", value_name = "QUEUE", hide_env_values = true)]
    #[arg(value_delimiter = ',')]
    queue: Vec<QueueId>,
    /// Kind of work, and the program that carries it out, with its arguments; several by repeating it
    #[arg(long, value_name = "KIND=PROGRAM", required = true, value_parser = command)]
    command: Vec<(KindId, CommandHandler)>,
    /// Most items of a queue that are carried out at once
    #[arg(long, env = "PETREL_MAX_CONCURRENT", value_name = "N", hide_env_values = true)]
    #[arg(default_value_t = QueueOptions::CONCURRENCY)]
    max_concurrent: usize,
    /// Time for which a worker is left alone without a sign of life, as in 30s; it gives one each third
    /// of it [default: as the queue's settings say, 30s]
    #[arg(long, env = "PETREL_ACK_WAIT", value_name = "TIME", hide_env_values = true)]
    #[arg(value_parser = duration)]
    ack_wait: Option<Duration>,
    /// Name of the worker, for people [default: made of machine and process]
    #[arg(long, env = "PETREL_WORKER_NAME", value_name = "NAME", hide_env_values = true)]
    name: Option<String>,
    /// Time that what runs has to end after a shutdown
    #[arg(long, env = "PETREL_GRACE", value_name = "TIME", hide_env_values = true)]
    #[arg(default_value = "20s", value_parser = duration)]
    grace: Duration,
}

fn command(text: &str) -> Result<(KindId, CommandHandler), String> {
    let form = "write it as in charge-card=./charge.sh";
    let (kind, program) = text.split_once('=').ok_or(form)?;
    let kind = KindId::new(kind.trim()).map_err(|error| error.to_string())?;
    // What needs quotes is put into a script.
    if program.contains(['"', '\'']) {
        return Err("quotes are not read here; put the command into a script".to_owned());
    }
    let mut words = program.split_whitespace().map(str::to_owned);
    let program = PathBuf::from(words.next().ok_or(form)?);
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let is_there = match program.components().count() {
        1 => std::env::split_paths(&paths).any(|path| path.join(&program).is_file()),
        _ => program.is_file(),
    };
    if !is_there {
        return Err(format!("there is no program {}", program.display()));
    }
    Ok((kind, CommandHandler { program, arguments: words.collect() }))
}

impl Worker {
    pub(super) async fn run(self, config: &Config) -> Result<Answer, Failure> {
        let shutdown = connection::shutdown(config)?;
        let connection = tokio::select! {
            opened = Connection::open(config) => opened?,
            () = shutdown.cancelled() => return Err(Failure::interrupted()),
        };
        let mut builder = Serving::builder(connection.petrel.clone()).grace(self.grace);
        if let Some(name) = self.name {
            builder = builder.named(name);
        }
        let queues = match self.queue.is_empty() {
            true => vec![QueueId::new(crate::models::Activity::QUEUE).map_err(internal)?],
            false => self.queue,
        };
        for queue in queues {
            let (concurrency, ack_wait) = (self.max_concurrent, self.ack_wait);
            builder = builder.queue(QueueOptions { queue, concurrency, ack_wait });
        }
        for (kind, handler) in self.command {
            let run = move |attempt, input| handler.clone().run(attempt, input);
            builder = builder.handle_outcomes(kind, run);
        }
        let worker = builder.build().map_err(failure)?;
        let ended = worker.run(shutdown).await.map_err(failure);
        connection.petrel.close().await;
        connection.server.stop().await?;
        ended?;
        Ok(Answer::default())
    }
}

fn internal(error: impl std::fmt::Display) -> Failure {
    Failure::internal(error.to_string())
}

/// The failure for a worker that can't begin.
pub(super) fn failure(error: WorkerError) -> Failure {
    match error {
        WorkerError::Petrel(error) => error.into(),
        error => Failure::usage(error.to_string()),
    }
}
