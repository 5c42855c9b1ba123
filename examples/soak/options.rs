//! Options of a run, and the roles of the processes that it starts.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand};

use crate::intruder::Trial;

/// Soak the workers of the sample order: cases at a steady rate, while workers and nats-server are killed
#[derive(Debug, Clone, Parser)]
pub(crate) struct Options {
    /// Minutes of load, as in 20 or 0.5
    #[arg(long, default_value_t = 20.0)]
    pub minutes: f64,
    /// Cases that begin in a second, whether those before have ended or not
    #[arg(long, default_value_t = 200.0)]
    pub rate: f64,
    /// Time between two kills of a worker, on average
    #[arg(long, default_value = "5s", value_parser = humantime::parse_duration)]
    pub kill_worker_every: Duration,
    /// Time between two kills of nats-server, on average
    #[arg(long, default_value = "30s", value_parser = humantime::parse_duration)]
    pub kill_nats_every: Duration,
    /// Time for which a claim is left alone without a sign of life
    #[arg(long, default_value = "5s", value_parser = humantime::parse_duration)]
    pub ack_wait: Duration,
    /// Time that the cases have to end once the load has ended
    #[arg(long, default_value = "10m", value_parser = humantime::parse_duration)]
    pub patience: Duration,
    /// Folder to make the run's own folder in [default: that for temporary files]
    #[arg(long)]
    pub folder: Option<PathBuf>,
    /// Keep the run's folder though every check is fine
    #[arg(long)]
    pub keep: bool,
    #[command(subcommand)]
    pub role: Option<Role>,
}

/// A process that the soak starts.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Role {
    /// Serve as `petrel serve` does, until the standard input ends
    #[command(hide = true)]
    Server(ServerRole),
    /// Carry out the activities, until the standard input ends
    #[command(hide = true)]
    Worker(WorkerRole),
}

/// Options of the process that serves.
#[derive(Debug, Clone, Args)]
pub(crate) struct ServerRole {
    /// Address of nats-server
    #[arg(long)]
    pub nats: String,
}

/// Options of a worker.
#[derive(Debug, Clone, Args)]
pub(crate) struct WorkerRole {
    /// Address of nats-server
    #[arg(long)]
    pub nats: String,
    /// Name of the worker, another one after each start
    #[arg(long)]
    pub name: String,
    /// File in which it notes what it does
    #[arg(long)]
    pub ledger: PathBuf,
}

impl Options {
    /// Time of the load.
    pub(crate) fn load(&self) -> Duration {
        Duration::from_secs_f64(self.minutes * 60.0)
    }

    /// Number of cases.
    pub(crate) fn cases(&self) -> u32 {
        (self.load().as_secs_f64() * self.rate).round() as u32
    }

    /// Attempts that have to be lost: 1,000 in 20 minutes at 200 a second and a kill each 5 s.
    pub(crate) fn losses(&self) -> u64 {
        let kills = self.minutes * 60.0 / self.kill_worker_every.as_secs_f64();
        (1_000.0 * (kills / 240.0) * (self.rate / 200.0)).round() as u64
    }

    /// Answers, beats and give-backs of past claims that have to be refused: all trials with half of those losses, which
    /// are 2,500 in 20 minutes. A fixed number would ask of a short load, or of a slow machine, what it can't bring.
    pub(crate) fn refusals(&self) -> u64 {
        self.losses().div_ceil(2) * Trial::ALL.len() as u64
    }
}
