//! Errors in the settings.

use std::{io, path::PathBuf};

use crate::storage::StorageError;

/// Settings that make no sense; nothing was done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Two ways to log in.
    #[error("{first} and {second} are two ways to log in; give one of them")]
    Conflict {
        /// One flag.
        first: &'static str,
        /// The other.
        second: &'static str,
    },
    /// Half of a pair.
    #[error("{given} goes with {missing}; give both or neither")]
    Incomplete {
        /// The flag that was given.
        given: &'static str,
        /// The flag that is missing.
        missing: &'static str,
    },
    /// A flag about a connection, and no server to connect to.
    #[error("{flag} is about a server of yours; say which with --nats-url (NATS_URL)")]
    NoServerNamed {
        /// The flag that was given.
        flag: &'static str,
    },
    /// The nkey is no seed, and no file of that name can be read.
    #[error(
        "--nats-nkey (NATS_NKEY) is neither a user's seed (58 characters that begin with SU) \
         nor a file that can be read: {0}"
    )]
    NKeyFile(io::Error),
    /// The nkey's file holds no seed.
    #[error("{} holds no nkey seed (a line that begins with SU)", .0.display())]
    NoSeed(PathBuf),
    /// A context of the `nats` command that can't be used.
    #[error("context {name}: {} {reason}", .path.display())]
    Context {
        /// Its name.
        name: String,
        /// Its file, or the folder that it should be in.
        path: PathBuf,
        /// Its fault, without any secret.
        reason: String,
    },
    /// The user has no home, and so no contexts.
    #[error("there is no home folder to look for a context of the nats command in")]
    NoContextFolder,
    /// The user has no home.
    #[error("there is no home folder to keep data in; name a folder with --data-dir")]
    NoDataFolder,
    /// A value that the storage refuses.
    #[error(transparent)]
    Storage(#[from] StorageError),
}
