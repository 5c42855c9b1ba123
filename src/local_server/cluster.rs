use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

use futures::future::join_all;
use futures::stream::{FuturesUnordered, StreamExt};
use tokio::time::{sleep, timeout};

use super::cluster_folder::ClusterFolder;
use super::error::LocalServerError;
use super::options::{Cluster, LocalServerOptions, Store};
use super::question::Question;
use super::server::LocalServer;

/// Longest time for servers that run to become one cluster. An election takes seconds, and the
/// streams of a kept folder have one each.
const TOGETHER: Duration = Duration::from_secs(60);

/// Longest time for an answer of the leader. Without one, there is none.
const OF_LEADER: Duration = Duration::from_millis(500);

/// Longest time for an answer that the leader gathers or that waits for a stream's election. The
/// servers themselves give up after some seconds.
const GATHERED: Duration = Duration::from_secs(10);

/// Time between two questions to a server if it is so far.
const LOOK: Duration = Duration::from_millis(50);

/// Most starts of all servers. Another program can take a port in the moment between the choice
/// of it and the server's start.
const STARTS: usize = 3;

/// Local servers that are one cluster, each a [`LocalServer`] with a folder of its own: a
/// temporary one, or one in the folder that is kept.
///
/// A cluster of one is a server alone, exactly as [`LocalServer::start`] makes it. Dropping it
/// stops the servers, one after the other.
#[derive(Debug)]
pub struct LocalCluster {
    // Before `folder`: the servers end before it is anybody's.
    servers: Vec<LocalServer>,
    folder: Option<ClusterFolder>,
}

impl LocalCluster {
    /// Starts so many servers, and waits until they are one cluster: JetStream answers at each,
    /// every stream of a kept folder has its leader, and new ones can have a copy on each server.
    ///
    /// The options are those of each server; the port is the first one's, the name that of all,
    /// with a number behind it.
    ///
    /// # Errors
    ///
    /// See [`LocalServerError`]; nothing is left running then. A kept folder of one server is
    /// refused for a cluster, and that of a cluster for any other number of servers.
    pub async fn start(size: usize, options: LocalServerOptions) -> Result<Self, LocalServerError> {
        if size <= 1 {
            let alone = LocalServerOptions { cluster: None, ..options };
            let servers = vec![LocalServer::start(alone).await?];
            return Ok(Self { servers, folder: None });
        }
        let name = options.server_name.clone();
        let name = name.unwrap_or_else(|| format!("petrel-{}", uuid::Uuid::now_v7()));
        let folder = match &options.store {
            Store::Temporary => None,
            Store::Kept(path) => Some(ClusterFolder::open(path, size, &name)?),
        };
        let mut cluster = Self { servers: Vec::new(), folder };
        let mut starts = 1;
        while let Err(error) = cluster.start_once(size, &options, &name).await {
            if starts == STARTS || !error.is_taken_route() {
                return Err(error);
            }
            starts += 1;
        }
        Ok(cluster)
    }

    /// Starts the servers on routes of a new choice. If that fails, none is left.
    async fn start_once(
        &mut self,
        size: usize,
        options: &LocalServerOptions,
        name: &str,
    ) -> Result<(), LocalServerError> {
        let ports = free_ports(size).map_err(LocalServerError::io("find free ports"))?;
        let starts =
            (0..size).map(|index| LocalServer::start(self.member(index, &ports, options, name)));
        let mut failed = None;
        for (index, started) in join_all(starts).await.into_iter().enumerate() {
            match started {
                Ok(server) => self.servers.push(server),
                Err(cause) => {
                    failed.get_or_insert(of_member(index, size, cause));
                }
            }
        }
        let result = match failed {
            Some(error) => Err(error),
            None => self.together().await,
        };
        if result.is_err() {
            // The first failure is the one to tell.
            let _ = self.stop_all().await;
        }
        result
    }

