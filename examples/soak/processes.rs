//! The processes of the soak as their starter sees them, and the killing of workers.

use std::{
    fs::OpenOptions,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context, bail};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, ChildStdin, Command},
    time::{Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

/// Longest time for a process to start, or to end in order.
const PATIENCE: Duration = Duration::from_secs(60);

/// A process in a role.
#[derive(Debug)]
pub(crate) struct Process {
    name: String,
    child: Child,
    /// Its end tells the process to end.
    input: Option<ChildStdin>,
}

impl Process {
    /// Starts this program in a role. What it logs is added to a file.
    fn start(name: &str, arguments: &[&str], log: &Path, output: Stdio) -> anyhow::Result<Self> {
        let log = OpenOptions::new().append(true).create(true).open(log)?;
        let mut command = Command::new(std::env::current_exe()?);
        command.args(arguments).stdin(Stdio::piped()).stdout(output).stderr(log).kill_on_drop(true);
        let mut child = command.spawn().with_context(|| format!("can't start the {name}"))?;
        let input = child.stdin.take();
        Ok(Self { name: name.to_owned(), child, input })
    }

    /// Ends it in order.
    ///
    /// # Errors
    ///
    /// When it does not end in time, or fails.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        drop(self.input.take());
        let Ok(status) = timeout(PATIENCE, self.child.wait()).await else {
            bail!("the {} has not ended in {PATIENCE:?}", self.name);
        };
        let status = status?;
        if !status.success() {
            bail!("the {} ended with {status}", self.name);
        }
        Ok(())
    }

    async fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill().await.with_context(|| format!("can't kill the {}", self.name))
    }

    /// Waits for its end. Cancel-safe.
    pub(crate) async fn ended(&mut self) -> anyhow::Result<ExitStatus> {
        Ok(self.child.wait().await?)
    }
}

/// A time from half to one and a half of another. What was lost at a kill begins again when its lease is over:
/// kills at steady times would find the same items again and again.
pub(crate) fn about(every: Duration) -> Duration {
    every.mul_f64(rand::random_range(0.5..1.5))
}

/// Starts the process that serves. Returns it and its address.
pub(crate) async fn server(nats: &str, folder: &Path) -> anyhow::Result<(Process, String)> {
    let (log, arguments) = (folder.join("server.log"), ["server", "--nats", nats]);
    let mut process = Process::start("server", &arguments, &log, Stdio::piped())?;
    let output = process.child.stdout.take().context("it has an output")?;
    let mut line = String::new();
    timeout(PATIENCE, BufReader::new(output).read_line(&mut line)).await??;
    if line.is_empty() {
        bail!("the server did not start; see {}", log.display());
    }
    Ok((process, line.trim().to_owned()))
}

/// The workers, two at any time.
#[derive(Debug)]
pub(crate) struct Workers {
    nats: String,
    folder: PathBuf,
    running: Vec<Process>,
    started: u32,
    /// Number of those that were killed.
    pub kills: u64,
    /// Ends that nobody asked for.
    pub faults: Vec<String>,
}

impl Workers {
    /// Starts two workers.
    pub(crate) fn start(nats: &str, folder: &Path) -> anyhow::Result<Self> {
        let (nats, folder) = (nats.to_owned(), folder.to_owned());
        let (running, faults) = Default::default();
        let mut workers = Self { nats, folder, running, started: 0, kills: 0, faults };
        for slot in 0..2 {
            let worker = workers.another(slot)?;
            workers.running.push(worker);
        }
        Ok(workers)
    }

    /// The ledger that they share.
    pub(crate) fn ledger(folder: &Path) -> PathBuf {
        folder.join("ledger")
    }

    fn another(&mut self, slot: usize) -> anyhow::Result<Process> {
        self.started += 1;
        let name = format!("worker-{}", self.started);
        let ledger = Self::ledger(&self.folder).display().to_string();
        let log = self.folder.join(format!("worker-{slot}.log"));
        let arguments = ["worker", "--nats", &self.nats, "--name", &name, "--ledger", &ledger];
        Process::start(&name, &arguments, &log, Stdio::null())
    }

    /// Kills one after the other, and starts another one in its place at once, until `stop`.
    pub(crate) async fn kill_until(
        &mut self,
        stop: CancellationToken,
        every: Duration,
    ) -> anyhow::Result<()> {
        let mut next = Instant::now() + about(every);
        loop {
            let [first, second] = &mut self.running[..] else { bail!("there are two workers") };
            // All are cancel-safe.
            let (slot, ended) = tokio::select! {
                () = stop.cancelled() => return Ok(()),
                ended = first.ended() => (0, Some(ended?)),
                ended = second.ended() => (1, Some(ended?)),
                () = sleep_until(next) => ((self.kills % 2) as usize, None),
            };
            let worker = &mut self.running[slot];
            match ended {
                Some(status) => {
                    self.faults.push(format!("{} ended by itself: {status}", worker.name))
                }
                None => {
                    worker.kill().await?;
                    self.kills += 1;
                    next += about(every);
                }
            }
            self.running[slot] = self.another(slot)?;
        }
    }

    /// Ends them in order.
    pub(crate) async fn stop(&mut self) {
        for worker in self.running.drain(..) {
            if let Err(error) = worker.stop().await {
                self.faults.push(error.to_string());
            }
        }
    }
}
