use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use rustix::process::Signal;
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;

use super::binary::{Origin, SearchEnvironment, ServerBinary};
use super::error::LocalServerError;
use super::folder::Folder;
use super::options::{LocalServerOptions, Store};
use super::process::{Process, Program};
use super::version::ServerVersion;

/// Longest time until a server is ready. An empty one takes milliseconds, one with a million
/// subjects seconds.
const START: Duration = Duration::from_secs(60);

/// Longest time for a server to stop by itself before it is killed.
const STOP: Duration = Duration::from_secs(10);

/// A nats-server that runs as a child of this process, on 127.0.0.1 only and
/// with JetStream on.
///
/// Dropping it stops the server, kindly when the data is kept, and removes a
/// temporary folder; that blocks until the server has ended.
#[derive(Debug)]
pub struct LocalServer {
    // Before `folder`: the server ends before its folder goes.
    process: Option<Process>,
    folder: Folder,
    binary: ServerBinary,
    options: LocalServerOptions,
    server_name: String,
    port: u16,
}

impl LocalServer {
    /// Finds a server, starts it and waits until JetStream answers.
    ///
    /// # Errors
    ///
    /// See [`LocalServerError`]; nothing is left running then.
    pub async fn start(options: LocalServerOptions) -> Result<Self, LocalServerError> {
        let binary = find(options.binary.clone()).await?;
        let folder = Folder::open(&options.store, options.cluster.is_some())?;
        let server_name = options
            .server_name
            .clone()
            .unwrap_or_else(|| format!("petrel-{}", uuid::Uuid::now_v7()));
        let mut server = Self { process: None, folder, binary, server_name, port: 0, options };
        server.launch(server.options.port).await?;
        tracing::info!(
            url = server.url(),
            pid = server.pid(),
            version = %server.version(),
            folder = %server.store_dir().display(),
            "local nats-server started; {}",
            server.durability()
        );
        Ok(server)
    }

    /// URL for clients, such as `nats://127.0.0.1:4222`. The same for as long as this value
    /// lives.
    pub fn url(&self) -> String {
        format!("nats://{}", self.address())
    }

    /// The address that the server listens on.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// The name that the server reports.
    pub fn name(&self) -> &str {
        &self.server_name
    }

