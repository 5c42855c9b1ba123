//! `petrel serve`, and the parts that `petrel dev` shares.

use std::{net::SocketAddr, path::PathBuf, pin::pin, time::Duration};

use clap::Args;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpSocket};
use tokio_util::sync::CancellationToken;

use super::{
    answer::{Answer, json_line, line},
    case_cache::CaseCache,
    connection::{self, Connection, Server},
    failure::Failure,
    running::{Announcement, Running, RunningNats},
    soundness::Soundness,
};
use crate::{
    config::{Config, duration},
    local_server::LocalServer,
    process::{Serving, ServingError},
    server::{Doors, MOST_CONNECTIONS, Tokens},
    worker::Worker,
};

const EXAMPLES: &str = "\
Examples:
  petrel serve --nats-url nats://nats-1:4222,nats://nats-2:4222 --preset production --replicas 3
  NATS_URL=nats://nats:4222 NATS_CREDS=petrel.creds petrel serve --listen 0.0.0.0:4000 \\
      --token-file tokens

Ctrl-C or SIGTERM finishes the requests under way and stops; a second one stops at once.";

/// Serve GraphQL, health and metrics over HTTP
///
/// /graphql, GraphiQL at /, /livez, /readyz and /metrics.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Serve {
    #[command(flatten)]
    listen: Listen,
    #[command(flatten)]
    tasks: Tasks,
    #[command(flatten)]
    case_cache: CaseCache,
    #[command(flatten)]
    soundness: Soundness,
}

/// Work of a serving process beside answering.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct Tasks {
    /// Audit all cases again and again, with this pause between, as in 10m; findings are errors
    /// in the process's log and counted in /metrics [default: never]
    #[arg(long, env = "PETREL_AUDIT_EVERY", value_name = "TIME", hide_env_values = true)]
    #[arg(value_parser = audit_every)]
    audit_every: Option<Duration>,
}

fn audit_every(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        every if every < Duration::from_secs(1) => Err("must be at least 1s".to_owned()),
        every => Ok(every),
    }
}

/// Address and guard of the HTTP server.
#[derive(Debug, Args)]
pub(super) struct Listen {
    /// Address to serve HTTP on; port 0 takes a free one
    #[arg(long, env = "PETREL_LISTEN", value_name = "ADDRESS", default_value = "127.0.0.1:4000")]
    #[arg(hide_env_values = true, value_parser = address)]
    listen: SocketAddr,
    /// File of the users: on each line a name, a role (reader, operator, admin) and a token
    #[arg(long, env = "PETREL_TOKEN_FILE", value_name = "FILE", hide_env_values = true)]
    token_file: Option<PathBuf>,
    /// Let everybody who can reach the address do everything, also beyond this machine
    #[arg(long, env = "PETREL_INSECURE", hide_env_values = true, conflicts_with = "token_file")]
    insecure: bool,
    /// Name that requests may be sent to, beside loopback names; several with commas between
    #[arg(long, env = "PETREL_ALLOW_HOST", value_name = "HOST", hide_env_values = true)]
    #[arg(value_delimiter = ',', value_parser = Doors::host)]
    allow_host: Vec<String>,
    /// Origin of pages that may use this server, as in https://example.com; several with commas
    /// between [default: none]
    #[arg(long, env = "PETREL_CORS_ORIGIN", value_name = "ORIGIN", hide_env_values = true)]
    #[arg(value_delimiter = ',', value_parser = Doors::origin)]
    cors_origin: Vec<String>,
}

/// Takes a port with room for as many as may be connected. In the queue that the library makes,
/// 128 come at once; what comes on top is dropped, and the client's system tries again after a second.
fn listening(at: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if at.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A port is free again at once after its last process; on Windows it would be anybody's.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(at)?;
    socket.listen(MOST_CONNECTIONS as u32)
}

fn address(text: &str) -> Result<SocketAddr, String> {
    let form = "not an IP address and a port; write it as in 127.0.0.1:4000";
    text.parse().map_err(|_| form.to_owned())
}

/// An HTTP port that is ours, and the address at which a client on this machine finds it.
#[derive(Debug)]
pub(super) struct HttpPort {
    listener: TcpListener,
    address: SocketAddr,
    doors: Doors,
    tokens: Option<Tokens>,
}

