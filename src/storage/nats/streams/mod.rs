//! The streams: made where none of them is there, checked and brought up to date where they exist,
//! never deleted.

mod filling;
mod head;
mod level;
mod missing;
mod others;
mod persistence;
pub(super) mod settings;

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{Link, NatsStorageConfig, Subjects, leader::led, refusal::NOT_FOUND};
use crate::storage::StorageError;
use others::{beat_settings, timer_settings, work_settings};
use settings::{Step, failed, log_settings, new_metadata, update};

pub use filling::Filling;
pub(super) use filling::{filled, is_filling, keep_view, note_filled, to_be_filled_since};
pub(super) use level::raise_level;
pub(super) use missing::missing_other;
pub(super) use persistence::{acknowledges_before_disk, is_alone, may_be_before_disk};

/// Permission to make and change streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Makes all if there is neither log nor view, and all others beside a log that stands; brings
    /// existing ones up to date.
    Serve,
    /// Creates and changes nothing.
    Look,
    /// As [`Serve`](Self::Serve) does, with log and view only: for what is compared with.
    Compare,
}

/// Role of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Log,
    View,
    Timers,
    Work,
    Beats,
}

impl Role {
    /// Those of the streams beside the log and its view of tokens.
    pub(super) const OTHERS: [Self; 3] = [Self::Timers, Self::Work, Self::Beats];

    /// Name of the stream.
    pub(super) fn name(self, config: &NatsStorageConfig) -> String {
        match self {
            Self::Log => config.log_stream.clone(),
            Self::View => config.marking_stream.clone(),
            Self::Timers => config.timers(),
            Self::Work => config.work(),
            Self::Beats => config.beats(),
        }
    }
}

/// Looks at all streams and does the work that `purpose` allows. Returns true if the view is
/// to be filled from the log, because it was made again beside a log that stands.
pub(super) async fn prepare(
    link: &Link,
    config: &NatsStorageConfig,
    purpose: Purpose,
) -> Result<bool, StorageError> {
    let mut for_log = plan(link, config, Role::Log).await?;
    let mut for_view = plan(link, config, Role::View).await?;
    let others = if purpose == Purpose::Compare { &[] } else { &Role::OTHERS[..] };
    let mut for_others = Vec::new();
    for role in others {
        for_others.push((*role, plan(link, config, *role).await?));
    }
    if for_log.is_missing() && !for_view.is_missing() {
        // The log is made first: where another process has made both since we looked, it is there.
        for_log = plan(link, config, Role::Log).await?;
        if for_log.is_missing() {
            return Err(missing::lost_log(link, config).await);
        }
    }
    if purpose == Purpose::Look {
        if for_log.is_missing() {
            return Err(missing::nothing_there(config));
        }
        if for_view.is_missing() {
            return Err(missing::missing_view(config));
        }
        // A system of an earlier version has no others, and whoever only looks needs none.
        return Ok(is_filling(&info_of(link, &config.marking_stream).await?));
    }
    if !for_log.is_missing() {
        if let Step::Create(new) = &mut for_view {
            filling::to_be_filled(link, config, new).await?;
        }
        for (_, step) in &mut for_others {
            if let Step::Create(new) = step {
                beside_its_log(link, config, new).await?;
            }
        }
    }
    take(link, config, Role::Log, for_log).await?;
    take(link, config, Role::View, for_view).await?;
    for (role, step) in for_others {
        take(link, config, role, step).await?;
    }
    let view = info_of(link, &config.marking_stream).await?;
    // Most of what is asked of it before it has a leader would have no answer.
    led(&config.marking_stream, &view)?;
    for role in others {
        let name = role.name(config);
        led(&name, &info_of(link, &name).await?)?;
        if *role == Role::Work {
            head::keep_head(link, config).await;
        }
    }
    persistence::tell_if_before_disk(config, &view);
    Ok(is_filling(&view))
}

/// Makes the stream of timers, of open work or of beats again where it is missing and its log stands.
/// Returns true if it was missing.
pub(super) async fn keep_other(
    link: &Link,
    config: &NatsStorageConfig,
    role: Role,
) -> Result<bool, StorageError> {
    let mut step = plan(link, config, role).await?;
    let Step::Create(new) = &mut step else { return Ok(false) };
    if plan(link, config, Role::Log).await?.is_missing() {
        return Err(missing::nothing_there(config));
    }
    beside_its_log(link, config, new).await?;
    let (stream, lost) = (role.name(config), missing::lost(role));
    tracing::warn!(stream, "the stream was missing and is made again; {lost}");
    take(link, config, role, step).await?;
    if role == Role::Work {
        head::keep_head(link, config).await;
    }
    Ok(true)
}

/// The server's description of a stream, by its leader.
async fn info_of(link: &Link, name: &str) -> Result<Value, StorageError> {
    let info = link.call_leader(&format!("STREAM.INFO.{name}"), &Value::Null).await?;
    info.map_err(|error| error.of_stream(name))
}

