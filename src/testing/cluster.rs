use super::server::must;
use crate::local_server::{LocalCluster, LocalServerOptions};

/// Real nats-servers that are one cluster, for one test: on free ports, in temporary folders,
/// stopped when dropped.
///
/// Everything here panics with the error's text, because a test without its servers has
/// failed; it is never skipped.
#[derive(Debug)]
pub struct TestCluster {
    cluster: LocalCluster,
}

impl TestCluster {
    /// Starts so many servers, and waits until they are one cluster.
    ///
    /// # Panics
    ///
    /// When they can't be started, or elect no leader.
    pub async fn start(size: usize) -> Self {
        match LocalCluster::start(size, LocalServerOptions::default()).await {
            Ok(cluster) => Self { cluster },
            Err(error) => panic!("no servers for this test: {error}"),
        }
    }

    /// URL of one server for clients. They learn the others from it.
    pub fn url(&self, node: usize) -> String {
        self.cluster.servers()[node].url()
    }

    /// Index of the server with this name, by which servers name a stream's leader.
    pub fn named(&self, server: &str) -> Option<usize> {
        self.cluster.servers().iter().position(|node| node.name() == server)
    }

    /// Kills one with SIGKILL; its data stays.
    ///
    /// # Panics
    ///
    /// When it is killed already.
    pub async fn kill(&mut self, node: usize) {
        must("kill", self.cluster.kill(node).await);
    }

    /// Starts one again on the same ports and data, and waits until JetStream answers there.
    ///
    /// # Panics
    ///
    /// When it doesn't start.
    pub async fn restart(&mut self, node: usize) {
        must("restart", self.cluster.restart(node).await);
    }

    /// Freezes one: connections stay open, nothing is answered.
    ///
    /// # Panics
    ///
    /// When it is killed.
    pub fn suspend(&self, node: usize) {
        must("suspend", self.cluster.servers()[node].suspend());
    }

    /// Lets a suspended one go on.
    ///
    /// # Panics
    ///
    /// When it is killed.
    pub fn resume(&self, node: usize) {
        must("resume", self.cluster.servers()[node].resume());
    }
}