impl Serve {
    pub(super) async fn run(self, config: &Config) -> Result<Answer, Failure> {
        let shutdown = connection::shutdown(config)?;
        let port = self.listen.bind().await?;
        let opened = tokio::select! {
            opened = Connection::open_serving(config) => opened,
            () = shutdown.cancelled() => Err(Failure::interrupted()),
        };
        let connection = opened?.checking(self.soundness.checks()).knowing(self.case_cache);
        let started = json!({ "nats": connection.server.url(), "graphql": port.graphql() });
        let text = format!("serving GraphQL at {}", port.graphql());
        let announcement = announce_local_server(&connection.server, &port, config)?;
        announce(config, &started, &text)?;
        run(connection, port, announcement, self.tasks, None, shutdown).await?;
        Ok(Answer::default())
    }
}

impl Listen {
    /// Takes the port.
    pub(super) async fn bind(&self) -> Result<HttpPort, Failure> {
        let asked = self.listen;
        let tokens = self.token_file.as_ref().map(Tokens::open).transpose();
        let tokens = tokens.map_err(|error| Failure::usage(error.to_string()))?;
        if tokens.is_none() && !asked.ip().to_canonical().is_loopback() {
            if !self.insecure {
                return Err(Failure::usage(format!(
                    "whoever can reach {asked} could do everything; say with --token-file FILE \
                     who may do what, or with --insecure that this is meant, as where a proxy \
                     before it knows who may"
                )));
            }
            tracing::warn!("whoever can reach {asked} can do everything (--insecure)");
        }
        let doors = Doors { hosts: self.allow_host.clone(), origins: self.cors_origin.clone() };
        let bound = async {
            let listener = listening(asked)?;
            let address = listener.local_addr()?;
            Ok(HttpPort { listener, address, doors, tokens })
        };
        bound.await.map_err(|error: std::io::Error| {
            let reason = match error.kind() {
                std::io::ErrorKind::AddrInUse => {
                    "another process uses it; stop that one, or choose another address with \
                     --listen (port 0 takes a free one)"
                        .to_owned()
                }
                _ => error.to_string(),
            };
            Failure::invalid(format!("can't listen on {asked}: {reason}"))
        })
    }
}

impl HttpPort {
    /// The address of GraphQL.
    pub(super) fn graphql(&self) -> String {
        let mut address = self.address;
        // "Every interface" is an address to listen on, not one to go to.
        if address.ip().is_unspecified() {
            address.set_ip(if address.is_ipv4() {
                std::net::Ipv4Addr::LOCALHOST.into()
            } else {
                std::net::Ipv6Addr::LOCALHOST.into()
            });
        }
        format!("http://{address}/graphql")
    }
}

/// Says that the process is up, in one JSON line or in text.
pub(super) fn announce(config: &Config, json: &Value, text: &str) -> Result<(), Failure> {
    if config.json { json_line(&json.to_string()) } else { line(text.trim_end()) }
}

/// Serves until `shutdown`, or until a server of our own ends by itself.
pub(super) async fn run(
    connection: Connection,
    port: HttpPort,
    announcement: Option<Announcement>,
    tasks: Tasks,
    worker: Option<Worker>,
    shutdown: CancellationToken,
) -> Result<(), Failure> {
    let Connection { petrel, storage, server } = connection;
    let HttpPort { listener, doors, tokens, .. } = port;
    let Tasks { audit_every } = tasks;
    let stop = shutdown.child_token();
    let serving = Serving { petrel, storage, doors, tokens, audit_every, worker };
    let mut serving = pin!(serving.run(listener, stop.clone()));
    // The loser of the race is not dropped when it is `serving`: it is asked to stop and
    // awaited.
    let (served, lost) = tokio::select! {
        served = &mut serving => (served, None),
        reason = server.ended() => {
            stop.cancel();
            (serving.await, Some(reason))
        }
    };
    drop(announcement);
    if let Some(reason) = lost {
        // Those of a cluster that are left.
        server.stop().await?;
        return Err(Failure::unavailable(reason));
    }
    server.stop().await?;
    served.map_err(|error| match error {
        ServingError::System(error) => error.into(),
        ServingError::Tasks(error) => Failure::internal(error.to_string()),
    })
}

/// Lets other commands on this machine find a server of our own.
pub(super) fn announce_local_server(
    server: &Server,
    port: &HttpPort,
    config: &Config,
) -> Result<Option<Announcement>, Failure> {
    let Server::Own(local) = server else {
        return Ok(None);
    };
    let nats = |server: &LocalServer| RunningNats {
        url: server.url(),
        server_name: server.name().to_owned(),
    };
    let running = Running {
        nats: local.servers().iter().map(nats).collect(),
        pid: std::process::id(),
        graphql: port.graphql(),
        durability: server.durability(config).unwrap_or_default(),
    };
    let folder = config.data_folder()?;
    let announced = running.announce(&folder).map_err(|error| {
        Failure::from(error).about(format_args!("can't write to {}", folder.display()))
    });
    announced.map(Some)
}