    /// Options of one server.
    fn member(
        &self,
        index: usize,
        ports: &[u16],
        options: &LocalServerOptions,
        name: &str,
    ) -> LocalServerOptions {
        let name = self.folder.as_ref().map_or(name, ClusterFolder::name);
        let number = index + 1;
        let others = ports.iter().copied().filter(|port| *port != ports[index]).collect();
        LocalServerOptions {
            port: options.port.filter(|_| index == 0),
            store: match &self.folder {
                Some(folder) => Store::Kept(folder.of_server(number)),
                None => Store::Temporary,
            },
            server_name: Some(format!("{name}-{number}")),
            cluster: Some(Cluster { name: name.to_owned(), port: ports[index], others }),
            ..options.clone()
        }
    }

    /// Waits until the servers are one cluster, or one of them ends.
    async fn together(&self) -> Result<(), LocalServerError> {
        let size = self.servers.len();
        let joined = async {
            for index in 0..size {
                self.until(index, LEADS, is_answer).await;
            }
            let list = Question { operation: "STREAM.LIST", body: "", within: GATHERED };
            self.until(0, list, |answer| {
                is_answer(answer) && answer["missing"].as_array().is_none_or(Vec::is_empty)
            })
            .await;
            self.until_streams_can_be_made().await;
        };
        tokio::select! {
            joined = timeout(TOGETHER, joined) => joined.map_err(|_elapsed| self.no_cluster()),
            (index, status) = self.first_end() => {
                let log_tail = self.servers[index].log_tail();
                let status = status.unwrap_or_default();
                Err(of_member(index, size, LocalServerError::Died { status, log_tail }))
            }
        }
    }

    /// Waits until the leader knows all servers, so that a stream can have a copy on each. That
    /// is seen by making one in memory, which goes at once; one that a killed process has left is
    /// taken for it.
    async fn until_streams_can_be_made(&self) {
        let replicas = self.servers.len();
        let probe = format!(
            r#"{{"name":"PETREL_PROBE","subjects":["petrel.probe"],"storage":"memory","num_replicas":{replicas}}}"#
        );
        // Whatever else the servers say about it, another try won't change.
        let is_settled = |answer: &_| is_answer(answer) || answer["error"]["code"] != 503;
        let operation = "STREAM.CREATE.PETREL_PROBE";
        let create = Question { operation, body: &probe, within: GATHERED };
        self.until(0, create, |answer| {
            is_settled(answer) && answer["error"]["err_code"] != NO_SUITABLE_PEERS
        })
        .await;
        let operation = "STREAM.DELETE.PETREL_PROBE";
        self.until(0, Question { operation, body: "", within: GATHERED }, is_settled).await;
    }

    /// Asks one server until the answer is good.
    async fn until(
        &self,
        index: usize,
        question: Question<'_>,
        is_good: impl Fn(&serde_json::Value) -> bool,
    ) {
        loop {
            let answer = question.ask(self.servers[index].address()).await;
            match answer {
                Ok(answer) if is_good(&answer) => return,
                unready => tracing::debug!(?question, ?unready, "the cluster is not ready"),
            }
            sleep(LOOK).await;
        }
    }

    fn no_cluster(&self) -> LocalServerError {
        LocalServerError::NoCluster {
            servers: self.servers.len(),
            after: TOGETHER,
            log_tail: self.servers[0].log_tail(),
        }
    }

    /// The servers, in order.
    pub fn servers(&self) -> &[LocalServer] {
        &self.servers
    }

    /// URLs for clients, one a server. A client that has one of them learns the others from it,
    /// while that server runs.
    pub fn urls(&self) -> Vec<String> {
        self.servers.iter().map(LocalServer::url).collect()
    }

    /// The folder with everything that the servers keep; a temporary one is the first server's.
    pub fn store_dir(&self) -> &Path {
        match &self.folder {
            Some(folder) => folder.path(),
            None => self.servers[0].store_dir(),
        }
    }

