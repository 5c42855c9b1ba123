//! Postgres and SQLite beside `petrel bench`, where the feature `peers` is on.

#[cfg(feature = "peers")]
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use super::failure::Failure;
use crate::bench::Peer;
#[cfg(feature = "peers")]
use crate::bench::peers::{Postgres, PostgresServer, Sqlite, Synchronous, SynchronousCommit};

/// Other systems to measure; none without the feature.
#[derive(Debug, Args)]
pub(super) struct Peers {
    /// Let Postgres and SQLite store the same firings, in turns with the engine
    ///
    /// A firing is one SQL statement for Postgres, on a server of its own, and one transaction
    /// for SQLite, in a file of its own. Each is measured with and without waiting for the disk.
    #[cfg(feature = "peers")]
    #[arg(long)]
    peers: bool,
    /// Folder with Postgres's initdb and postgres; without it, they are searched for
    #[cfg(feature = "peers")]
    #[arg(long, env = "PETREL_POSTGRES", value_name = "DIR")]
    postgres: Option<PathBuf>,
}

/// Other systems that have been started.
#[derive(Debug, Default)]
pub(super) struct StartedPeers {
    pub(super) peers: Vec<Arc<dyn Peer>>,
    #[cfg(feature = "peers")]
    server: Option<PostgresServer>,
}

#[cfg(feature = "peers")]
impl Peers {
    /// Starts what was asked for. Cancel-safe: what has been started ends when it is dropped.
    pub(super) async fn start(&self, clients: usize) -> Result<StartedPeers, Failure> {
        if !self.peers {
            return Ok(StartedPeers::default());
        }
        // Two databases, and each client has a connection to both.
        let server = PostgresServer::start(self.postgres.clone(), 2 * clients).await?;
        let mut peers: Vec<Arc<dyn Peer>> = Vec::new();
        for commit in [SynchronousCommit::On, SynchronousCommit::Off] {
            peers.push(Arc::new(Postgres::create(&server, commit).await?));
        }
        for synchronous in [Synchronous::Full, Synchronous::Normal] {
            peers.push(Arc::new(Sqlite::create(synchronous)?));
        }
        Ok(StartedPeers { peers, server: Some(server) })
    }
}

#[cfg(feature = "peers")]
impl StartedPeers {
    /// Stops them and waits for their end.
    pub(super) async fn stop(self) -> Result<(), Failure> {
        drop(self.peers);
        if let Some(server) = self.server {
            server.stop().await?;
        }
        Ok(())
    }
}

#[cfg(not(feature = "peers"))]
impl Peers {
    pub(super) async fn start(&self, _clients: usize) -> Result<StartedPeers, Failure> {
        Ok(StartedPeers::default())
    }
}

#[cfg(not(feature = "peers"))]
impl StartedPeers {
    pub(super) async fn stop(self) -> Result<(), Failure> {
        Ok(())
    }
}
