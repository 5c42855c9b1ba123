//! Errors for streams that are missing.

use serde_json::Value;

use super::Role;
use crate::storage::{
    StorageError,
    nats::{Link, NatsStorageConfig},
};

/// The error for a log that is gone while the view says that there was one.
pub(super) async fn lost_log(link: &Link, config: &NatsStorageConfig) -> StorageError {
    let (log, view) = (&config.log_stream, &config.marking_stream);
    let info = link.call(&format!("STREAM.INFO.{view}"), &Value::Null).await;
    let tokens = match info {
        Ok(Ok(info)) => format!(" with {} messages of tokens", info["state"]["messages"]),
        _ => String::new(),
    };
    let reason = format!(
        "is missing, and {view}, the view of it, stands{tokens}: all definitions and the logs of \
         all cases were lost, or the name is mistyped. Restore it from a backup (`nats stream \
         restore`, docs/backup.md). To begin anew, without what was lost, take {view} away \
         yourself (`nats stream rm {view}`) and run `petrel init`. Nothing was made or changed"
    );
    StorageError::Stream { stream: log.clone(), reason }
}

pub(super) fn nothing_there(config: &NatsStorageConfig) -> StorageError {
    let (log, view) = (&config.log_stream, &config.marking_stream);
    let reason = format!(
        "is missing, and {view} too: this account has no Storm Petrel system of these names \
         (prefix {}). If it should have, look at the address, the login and the names \
         (--nats-url, --log-stream, --marking-stream, --prefix); `petrel init`, `petrel serve` and \
         `petrel dev` make a new one",
        config.prefix
    );
    StorageError::Stream { stream: log.clone(), reason }
}

pub(super) fn missing_view(config: &NatsStorageConfig) -> StorageError {
    let reason = format!(
        "is missing; its log {} stands, so nothing is lost: `petrel serve` (or `petrel dev`) \
         makes it again and fills it from there",
        config.log_stream
    );
    StorageError::Stream { stream: config.marking_stream.clone(), reason }
}

/// The error for timers, open work or beats that are gone while their log stands.
pub(in crate::storage::nats) fn missing_other(
    config: &NatsStorageConfig,
    role: Role,
) -> StorageError {
    let reason = format!(
        "is missing; its log {} stands, so nothing of it is lost: whoever serves makes it again, and {}",
        config.log_stream,
        lost(role)
    );
    StorageError::Stream { stream: role.name(config), reason }
}

/// Consequence of the loss of a stream, for people.
pub(super) fn lost(role: Role) -> &'static str {
    match role {
        Role::Log | Role::View => "what it had comes from the log",
        Role::Timers => "timers are armed from the log",
        Role::Work => "open work is offered from the log",
        Role::Beats => "whoever is alive beats again; progress that was made is lost",
    }
}
