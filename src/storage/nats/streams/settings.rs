//! The streams' settings: those that serving needs, and how others differ from them.

use serde_json::{Value, json};

use super::{
    NatsStorageConfig, Role, Subjects,
    others::{beat_settings, timer_settings, work_settings},
    persistence::acknowledges_before_disk,
};
use crate::{
    models::FORMAT_VERSION,
    storage::{NoLevel, StorageError, WriteLevel, nats::codec::VIEW_FORMAT},
};

/// The format of the messages of timers, of offers, and of beats.
const OTHER_FORMAT: u32 = 1;

/// Noted at a stream that was made and does not have everything yet that follows from the log.
pub(in crate::storage::nats) const FILLING_KEY: &str = "stormpetrel.filling";

/// Key under which the format version of a stream's contents is noted.
pub(in crate::storage::nats) const FORMAT_KEY: &str = "stormpetrel.format";

/// Key under which the log's metadata has the level of what may be written into it.
pub(in crate::storage::nats) const LEVEL_KEY: &str = "stormpetrel.writes";

/// The level of what may be written into a log, as the server's API describes it.
pub(in crate::storage::nats) fn write_level(info: &Value) -> Result<WriteLevel, NoLevel> {
    // The server takes texts only.
    info["config"]["metadata"][LEVEL_KEY].as_str().map_or(Ok(WriteLevel::FIRST), str::parse)
}

/// Returns true if a log of level `now` is to be given the level `to`, by a version that reads up
/// to `known`; false if it has it. The error is the reason that it can't.
pub(in crate::storage::nats) fn is_raised(
    now: &Result<WriteLevel, NoLevel>,
    to: WriteLevel,
    known: WriteLevel,
) -> Result<bool, LevelRefusal> {
    match now {
        _ if to > known => Err(LevelRefusal::Unknown { to, known }),
        Ok(now) if *now > to => Err(LevelRefusal::Lower { to, now: *now }),
        now => Ok(*now != Ok(to)),
    }
}

/// The reason that a log is not given a level.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(in crate::storage::nats) enum LevelRefusal {
    #[error(
        "level {to} is not known to this version, which reads up to level {known}; use a newer \
         petrel, here and in every program of this system"
    )]
    Unknown { to: WriteLevel, known: WriteLevel },
    #[error(
        "it has level {now}, and is not given {to}: what was written at level {now} stays, and a \
         program that reads less can't change these cases"
    )]
    Lower { to: WriteLevel, now: WriteLevel },
}

/// Metadata of a new stream. Into a new log nobody writes yet who reads less than this version.
pub(in crate::storage::nats) fn new_metadata(role: Role) -> Value {
    let level = WriteLevel::KNOWN;
    match role {
        Role::Log => {
            json!({ FORMAT_KEY: level.format().to_string(), LEVEL_KEY: level.to_string() })
        }
        Role::View => json!({ FORMAT_KEY: VIEW_FORMAT.to_string() }),
        Role::Timers | Role::Work => {
            json!({ FORMAT_KEY: OTHER_FORMAT.to_string(), FILLING_KEY: "true" })
        }
        // Nothing of the log is missing in it.
        Role::Beats => json!({ FORMAT_KEY: OTHER_FORMAT.to_string() }),
    }
}

/// Format that the metadata of a log names, whose level becomes `to`.
pub(in crate::storage::nats) fn raised_format(settings: &Value, to: WriteLevel) -> Value {
    let now = settings["metadata"][FORMAT_KEY].as_str().and_then(|text| text.parse().ok());
    json!(now.unwrap_or(1_u32).max(to.format()).to_string())
}

/// The log refuses writes when full, and nobody deletes from it.
pub(in crate::storage::nats) fn log_settings(
    config: &NatsStorageConfig,
    subjects: &Subjects,
) -> Value {
    let mut settings = json!({
        "description": "Storm Petrel: workflow definitions and case logs. The source of truth.",
        "subjects": subjects.log_stream(),
        "discard": "new",
        "deny_delete": true,
        "deny_purge": true,
        // `async` acknowledges what a killed server has not written down.
        "persist_mode": "default",
        // Appends that come at once may be one batch.
        "allow_atomic": true,
    });
    if let Some(bytes) = config.log_max_bytes {
        settings["max_bytes"] = json!(bytes);
    }
    with_common(settings, config)
}

