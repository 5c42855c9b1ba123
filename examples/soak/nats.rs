//! nats-server on a kept folder, killed and started again.

use std::{path::Path, time::Duration};

use stormpetrel::local_server::{LocalServer, LocalServerError, LocalServerOptions, Store};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::processes::about;

/// The server, and what it went through.
#[derive(Debug)]
pub(crate) struct Nats {
    server: LocalServer,
    /// Times from each kill until it was ready again.
    pub away: Vec<Duration>,
}

impl Nats {
    /// Starts it with its data in a folder.
    pub(crate) async fn start(folder: &Path) -> Result<Self, LocalServerError> {
        let store = Store::Kept(folder.join("nats"));
        let options = LocalServerOptions { store, ..LocalServerOptions::default() };
        Ok(Self { server: LocalServer::start(options).await?, away: Vec::new() })
    }

    /// Address for clients, the same after each start.
    pub(crate) fn url(&self) -> String {
        self.server.url()
    }

    /// Its version.
    pub(crate) fn version(&self) -> String {
        self.server.version().to_string()
    }

    /// Kills it with SIGKILL and starts it again at once, until `stop`; it runs then.
    pub(crate) async fn kill_until(
        &mut self,
        stop: CancellationToken,
        every: Duration,
    ) -> Result<(), LocalServerError> {
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = sleep(about(every)) => {}
            }
            let killed = Instant::now();
            self.server.kill().await?;
            self.server.restart().await?;
            self.away.push(killed.elapsed());
        }
    }

    /// Ends it in order.
    pub(crate) async fn stop(self) -> Result<(), LocalServerError> {
        self.server.stop().await
    }
}
