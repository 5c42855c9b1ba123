//! When the view acknowledges: before its writes are on disk, or after.

use async_nats::ServerInfo;
use serde_json::Value;

use super::settings::{failed, marking_settings};
use crate::storage::{
    StorageError,
    nats::{Link, NatsStorageConfig, Subjects},
};

/// Returns true if a new view may acknowledge before the disk: its loss is noticed, and the log beside
/// it, which a new one follows, is not replicated.
pub(in crate::storage::nats) async fn may_be_before_disk(
    link: &Link,
    config: &NatsStorageConfig,
) -> Result<bool, StorageError> {
    let replicas = match config.replicas {
        Some(replicas) => replicas as u64,
        None => {
            let name = &config.log_stream;
            let log = link.call(&format!("STREAM.INFO.{name}"), &Value::Null).await?;
            let log = log.ok().and_then(|info| info["config"]["num_replicas"].as_u64());
            log.unwrap_or(1)
        }
    };
    Ok(!config.view_on_disk && replicas == 1 && is_alone(&link.client.server_info(), config))
}

/// The settings that the view needs: a new one, or one that is `there` as the server describes it.
pub(super) async fn wanted(
    link: &Link,
    config: &NatsStorageConfig,
    subjects: &Subjects,
    there: Option<&Value>,
) -> Result<Value, StorageError> {
    let before_disk = match there {
        None => may_be_before_disk(link, config).await?,
        // It keeps its persist mode.
        Some(info) => {
            let before_disk = acknowledges_before_disk(info);
            // A server that is alone has no replicas of anything, and says so.
            let is_alone = is_alone(&link.client.server_info(), config);
            if before_disk && !is_alone && config.replicas.is_some_and(|replicas| replicas > 1) {
                return Err(failed(&config.marking_stream, "num_replicas", ONE_REPLICA));
            }
            before_disk
        }
    };
    Ok(marking_settings(config, subjects, before_disk))
}

/// Tells whoever asked for a view on disk that there is one that acknowledges before it.
pub(super) fn tell_if_before_disk(config: &NatsStorageConfig, view: &Value) {
    if config.view_on_disk && acknowledges_before_disk(view) {
        tracing::warn!(stream = config.marking_stream, "{STAYS_BEFORE_DISK}");
    }
}

/// Advice for a view that acknowledges before the disk, where one on disk is asked for.
const STAYS_BEFORE_DISK: &str = "the view acknowledges before the disk (persist_mode async), which \
    can't be changed where it exists; to have one on disk, take it away (`nats stream rm`) while \
    `petrel serve` runs with this setting: it makes the view again and fills it";

/// Advice for a view that acknowledges before the disk, where replicas are asked for.
const ONE_REPLICA: &str = "it acknowledges before the disk (persist_mode async), and the server keeps \
    no replicas of such a stream. Nothing was changed. Give the log its replicas (`nats stream edit \
    --replicas`) and take the view away (`nats stream rm`): `petrel serve` makes it again with as \
    many replicas as the log has, and fills it";

/// Returns true if the stream, as the server's API describes it, acknowledges what it may lose.
pub(in crate::storage::nats) fn acknowledges_before_disk(info: &Value) -> bool {
    info["config"]["persist_mode"] == "async"
}

/// Returns true if whoever is connected to this server sees by his connection when the server that has
/// the streams ends: it is the only one.
pub(in crate::storage::nats) fn is_alone(server: &ServerInfo, config: &NatsStorageConfig) -> bool {
    let is_its_own = config.domain.is_none() || config.domain == server.domain;
    server.jetstream && server.cluster.is_none() && is_its_own
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_a_server_that_is_alone_is_seen_to_end() {
        let server = |said: Value| {
            let mut all = json!({ "server_id": "x", "server_name": "x", "host": "h", "port": 1,
                "version": "2.12.0", "max_payload": 1, "proto": 1, "client_id": 1, "go": "1",
                "client_ip": "i", "headers": true, "jetstream": true });
            all.as_object_mut().unwrap().extend(said.as_object().unwrap().clone());
            serde_json::from_value::<ServerInfo>(all).unwrap()
        };
        let config = NatsStorageConfig::development();
        assert!(is_alone(&server(json!({})), &config));
        assert!(is_alone(&server(json!({ "domain": "hub" })), &config));
        assert!(!is_alone(&server(json!({ "cluster": "c" })), &config));
        assert!(!is_alone(&server(json!({ "jetstream": false })), &config));
        let hub = NatsStorageConfig { domain: Some("hub".to_owned()), ..config };
        assert!(is_alone(&server(json!({ "domain": "hub" })), &hub));
        assert!(!is_alone(&server(json!({ "domain": "leaf" })), &hub));
    }
}