/// The view of live tokens. It has no limit a subject: what such a limit evicts can come back
/// when the server is killed. The server does not change its persist mode.
pub(in crate::storage::nats) fn marking_settings(
    config: &NatsStorageConfig,
    subjects: &Subjects,
    before_disk: bool,
) -> Value {
    let settings = json!({
        "description": "Storm Petrel: live tokens, one subject each. A view of the log.",
        "subjects": subjects.marking_stream(before_disk),
        "persist_mode": if before_disk { "async" } else { "default" },
        "discard": "old",
        // Messages are replaced by roll-ups, which this would forbid.
        "deny_purge": false,
        "allow_rollup_hdrs": true,
        "allow_msg_ttl": true,
        "max_bytes": -1,
    });
    with_common(settings, config)
}

pub(super) fn with_common(mut settings: Value, config: &NatsStorageConfig) -> Value {
    let mut common = json!({
        "retention": "limits",
        "storage": "file",
        "allow_direct": true,
        "max_msgs": -1,
        "max_msgs_per_subject": -1,
        "max_age": 0,
        "max_msg_size": -1,
        "sealed": false,
        "no_ack": false,
        // What is stored under another subject is nobody's.
        "subject_transform": null,
    });
    if let (Value::Object(settings), Value::Object(common)) = (&mut settings, &mut common) {
        common.append(settings);
    }
    let mut settings = common;
    if let Some(replicas) = config.replicas {
        settings["num_replicas"] = json!(replicas);
    }
    settings
}

/// The settings in which the log is not as serving needs it, for people: with some of them reads
/// or writes fail, with others what is stored gets lost. Its replicas and its bytes are an
/// operator's to choose while all goes on.
pub(in crate::storage::nats) fn differing_log(
    config: &NatsStorageConfig,
    info: &Value,
) -> Option<String> {
    let mut wanted = log_settings(config, &Subjects::new(&config.prefix));
    if let Value::Object(wanted) = &mut wanted {
        wanted.remove("max_bytes");
        // Without it appends go one by one.
        wanted.remove("allow_atomic");
    }
    differing(Role::Log, &config.log_stream, info, wanted)
}

/// Says of the view what [`differing_log`] says of the log.
pub(in crate::storage::nats) fn differing_marking(
    config: &NatsStorageConfig,
    info: &Value,
) -> Option<String> {
    let before_disk = acknowledges_before_disk(info);
    let wanted = marking_settings(config, &Subjects::new(&config.prefix), before_disk);
    differing(Role::View, &config.marking_stream, info, wanted)
}

/// Says of timers, open work or beats what [`differing_log`] says of the log.
pub(in crate::storage::nats) fn differing_other(
    config: &NatsStorageConfig,
    role: Role,
    info: &Value,
) -> Option<String> {
    let subjects = Subjects::new(&config.prefix);
    let wanted = match role {
        Role::Work => work_settings(config, &subjects),
        Role::Beats => beat_settings(config, &subjects),
        _ => timer_settings(config, &subjects),
    };
    differing(role, &role.name(config), info, wanted)
}

fn differing(role: Role, name: &str, info: &Value, mut wanted: Value) -> Option<String> {
    if let Value::Object(wanted) = &mut wanted {
        wanted.retain(|field, _| !["num_replicas", "description"].contains(&field.as_str()));
    }
    match update(role, name, info, &wanted) {
        Ok(Step::Update(_, changed)) => Some(format!(
            "stream {name} has other settings than this system needs, with which it may fail or \
             lose what it has: {changed}; `petrel init`, or a restart of `petrel serve`, puts them \
             right"
        )),
        Ok(Step::Nothing | Step::Create(_)) => None,
        Err(error) => Some(error.to_string()),
    }
}

/// Change that a stream needs. Found out for both before anything is done to either, so
/// that a system that is refused has changed nothing.
pub(in crate::storage::nats) enum Step {
    /// It is as it must be.
    Nothing,
    /// It is missing: make it with these settings.
    Create(Value),
    /// It differs: give it these settings. The names of the fields that change, for people.
    Update(Value, String),
}

impl Step {
    /// Returns true if the stream is to be made.
    pub(in crate::storage::nats) fn is_missing(&self) -> bool {
        matches!(self, Self::Create(_))
    }
}

/// Changes what differs, keeps all else as its owner set it.
pub(in crate::storage::nats) fn update(
    role: Role,
    name: &str,
    info: &Value,
    wanted: &Value,
) -> Result<Step, StorageError> {
    let current = &info["config"];
    let Value::Object(wanted) = wanted else { return Ok(Step::Nothing) };
    refuse_foreign(role, name, current, wanted)?;
    let mut new = current.clone();
    let mut changed = Vec::new();
    for (field, value) in wanted {
        let now = current.get(field).filter(|now| !now.is_null()).cloned();
        if now.unwrap_or_else(|| absent(field)) != *value {
            new[field] = value.clone();
            changed.push(field.as_str());
        }
    }
    if changed.is_empty() {
        return Ok(Step::Nothing);
    }
    if let Some(limit) = wanted.get("max_bytes").and_then(Value::as_i64)
        && changed.contains(&"max_bytes")
        && limit >= 0
        && info["state"]["bytes"].as_i64().is_some_and(|bytes| bytes > limit)
    {
        let bytes = &info["state"]["bytes"];
        let reason = format!("{limit} is less than the {bytes} bytes that it holds");
        return Err(failed(name, "max_bytes", &reason));
    }
    let changed = changed.join(", ");
    Ok(Step::Update(new, changed))
}

