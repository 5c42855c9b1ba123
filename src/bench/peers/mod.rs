//! Postgres and SQLite as peers of the engine: the same firing as one statement or one
//! transaction, on servers and files that go when the load ends.

mod account;
mod binaries;
mod error;
mod folder;
mod postgres;
mod server;
mod sqlite;

pub use error::PostgresError;
pub use postgres::{Postgres, SynchronousCommit};
pub use server::PostgresServer;
pub use sqlite::{Sqlite, Synchronous};