    /// The loss that a crash can cause to streams with so many replicas, in one sentence to print.
    pub fn durability(&self, replicas: usize) -> String {
        let durability = self.servers[0].durability();
        if self.servers.len() == 1 {
            return durability;
        }
        let copies = match replicas {
            1 => "each change is on one of the servers".to_owned(),
            _ => format!(
                "each change is on {} of {replicas} servers before it is acknowledged",
                replicas / 2 + 1
            ),
        };
        format!("{durability}; {copies}, and all of them are on this machine")
    }

    /// Waits until too many servers have ended by themselves for the others to go on: half of
    /// them. Says of each that has ended in the log. Returns the status of the last.
    pub async fn failed(&self) -> Option<ExitStatus> {
        let mut ends = self.ends();
        let (of, mut running) = (self.servers.len(), self.servers.len());
        while let Some((index, status)) = ends.next().await {
            running -= 1;
            if 2 * running <= of {
                return status;
            }
            let (number, status) = (index + 1, status.map(|status| status.to_string()));
            tracing::warn!(
                number,
                of,
                status,
                "a local nats-server ended by itself; the others go on without it"
            );
        }
        None
    }

    async fn first_end(&self) -> (usize, Option<ExitStatus>) {
        match self.ends().next().await {
            Some(end) => end,
            None => std::future::pending().await,
        }
    }

    /// The ends of the servers, as they come.
    fn ends(&self) -> FuturesUnordered<impl Future<Output = (usize, Option<ExitStatus>)>> {
        let servers = self.servers.iter().enumerate();
        servers.map(|(index, server)| async move { (index, server.exited().await.ok()) }).collect()
    }

    /// Kills one server with SIGKILL and waits for its end; its data stays.
    ///
    /// # Errors
    ///
    /// [`LocalServerError::NotRunning`] when it is killed already.
    pub async fn kill(&mut self, index: usize) -> Result<(), LocalServerError> {
        self.servers[index].kill().await
    }

    /// Starts one server again on the same ports and data, after stopping it if it runs, and
    /// waits until JetStream answers there.
    ///
    /// # Errors
    ///
    /// As [`LocalCluster::start`]; it may be tried again.
    pub async fn restart(&mut self, index: usize) -> Result<(), LocalServerError> {
        self.servers[index].restart().await?;
        let answers = self.until(index, LEADS, is_answer);
        timeout(TOGETHER, answers).await.map_err(|_elapsed| self.no_cluster())
    }

    /// Stops all servers, one after the other, and waits for their ends.
    ///
    /// # Errors
    ///
    /// [`LocalServerError::Io`] when one can't be signalled; the others are stopped all the same.
    pub async fn stop(mut self) -> Result<(), LocalServerError> {
        let stopped = self.stop_all().await;
        if let Some(folder) = &self.folder {
            folder.release();
        }
        stopped
    }

    async fn stop_all(&mut self) -> Result<(), LocalServerError> {
        let mut stopped = Ok(());
        for server in self.servers.drain(..) {
            stopped = stopped.and(server.stop().await);
        }
        stopped
    }
}

/// Question that only a leader of all servers answers.
const LEADS: Question<'_> = Question { operation: "STREAM.NAMES", body: "", within: OF_LEADER };

/// JetStream's number for "no suitable peers for placement".
const NO_SUITABLE_PEERS: u64 = 10_005;

fn is_answer(answer: &serde_json::Value) -> bool {
    answer.get("error").is_none()
}

fn of_member(index: usize, of: usize, cause: LocalServerError) -> LocalServerError {
    LocalServerError::Member { number: index + 1, of, cause: Box::new(cause) }
}

/// Ports that were free a moment ago, each another one.
fn free_ports(count: usize) -> io::Result<Vec<u16>> {
    let bind = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let held = (0..count).map(|_| bind()).collect::<io::Result<Vec<_>>>()?;
    held.iter().map(|socket| Ok(socket.local_addr()?.port())).collect()
}
