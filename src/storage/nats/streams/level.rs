//! The level of what may be written into the log.

use serde_json::json;

use super::info_of;
use crate::storage::{
    StorageError, WriteLevel,
    nats::{
        Link, NatsStorageConfig,
        streams::settings::{
            FORMAT_KEY, LEVEL_KEY, LevelRefusal, failed, is_raised, raised_format, write_level,
        },
    },
};

/// Gives the log a level of what may be written into it. Returns the one that it had, if that could
/// be read. All other settings stay as they are. The server has no condition for it, so what another
/// operator changes in the same moment may be undone.
pub(in crate::storage::nats) async fn raise_level(
    link: &Link,
    config: &NatsStorageConfig,
    to: WriteLevel,
) -> Result<Option<WriteLevel>, StorageError> {
    let name = &config.log_stream;
    let mut info = info_of(link, name).await?;
    let now = write_level(&info);
    let refused = |refusal: LevelRefusal| failed(name, LEVEL_KEY, &refusal.to_string());
    if is_raised(&now, to, WriteLevel::KNOWN).map_err(refused)? {
        let mut settings = info["config"].take();
        settings["metadata"][LEVEL_KEY] = json!(to.to_string());
        settings["metadata"][FORMAT_KEY] = raised_format(&settings, to);
        let done = link.call(&format!("STREAM.UPDATE.{name}"), &settings).await?;
        done.map_err(|error| error.of_making(name, LEVEL_KEY))?;
    }
    Ok(now.ok())
}