/// Settings for a stream that is made again beside its log. Its sequences go on beyond those of the one
/// before, which grew by far less than one a microsecond: what was begun or decided upon there meets
/// nothing here by chance. A clock of this process that is behind the server's is made up for by the
/// time of the log's last record. It has as many replicas as its log, on servers of the same kind,
/// unless this process was told how many.
async fn beside_its_log(
    link: &Link,
    config: &NatsStorageConfig,
    new: &mut Value,
) -> Result<(), StorageError> {
    let name = &config.log_stream;
    let info = link.call(&format!("STREAM.INFO.{name}"), &Value::Null).await?;
    let mut info = info.map_err(|error| error.of_stream(name))?;
    let last = info["state"]["last_ts"].as_str().and_then(|time| time.parse().ok());
    let now = last.map_or_else(Utc::now, |last: DateTime<Utc>| Utc::now().max(last));
    new["first_seq"] = json!(now.timestamp_micros());
    let mut log = info["config"].take();
    for field in ["num_replicas", "placement"] {
        if new.get(field).is_none() && !log[field].is_null() {
            new[field] = log[field].take();
        }
    }
    Ok(())
}

/// The settings that a stream needs: a new one, or one that is `there` as the server describes it.
/// Another process may make it with other settings at the same moment, so these are of no use for
/// one that is there if it was not when they were found.
async fn wanted(
    link: &Link,
    config: &NatsStorageConfig,
    role: Role,
    there: Option<&Value>,
) -> Result<Value, StorageError> {
    let subjects = Subjects::new(&config.prefix);
    match role {
        Role::Log => Ok(log_settings(config, &subjects)),
        Role::View => persistence::wanted(link, config, &subjects, there).await,
        Role::Timers => Ok(timer_settings(config, &subjects)),
        Role::Work => Ok(work_settings(config, &subjects)),
        Role::Beats => Ok(beat_settings(config, &subjects)),
    }
}

async fn plan(link: &Link, config: &NatsStorageConfig, role: Role) -> Result<Step, StorageError> {
    let name = role.name(config);
    match link.call(&format!("STREAM.INFO.{name}"), &Value::Null).await? {
        Ok(info) => update(role, &name, &info, &wanted(link, config, role, Some(&info)).await?),
        Err(error) if error.err_code == NOT_FOUND => {
            let mut new = wanted(link, config, role, None).await?;
            refuse_taken(link, &name, &new).await?;
            new["name"] = json!(name);
            new["metadata"] = new_metadata(role);
            Ok(Step::Create(new))
        }
        Err(error) => Err(error.of_making(&name, "can't be read")),
    }
}

async fn take(
    link: &Link,
    config: &NatsStorageConfig,
    role: Role,
    step: Step,
) -> Result<(), StorageError> {
    let name = role.name(config);
    match step {
        Step::Nothing => Ok(()),
        Step::Create(new) => match create(link, config, role, &new).await? {
            Some(step) => Box::pin(take(link, config, role, step)).await,
            None => Ok(()),
        },
        Step::Update(new, changed) => {
            tracing::info!(stream = name, changed, "bringing the stream's settings up to date");
            match link.call(&format!("STREAM.UPDATE.{name}"), &new).await? {
                Ok(_) => Ok(()),
                Err(error) => {
                    Err(error
                        .of_making(&name, &format!("{changed}: the server does not change it")))
                }
            }
        }
    }
}

/// Makes a stream. Where another process starts too, and was first, returns the change that its stream
/// needs: it may have been told of other settings.
async fn create(
    link: &Link,
    config: &NatsStorageConfig,
    role: Role,
    new: &Value,
) -> Result<Option<Step>, StorageError> {
    let (name, begun) = (role.name(config), Instant::now());
    loop {
        let error = match link.call(&format!("STREAM.CREATE.{name}"), new).await? {
            Ok(_) => return Ok(None),
            Err(error) => error,
        };
        match error.err_code {
            NAME_IN_USE => {}
            SUBJECTS_OVERLAP => return Err(taken(&name, &error.description, new)),
            _ => return Err(error.of_making(&name, "can't be created")),
        }
        match plan(link, config, role).await? {
            // In a cluster the name is taken before there is a stream to be described.
            Step::Create(_) if begun.elapsed() < MADE_WITHIN => sleep(MADE_LOOK).await,
            Step::Create(_) => return Err(failed(&name, "can't be created", &error.description)),
            step => return Ok(Some(step)),
        }
    }
}

/// Longest time for servers to make a stream that another process has asked for, and the time between
/// two looks at it.
const MADE_WITHIN: Duration = Duration::from_secs(5);
const MADE_LOOK: Duration = Duration::from_millis(50);

const NAME_IN_USE: u64 = 10_058;
const SUBJECTS_OVERLAP: u64 = 10_065;

/// A stream of somebody else's that takes one of our subjects.
async fn refuse_taken(link: &Link, name: &str, wanted: &Value) -> Result<(), StorageError> {
    for subject in wanted["subjects"].as_array().into_iter().flatten() {
        let found = link.call("STREAM.NAMES", &json!({ "subject": subject })).await?;
        let found = found.map_err(|error| error.of_making(name, "can't be created"))?;
        // One of this name was made by another process since we looked.
        let mut others = found["streams"].as_array().into_iter().flatten();
        if let Some(other) = others.find(|other| *other != name) {
            return Err(taken(name, &format!("stream {other} takes {subject}"), wanted));
        }
    }
    Ok(())
}

fn taken(name: &str, what: &str, wanted: &Value) -> StorageError {
    let subjects = &wanted["subjects"];
    let reason = format!(
        "{what}: another stream takes some of {subjects}; choose another prefix, or the stream \
         names that go with this one"
    );
    failed(name, "subjects", &reason)
}
