//! Handles on a NATS server.

use std::sync::Arc;

use super::{Petrel, Result};
use crate::storage::nats::{NatsStorage, NatsStorageConfig};

impl Petrel {
    /// Connects to a NATS server, as a process does that serves: what the system needs there and is missing is made. The
    /// addresses of a cluster's servers are parted by commas. For other settings see [`NatsStorage::connect`].
    ///
    /// # Errors
    ///
    /// [`Error::Storage`](crate::petrel::Error::Storage) if no server answers, or it is none that can be used.
    pub async fn connect(urls: &str) -> Result<Self> {
        let urls = urls.split(',').map(|url| url.trim().to_owned()).collect();
        let config = NatsStorageConfig { urls, ..NatsStorageConfig::development() };
        Ok(Self::new(Arc::new(NatsStorage::connect(config).await?)))
    }
}
