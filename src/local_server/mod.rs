//! A nats-server of our own, run as a child process.
//!
//! Without a NATS URL, `petrel`, the tests, the examples and the benches start their own
//! server: found or installed once ([`ServerBinary::find`]), on the loopback interface only,
//! with JetStream on ([`LocalServer::start`]), and stopped when the [`LocalServer`] is
//! dropped. Several of them can be one cluster ([`LocalCluster::start`]).
//!
//! On Linux the server ends together with the process that started it, at any end of that
//! process. On macOS the kernel offers no such link: a parent that is killed without running
//! its destructors leaves the server running, and the next start on the same kept folder says
//! so. Windows is not supported.

mod binary;
mod cluster;
mod cluster_folder;
mod error;
mod folder;
mod install;
mod lock;
mod options;
mod process;
mod question;
mod server;
mod version;

pub use binary::{Origin, SearchEnvironment, ServerBinary};
pub use cluster::LocalCluster;
pub use error::LocalServerError;
pub use install::InstallError;
pub use options::{Cluster, LocalServerOptions, Store, SyncInterval};
#[cfg(feature = "peers")]
pub(crate) use process::{Process, Program};
pub use server::LocalServer;
pub use version::ServerVersion;