    /// The TCP port that the server listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The process id, `None` while the server is killed.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Process::pid)
    }

    /// The version of the server.
    pub fn version(&self) -> &ServerVersion {
        &self.binary.version
    }

    /// The binary that runs, and its origin.
    pub fn binary(&self) -> &ServerBinary {
        &self.binary
    }

    /// The folder with the server's streams, configuration and log.
    pub fn store_dir(&self) -> &Path {
        self.folder.path()
    }

    /// The loss that a crash can cause to this server, in one sentence to print.
    pub fn durability(&self) -> String {
        self.options.durability()
    }

    /// Waits until the server ends by itself, which it shouldn't. Cancel-safe.
    ///
    /// # Errors
    ///
    /// [`LocalServerError::NotRunning`] while it is killed.
    pub async fn exited(&self) -> Result<ExitStatus, LocalServerError> {
        Ok(self.running()?.exited().await)
    }

    /// Stops the server and waits for its end; kills it after ten seconds.
    ///
    /// # Errors
    ///
    /// [`LocalServerError::Io`] when it can't be signalled.
    pub async fn stop(mut self) -> Result<(), LocalServerError> {
        self.stop_process().await?;
        self.folder.release();
        Ok(())
    }

    /// Kills the server with SIGKILL and waits for its end; the data stays.
    ///
    /// # Errors
    ///
    /// [`LocalServerError::NotRunning`] when it is killed already.
    pub async fn kill(&mut self) -> Result<(), LocalServerError> {
        let process = self.running()?;
        let killed = process.signal(Signal::KILL);
        killed.map_err(LocalServerError::io("kill nats-server"))?;
        process.exited().await;
        self.process = None;
        Ok(())
    }

    /// Starts the server again on the same port and the same data, after
    /// stopping it if it runs.
    ///
    /// # Errors
    ///
    /// As [`LocalServer::start`]; it may be tried again.
    pub async fn restart(&mut self) -> Result<(), LocalServerError> {
        self.stop_process().await?;
        self.launch(Some(self.port)).await
    }

    /// Freezes the server with SIGSTOP: connections stay open and nothing is
    /// answered.
    ///
    /// # Errors
    ///
    /// [`LocalServerError::NotRunning`] while it is killed.
    pub fn suspend(&self) -> Result<(), LocalServerError> {
        let suspended = self.running()?.suspend();
        suspended.map_err(LocalServerError::io("suspend nats-server"))
    }

    /// Lets a suspended server go on.
    ///
    /// # Errors
    ///
    /// [`LocalServerError::NotRunning`] while it is killed.
    pub fn resume(&self) -> Result<(), LocalServerError> {
        let resumed = self.running()?.signal(Signal::CONT);
        resumed.map_err(LocalServerError::io("resume nats-server"))
    }

    /// The last lines of its log.
    pub(super) fn log_tail(&self) -> String {
        self.folder.log_tail()
    }

    fn running(&self) -> Result<&Process, LocalServerError> {
        self.process.as_ref().ok_or(LocalServerError::NotRunning)
    }

    async fn stop_process(&mut self) -> Result<(), LocalServerError> {
        if let Some(process) = &self.process {
            let stopped = process.stop(STOP).await;
            stopped.map_err(LocalServerError::io("stop nats-server"))?;
        }
        self.process = None;
        Ok(())
    }

    /// Starts the process and waits until it is ready. Cancelled midway, it
    /// leaves no process behind.
    async fn launch(&mut self, port: Option<u16>) -> Result<(), LocalServerError> {
        let folder = &self.folder;
        let text = self.options.configuration(&self.server_name, port, folder.path());
        let configuration = folder.write_configuration(&text)?;
        let program = Program::nats(&self.binary.path, &configuration);
        let mut process = Process::spawn(program, folder.log()?, folder.lock_handle()?)
            .map_err(LocalServerError::io(format!("run {}", self.binary.path.display())))?;
        let ready = tokio::time::timeout(START, async {
            let listening = process.listening().await?;
            let info = ServerInfo::of(listening).await.ok()?;
            info.is_jetstream_of(&self.server_name).then_some(listening)
        });
        match ready.await {
            Ok(Some(listening)) => {
                self.port = listening;
                self.process = Some(process);
                Ok(())
            }
            Ok(None) => Err(self.start_failure(process, port).await),
            Err(_elapsed) => Err(self.not_ready()),
        }
    }

    /// The reason that a server is not going to be ready.
    async fn start_failure(&self, process: Process, port: Option<u16>) -> LocalServerError {
        // Bounded, because a server that listens but isn't what it should be
        // does not end.
        let Ok(status) = tokio::time::timeout(STOP, process.exited()).await else {
            return self.not_ready();
        };
        let log_tail = self.folder.log_tail();
        match port {
            Some(port) if log_tail.contains("address already in use") => {
                LocalServerError::PortInUse { port }
            }
            _ => LocalServerError::Died { status, log_tail },
        }
    }

    fn not_ready(&self) -> LocalServerError {
        LocalServerError::NotReady { after: START, log_tail: self.folder.log_tail() }
    }
}

impl Drop for LocalServer {
    fn drop(&mut self) {
        // Data that goes anyway needs no orderly end; `Process` kills.
        if matches!(self.options.store, Store::Kept(_))
            && let Some(process) = &mut self.process
        {
            process.stop_blocking(STOP);
        }
    }
}

/// Finds the binary on a thread that may block.
async fn find(named: Option<PathBuf>) -> Result<ServerBinary, LocalServerError> {
    let search = move || match named {
        Some(path) => ServerBinary::named(&path, "the setting `binary`", Origin::Options),
        None => ServerBinary::find(&SearchEnvironment::from_process()),
    };
    tokio::task::spawn_blocking(search)
        .await
        .map_err(|error| LocalServerError::io("search for nats-server")(error.into()))?
}

/// The server's description of itself, sent to everyone who connects.
#[derive(Debug, Deserialize)]
struct ServerInfo {
    server_name: String,
    #[serde(default)]
    jetstream: bool,
}

impl ServerInfo {
    /// Reads the INFO line of the server on a port of 127.0.0.1.
    async fn of(port: u16) -> io::Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).await?;
        let json = line.strip_prefix("INFO ").unwrap_or_default();
        Ok(serde_json::from_str(json)?)
    }

    fn is_jetstream_of(&self, server_name: &str) -> bool {
        self.jetstream && self.server_name == server_name
    }
}
