use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    time::{sleep, timeout},
};

use super::server::must;
use crate::local_server::{Cluster, LocalServer, LocalServerOptions};

/// Longest time for the servers to elect the first leader.
const ELECTION: Duration = Duration::from_secs(60);

/// Real nats-servers that are one cluster, for one test: on free ports, in temporary folders,
/// stopped when dropped.
///
/// Everything here panics with the error's text, because a test without its servers has
/// failed; it is never skipped.
#[derive(Debug)]
pub struct TestCluster {
    nodes: Vec<LocalServer>,
}

impl TestCluster {
    /// Starts so many servers, and waits until JetStream answers at each of them.
    ///
    /// # Panics
    ///
    /// When they can't be started, or elect no leader.
    pub async fn start(size: usize) -> Self {
        let ports = free_ports(size);
        let mut nodes = Vec::new();
        for (node, port) in ports.iter().enumerate() {
            let others = ports.iter().copied().filter(|other| other != port).collect();
            let options = LocalServerOptions {
                server_name: Some(name(node)),
                cluster: Some(Cluster { name: "test".to_owned(), port: *port, others }),
                ..LocalServerOptions::default()
            };
            match LocalServer::start(options).await {
                Ok(server) => nodes.push(server),
                Err(error) => panic!("no server {node} for this test: {error}"),
            }
        }
        let cluster = Self { nodes };
        for node in 0..size {
            cluster.until_ready(node).await;
        }
        cluster
    }

    /// URL of one server for clients. They learn the others from it.
    pub fn url(&self, node: usize) -> String {
        self.nodes[node].url()
    }

    /// Index of the server with this name, by which servers name a stream's leader.
    pub fn named(&self, server: &str) -> Option<usize> {
        (0..self.nodes.len()).find(|node| name(*node) == server)
    }

    /// Kills one with SIGKILL; its data stays.
    ///
    /// # Panics
    ///
    /// When it is killed already.
    pub async fn kill(&mut self, node: usize) {
        must("kill", self.nodes[node].kill().await);
    }

    /// Starts one again on the same ports and data, and waits until JetStream answers there.
    ///
    /// # Panics
    ///
    /// When it doesn't start.
    pub async fn restart(&mut self, node: usize) {
        must("restart", self.nodes[node].restart().await);
        self.until_ready(node).await;
    }

    /// Freezes one: connections stay open, nothing is answered.
    ///
    /// # Panics
    ///
    /// When it is killed.
    pub fn suspend(&self, node: usize) {
        must("suspend", self.nodes[node].suspend());
    }

    /// Lets a suspended one go on.
    ///
    /// # Panics
    ///
    /// When it is killed.
    pub fn resume(&self, node: usize) {
        must("resume", self.nodes[node].resume());
    }

    async fn until_ready(&self, node: usize) {
        let begun = Instant::now();
        while !answers(self.nodes[node].address()).await {
            assert!(begun.elapsed() < ELECTION, "server {node} has no leader in {ELECTION:?}");
            sleep(Duration::from_millis(50)).await;
        }
    }
}

fn name(node: usize) -> String {
    format!("node-{node}")
}

/// Ports that were free a moment ago, each another one.
fn free_ports(count: usize) -> Vec<u16> {
    let bind = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let held: io::Result<Vec<_>> = (0..count).map(|_| bind()).collect();
    let ports = held.and_then(|held| {
        held.iter().map(|socket| socket.local_addr().map(|address| address.port())).collect()
    });
    match ports {
        Ok(ports) => ports,
        Err(error) => panic!("no free ports for this test: {error}"),
    }
}

/// Returns true if the cluster's leader answers a request to JetStream at this server. Speaks
/// the protocol itself, since only the storage knows the client.
async fn answers(address: SocketAddr) -> bool {
    let ask = async {
        let mut stream = BufReader::new(TcpStream::connect(address).await?);
        let request = "CONNECT {\"verbose\":false}\r\nSUB answer 1\r\n\
                       PUB $JS.API.STREAM.NAMES answer 0\r\n\r\n";
        stream.write_all(request.as_bytes()).await?;
        let mut line = String::new();
        while !line.starts_with('{') {
            line.clear();
            if stream.read_line(&mut line).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok::<_, io::Error>(!line.contains("\"error\""))
    };
    matches!(timeout(Duration::from_secs(1), ask).await, Ok(Ok(true)))
}
