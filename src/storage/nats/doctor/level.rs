//! Check of the log's level.

use serde_json::Value;

use super::{Check, ok, warn};
use crate::storage::{WriteLevel, nats::settings};

/// Check of the level of records that may be written into the log.
pub(super) fn check(log: &Value) -> Check {
    let (name, known) = ("level", WriteLevel::KNOWN);
    match settings::write_level(log) {
        Ok(level) => {
            let said = format!(
                "records up to level {level} may be written, and this version reads up to {known}"
            );
            match level > known {
                true => warn(name, format!("{said}: cases may be stuck here; use a newer petrel")),
                false => ok(name, said),
            }
        }
        Err(error) => {
            let said =
                format!("{}: {error}; nothing above level 1 is written;", settings::LEVEL_KEY);
            warn(name, format!("{said} `petrel level` sets it right"))
        }
    }
}
