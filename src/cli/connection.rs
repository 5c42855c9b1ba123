//! The server that a command works on, and the search for it.

use std::{future, path::PathBuf, sync::Arc, time::Duration};

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::{answer::complain, case_cache::CaseCache, failure::Failure, running::Running};
use crate::{
    config::Config,
    local_server::{LocalCluster, LocalServerError, Store},
    petrel::{Checks, Petrel},
    process,
    storage::nats::{NatsStorage, NatsStorageConfig},
};

/// Longest time to write what a command has left for later.
const CLOSES_WITHIN: Duration = Duration::from_secs(5);

/// Longest wait for another command that runs its own server on the data folder.
const TURN: Duration = Duration::from_secs(15);
/// Time between two looks if that command has ended: its lock gives no event to wait for.
const LOOK: Duration = Duration::from_millis(50);

/// Origin of a command's server.
#[derive(Debug)]
pub(super) enum Server {
    /// The user named it.
    Named(Vec<String>),
    /// Another `petrel` on this machine runs it.
    Running(Running),
    /// This process runs it, or a cluster of them.
    Own(Box<LocalCluster>),
}

/// A command's connection.
#[derive(Debug)]
pub(super) struct Connection {
    /// Every operation of the engine.
    pub(super) petrel: Petrel,
    /// The store beneath, for parts that only NATS has.
    pub(super) storage: NatsStorage,
    /// Origin of the server.
    pub(super) server: Server,
}

impl Server {
    /// The server that the settings ask for: the one that the user named, else the one that
    /// another `petrel` runs on the data folder, else one of our own on that folder.
    pub(super) async fn find(config: &Config) -> Result<Self, Failure> {
        // Settings that can't work are found out before a server is started for them.
        let storage = config.storage()?;
        if config.names_a_server() {
            return Ok(Self::Named(storage.urls));
        }
        let folder = config.data_folder()?;
        let give_up = Instant::now() + TURN;
        loop {
            if let Some(running) = Running::find(&folder).await {
                return Ok(Self::Running(running));
            }
            match Self::start(config, folder.clone(), 1).await {
                Err(LocalServerError::FolderInUse { .. }) if Instant::now() < give_up => {
                    sleep(LOOK).await;
                }
                started => return Ok(started?),
            }
        }
    }

    /// Starts a server of our own on the data folder, or so many that are one cluster.
    pub(super) async fn start(
        config: &Config,
        folder: PathBuf,
        servers: usize,
    ) -> Result<Self, LocalServerError> {
        let options = config.local_server(Store::Kept(folder));
        Ok(Self::Own(Box::new(LocalCluster::start(servers, options).await?)))
    }

    fn urls(&self) -> Vec<String> {
        match self {
            // What was a login in them, the settings have taken out.
            Self::Named(urls) => urls.clone(),
            Self::Running(running) => running.urls(),
            Self::Own(local) => local.urls(),
        }
    }

    /// Address for clients; several addresses are separated by commas.
    pub(super) fn url(&self) -> String {
        self.urls().join(",")
    }

    /// The loss that a crash of the machine can cause, if it is known: for a local server.
    pub(super) fn durability(&self, config: &Config) -> Option<String> {
        match self {
            Self::Named(_) => None,
            Self::Running(running) => Some(running.durability.clone()),
            Self::Own(local) => Some(local.durability(replicas(config, local).unwrap_or(1))),
        }
    }

    /// The settings, with its address.
    pub(super) fn settings(&self, config: &Config) -> Result<NatsStorageConfig, Failure> {
        let mut settings = config.storage()?;
        if !matches!(self, Self::Named(_)) {
            settings.urls = self.urls();
        }
        if let Self::Own(local) = self {
            settings.replicas = replicas(config, local);
        }
        Ok(settings)
    }

    /// Its origin, for people.
    pub(super) fn origin(&self) -> String {
        match self {
            Self::Named(_) => format!("the NATS server at {}", self.url()),
            Self::Running(Running { pid, .. }) => {
                let url = self.url();
                format!("the local NATS server of the running petrel (process {pid}) at {url}")
            }
            Self::Own(local) => {
                let folder = local.store_dir().display();
                format!("a local NATS server of this command's own, with the data in {folder}")
            }
        }
    }

