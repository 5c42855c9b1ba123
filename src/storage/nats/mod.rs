//! Storage in NATS JetStream. The only place, with the local server's launcher, that names
//! async-nats.

mod config;

pub use config::{Auth, NatsStorageConfig, Tls};

use super::Result;

/// Storage in NATS JetStream. A clone shares the connection.
#[derive(Debug, Clone)]
pub struct NatsStorage {}

impl NatsStorage {
    /// Connects, checks the server's version, and makes the streams or brings them up to date.
    pub async fn connect(config: NatsStorageConfig) -> Result<Self> {
        let _ = config;
        todo!()
    }
}
