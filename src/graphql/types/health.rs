//! The health of the store.

use async_graphql::SimpleObject;
use chrono::{DateTime, Utc};

use crate::{graphql::scalars::BigInt, storage};

/// The health of the store.
#[derive(SimpleObject)]
pub(crate) struct Health {
    /// True if the NATS server answers now, and has the log.
    connected: bool,
    /// Round trip of a request to the server, in milliseconds.
    round_trip_ms: Option<f64>,
    /// The NATS server's version.
    server_version: Option<String>,
    /// The time since which it has been away.
    away_since: Option<DateTime<Utc>>,
    /// Records and definitions in the log.
    log_messages: Option<BigInt>,
    /// Bytes of the log.
    log_bytes: Option<BigInt>,
    /// Messages of the token view: live tokens, and markers that have not yet expired.
    view_messages: Option<BigInt>,
    /// The problem, for people.
    problem: Option<String>,
    /// The version of petrel.
    version: &'static str,
}

impl From<storage::Health> for Health {
    fn from(health: storage::Health) -> Self {
        Self {
            connected: health.connected,
            round_trip_ms: health.round_trip_ms,
            server_version: health.server_version,
            away_since: health.away_since,
            log_messages: health.log_messages.map(BigInt),
            log_bytes: health.log_bytes.map(BigInt),
            view_messages: health.view_messages.map(BigInt),
            problem: health.problem,
            version: env!("CARGO_PKG_VERSION"),
        }
    }
}