/// Whatever can't be ours, or was written by a newer version, is left alone.
fn refuse_foreign(
    role: Role,
    name: &str,
    current: &Value,
    wanted: &serde_json::Map<String, Value>,
) -> Result<(), StorageError> {
    let format = current["metadata"][FORMAT_KEY].as_str();
    let format = format.and_then(|text| text.parse::<u32>().ok());
    let known = match role {
        Role::Log => FORMAT_VERSION,
        Role::View => VIEW_FORMAT,
        Role::Timers | Role::Work | Role::Beats => OTHER_FORMAT,
    };
    match format {
        Some(format) if format > known => {
            let reason = format!("{format} is newer than {known}; use a newer petrel");
            return Err(failed(name, FORMAT_KEY, &reason));
        }
        Some(_) => {}
        None => {
            let reason = "it was not made by Storm Petrel; choose another stream name";
            return Err(failed(name, "metadata", reason));
        }
    }
    for field in ["deny_purge", "deny_delete"] {
        if current[field] == true && wanted.get(field) == Some(&json!(false)) {
            let reason = "the server does not take it back; choose another name for this stream";
            return Err(failed(name, field, reason));
        }
    }
    for field in ["subjects", "storage", "retention", "sealed"] {
        let now = current.get(field).filter(|now| !now.is_null()).cloned();
        let now = now.unwrap_or_else(|| absent(field));
        if now != wanted[field] && !(field == "subjects" && has_some(&now, &wanted[field])) {
            let reason = format!(
                "it has {now}, and {} is needed; choose other stream names for this system",
                wanted[field]
            );
            return Err(failed(name, field, &reason));
        }
    }
    Ok(())
}

/// Returns true for the subjects of a stream of an earlier version: some of those that it has now.
fn has_some(now: &Value, wanted: &Value) -> bool {
    let (Some(now), Some(wanted)) = (now.as_array(), wanted.as_array()) else { return false };
    !now.is_empty() && now.iter().all(|subject| wanted.contains(subject))
}

/// Value that the server means when it leaves a field out.
fn absent(field: &str) -> Value {
    match field {
        "max_bytes" | "max_msgs" | "max_msgs_per_subject" | "max_msg_size" => json!(-1),
        "max_age" | "subject_delete_marker_ttl" => json!(0),
        "num_replicas" => json!(1),
        "subjects" => json!([]),
        "discard" => json!("old"),
        "persist_mode" => json!("default"),
        "subject_transform" => Value::Null,
        _ => json!(false),
    }
}

/// Problem with a field of a stream.
pub(in crate::storage::nats) fn failed(stream: &str, field: &str, reason: &str) -> StorageError {
    StorageError::Stream { stream: stream.to_owned(), reason: format!("{field}: {reason}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level(number: u32) -> WriteLevel {
        WriteLevel::new(number).unwrap()
    }

    #[test]
    fn a_level_is_raised_as_far_as_it_is_known_and_never_lowered() {
        assert_eq!(is_raised(&Ok(level(1)), level(2), level(3)), Ok(true));
        assert_eq!(is_raised(&Ok(level(1)), level(3), level(3)), Ok(true));
        assert_eq!(is_raised(&Ok(level(2)), level(2), level(3)), Ok(false));
        let unknown = LevelRefusal::Unknown { to: level(4), known: level(3) };
        assert_eq!(is_raised(&Ok(level(1)), level(4), level(3)), Err(unknown));
        let lower = LevelRefusal::Lower { to: level(1), now: level(2) };
        assert_eq!(is_raised(&Ok(level(2)), level(1), level(3)), Err(lower));
    }

    #[test]
    fn a_log_that_names_no_level_has_the_first() {
        let of = |metadata: Value| write_level(&json!({ "config": { "metadata": metadata } }));
        assert_eq!(of(Value::Null), Ok(level(1)));
        assert_eq!(of(json!({ FORMAT_KEY: "1" })), Ok(level(1)));
        assert_eq!(of(json!({ LEVEL_KEY: "2" })), Ok(level(2)));
        let unreadable = of(json!({ LEVEL_KEY: "two" }));
        assert_eq!(is_raised(&unreadable, level(1), level(1)), Ok(true));
    }
}
