use std::net::SocketAddr;

use crate::local_server::{LocalServer, LocalServerOptions};

/// A real nats-server for one test: on a free port, in a temporary folder,
/// stopped when dropped.
///
/// Everything here panics with the error's text, because a test without its
/// server has failed; it is never skipped.
#[derive(Debug)]
pub struct TestServer {
    server: LocalServer,
}

impl TestServer {
    /// Starts a server with the default options.
    ///
    /// # Panics
    ///
    /// When no server can be found, installed or started.
    pub async fn start() -> Self {
        Self::start_with(LocalServerOptions::default()).await
    }

    /// Starts a server with these options.
    ///
    /// # Panics
    ///
    /// When no server can be found, installed or started.
    pub async fn start_with(options: LocalServerOptions) -> Self {
        match LocalServer::start(options).await {
            Ok(server) => Self { server },
            Err(error) => panic!("no server for this test: {error}"),
        }
    }

    /// URL for clients.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// The address behind [`TestServer::url`], for a
    /// [`FaultProxy`](super::FaultProxy).
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// The server itself.
    pub fn local(&self) -> &LocalServer {
        &self.server
    }

    /// Kills the server with SIGKILL; the data stays.
    ///
    /// # Panics
    ///
    /// When it is killed already.
    pub async fn kill(&mut self) {
        must("kill", self.server.kill().await);
    }

    /// Starts the server again on the same port and data.
    ///
    /// # Panics
    ///
    /// When it doesn't start.
    pub async fn restart(&mut self) {
        must("restart", self.server.restart().await);
    }

    /// Freezes the server: connections stay open, nothing is answered.
    ///
    /// # Panics
    ///
    /// When it is killed.
    pub fn suspend(&self) {
        must("suspend", self.server.suspend());
    }

    /// Lets a suspended server go on.
    ///
    /// # Panics
    ///
    /// When it is killed.
    pub fn resume(&self) {
        must("resume", self.server.resume());
    }
}

pub(super) fn must<E: std::fmt::Display>(action: &str, result: Result<(), E>) {
    if let Err(error) = result {
        panic!("could not {action} the test server: {error}");
    }
}
