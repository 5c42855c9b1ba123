//! State of a store, for people and for monitors.

/// State of the store.
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize)]
pub struct Health {
    /// True if requests are answered now.
    pub connected: bool,
    /// Round trip of a request to the server, in milliseconds.
    pub round_trip_ms: Option<f64>,
    /// The server's version.
    pub server_version: Option<String>,
    /// Time since which it has been away.
    pub away_since: Option<chrono::DateTime<chrono::Utc>>,
    /// Records and definitions in the log.
    pub log_messages: Option<u64>,
    /// Bytes of the log.
    pub log_bytes: Option<u64>,
    /// Messages of the marking view: live tokens, and markers that have not yet expired.
    pub view_messages: Option<u64>,
    /// The fault, in words for people.
    pub problem: Option<String>,
}