    /// Waits until a server of our own ends by itself, of several half, and says so; never, if
    /// it is not ours.
    pub(super) async fn ended(&self) -> String {
        let Self::Own(local) = self else {
            return future::pending().await;
        };
        let status = local.failed().await;
        let status = status.map_or_else(String::new, |status| format!(" ({status})"));
        match local.servers().len() {
            1 => format!("the local NATS server ended by itself{status}"),
            of => format!(
                "too many of the {of} local NATS servers ended by themselves, the last{status}"
            ),
        }
    }

    /// Stops it if it is our own.
    pub(super) async fn stop(self) -> Result<(), Failure> {
        if let Self::Own(local) = self {
            local.stop().await?;
        }
        Ok(())
    }
}

impl Connection {
    /// Connects to the server that the settings ask for.
    pub(super) async fn open(config: &Config) -> Result<Self, Failure> {
        Self::to(Self::server(config).await?, config).await
    }

    /// The same, as a process that serves.
    pub(super) async fn open_serving(config: &Config) -> Result<Self, Failure> {
        Self::serving(Self::server(config).await?, config).await
    }

    async fn server(config: &Config) -> Result<Server, Failure> {
        let server = Server::find(config).await?;
        if !config.json && !config.names_a_server() {
            complain(&format!("using {}", server.origin()));
        }
        Ok(server)
    }

    /// Connects to `server`.
    pub(super) async fn to(server: Server, config: &Config) -> Result<Self, Failure> {
        let settings = server.settings(config)?;
        // A folder of our own is made by the command itself, and so is what belongs into it.
        let storage = match &server {
            Server::Own(_) => NatsStorage::connect(settings).await?,
            _ => NatsStorage::connect_to_existing(settings).await?,
        };
        Ok(Self::of(storage, server))
    }

    /// Connects to `server` as a process that serves, which makes the streams where none is there.
    pub(super) async fn serving(server: Server, config: &Config) -> Result<Self, Failure> {
        let storage = NatsStorage::connect(server.settings(config)?).await?;
        storage.check_permissions().await?;
        Ok(Self::of(storage, server))
    }

    fn of(storage: NatsStorage, server: Server) -> Self {
        Self { petrel: Petrel::new(Arc::new(storage.clone())), storage, server }
    }

    /// The same; definitions are checked as `checks` says.
    pub(super) fn checking(mut self, checks: Checks) -> Self {
        self.petrel = self.petrel.with_checks(checks);
        self
    }

    /// The same; it knows as many cases as the memory for them takes.
    pub(super) fn knowing(mut self, cases: CaseCache) -> Self {
        self.petrel = self.petrel.with_case_cache(cases.bytes());
        self
    }

    /// Does `work` on the server that the settings ask for, until it is done or interrupted,
    /// and stops the server if it was started for it.
    pub(super) async fn with<T>(
        config: &Config,
        shutdown: &CancellationToken,
        work: impl AsyncFnOnce(&Self) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let opened = tokio::select! {
            opened = Self::open(config) => opened,
            () = shutdown.cancelled() => Err(Failure::interrupted()),
        };
        let connection = opened?;
        // Giving `work` up midway is like a crash at that point, which the log survives.
        let result = tokio::select! {
            result = work(&connection) => result,
            () = shutdown.cancelled() => Err(Failure::interrupted()),
        };
        // The index of what is open has what this command has opened. What a server that is away does not
        // take, the reconciler notes.
        if !shutdown.is_cancelled() {
            let _ = tokio::time::timeout(CLOSES_WITHIN, connection.petrel.close()).await;
        }
        connection.server.stop().await?;
        result
    }
}

/// Number of copies of each stream on servers of our own, if that is not left as it is: as many
/// as there are in a cluster, unless the user says another number.
pub(super) fn replicas(config: &Config, local: &LocalCluster) -> Option<usize> {
    let of_cluster = Some(local.servers().len()).filter(|servers| *servers > 1);
    config.replicas.or(of_cluster)
}

/// The token that Ctrl-C cancels.
pub(super) fn shutdown(config: &Config) -> Result<CancellationToken, Failure> {
    process::shutdown(config.json)
        .map_err(|error| Failure::internal(format!("can't listen to signals: {error}")))
}
