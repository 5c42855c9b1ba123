//! Settings of the streams beside the log and its view of tokens.

use serde_json::{Value, json};

use super::{NatsStorageConfig, Subjects, settings::with_common};

/// The timers: schedules, and what they have put there since. Nothing has a time to live: all who take
/// what has come due may be away for longer.
pub(super) fn timer_settings(config: &NatsStorageConfig, subjects: &Subjects) -> Value {
    let settings = json!({
        "description": "Storm Petrel: timers that are armed or have come due. A view of the log.",
        "subjects": subjects.timer_stream(),
        "persist_mode": "default",
        // Schedules are refused with "new"; without a limit nothing is dropped.
        "discard": "old",
        // What is settled is deleted, and what is disarmed is purged.
        "deny_delete": false,
        "deny_purge": false,
        "allow_msg_schedules": true,
        // The server takes schedules only with these two.
        "allow_rollup_hdrs": true,
        "allow_msg_ttl": true,
        "max_bytes": -1,
    });
    with_common(settings, config)
}

/// Open work: an offer is gone when it is acknowledged. It has no duplicates by message id, which would
/// swallow what is offered again.
pub(super) fn work_settings(config: &NatsStorageConfig, subjects: &Subjects) -> Value {
    let settings = json!({
        "description": "Storm Petrel: open work on its way to workers. A view of the log.",
        "subjects": subjects.work_stream(),
        "retention": "workqueue",
        "persist_mode": "default",
        // It has no limit; with one that somebody sets, nothing is dropped unseen.
        "discard": "new",
        "deny_delete": false,
        // What is withdrawn is purged.
        "deny_purge": false,
        "max_bytes": -1,
    });
    with_common(settings, config)
}

/// Beats, each with a time to live, and progress. As in the view, each is replaced by a roll-up: what a
/// limit a subject evicts can come back when the server is killed. There are no markers of what has
/// expired: with those the server lets nothing live for a shorter time than they do.
pub(super) fn beat_settings(config: &NatsStorageConfig, subjects: &Subjects) -> Value {
    let settings = json!({
        "description": "Storm Petrel: signs of life of those who work, and their progress.",
        "subjects": subjects.beat_stream(),
        "persist_mode": "default",
        "discard": "old",
        "deny_delete": false,
        "deny_purge": false,
        "allow_rollup_hdrs": true,
        "allow_msg_ttl": true,
        "subject_delete_marker_ttl": 0,
        "max_bytes": -1,
    });
    with_common(settings, config)
}
