//! The streams: made where none of them is there, checked and brought up to date where they exist,
//! never deleted.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::{
    Link, NatsStorageConfig, Subjects,
    checkpoint::{acknowledges_before_disk, is_alone},
    refusal::NOT_FOUND,
    settings::{
        FORMAT_KEY, LEVEL_KEY, LevelRefusal, Step, failed, is_raised, log_settings,
        marking_settings, update, write_level,
    },
};
use crate::{
    models::FORMAT_VERSION,
    storage::{StorageError, WriteLevel},
};

/// Noted at a view that was made again and does not have everything of its log yet.
const FILLING_KEY: &str = "stormpetrel.filling";

/// Permission to make and change streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Makes both if there is none of them, and the view if only its log stands; brings
    /// existing ones up to date.
    Serve,
    /// Creates and changes nothing.
    Look,
}

/// Looks at both streams and does the work that `purpose` allows. Returns true if the view is
/// to be filled from the log, because it was made again beside a log that stands.
pub(super) async fn prepare(
    link: &Link,
    config: &NatsStorageConfig,
    purpose: Purpose,
) -> Result<bool, StorageError> {
    let log = log_settings(config, &Subjects::new(&config.prefix));
    let marking = for_view(link, config).await?;
    if config.view_on_disk && marking["persist_mode"] == "async" && purpose == Purpose::Serve {
        tracing::warn!(stream = config.marking_stream, "{STAYS_BEFORE_DISK}");
    }
    let mut for_log = plan(link, &config.log_stream, &log).await?;
    let mut for_marking = plan(link, &config.marking_stream, &marking).await?;
    if for_log.is_missing() && !for_marking.is_missing() {
        // The log is made first: where another process has made both since we looked, it is there.
        for_log = plan(link, &config.log_stream, &log).await?;
        if for_log.is_missing() {
            return Err(lost_log(link, config).await);
        }
    }
    match (&for_log, &mut for_marking, purpose) {
        (Step::Create(_), _, Purpose::Look) => return Err(nothing_there(config)),
        (_, Step::Create(_), Purpose::Look) => return Err(missing_view(config)),
        (_, _, Purpose::Look) => return is_being_filled(link, config).await,
        (Step::Nothing | Step::Update(..), Step::Create(new), Purpose::Serve) => {
            to_be_filled(link, config, new).await?;
        }
        (_, _, Purpose::Serve) => {}
    }
    take(link, &config.log_stream, &log, for_log).await?;
    take(link, &config.marking_stream, &marking, for_marking).await?;
    is_being_filled(link, config).await
}

/// The settings that the view needs: one that is there keeps its persist mode.
async fn for_view(link: &Link, config: &NatsStorageConfig) -> Result<Value, StorageError> {
    let name = &config.marking_stream;
    let before_disk = match link.call(&format!("STREAM.INFO.{name}"), &Value::Null).await? {
        Ok(info) => {
            let before_disk = acknowledges_before_disk(&info);
            // A server that is alone has no replicas of anything, and says so.
            let is_alone = is_alone(&link.client.server_info(), config);
            if before_disk && !is_alone && config.replicas.is_some_and(|replicas| replicas > 1) {
                return Err(failed(name, "num_replicas", ONE_REPLICA));
            }
            before_disk
        }
        // Whoever makes it says so.
        Err(_) => may_be_before_disk(link, config).await?,
    };
    Ok(marking_settings(config, &Subjects::new(&config.prefix), before_disk))
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

/// Returns true if a new view may acknowledge before the disk: its loss is noticed, and the log beside
/// it, which a new one follows, is not replicated.
pub(super) async fn may_be_before_disk(
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

/// A view that lacks what its log has, by the time at which the server made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filling {
    created: Value,
}

/// The view, if it is to be filled. Makes it again where it is missing and its log stands; where
/// neither is there, nothing is made.
pub(super) async fn keep_view(
    link: &Link,
    config: &NatsStorageConfig,
) -> Result<Option<Filling>, StorageError> {
    let name = &config.marking_stream;
    let info = link.call(&format!("STREAM.INFO.{name}"), &Value::Null).await?;
    let mut info = match info {
        Err(error) if error.err_code == NOT_FOUND => {
            let log = log_settings(config, &Subjects::new(&config.prefix));
            if plan(link, &config.log_stream, &log).await?.is_missing() {
                return Err(nothing_there(config));
            }
            let wanted = for_view(link, config).await?;
            let mut step = plan(link, name, &wanted).await?;
            if let Step::Create(new) = &mut step {
                to_be_filled(link, config, new).await?;
                take(link, name, &wanted, step).await?;
            }
            let made = link.call(&format!("STREAM.INFO.{name}"), &Value::Null).await?;
            made.map_err(|error| error.of_stream(name))?
        }
        info => info.map_err(|error| error.of_stream(name))?,
    };
    Ok(is_filling(&info).then(|| Filling { created: info["created"].take() }))
}

/// Notes that the view has everything that the log has; not of one that was made since.
pub(super) async fn filled(
    link: &Link,
    config: &NatsStorageConfig,
    view: &Filling,
) -> Result<(), StorageError> {
    let name = &config.marking_stream;
    let info = link.call(&format!("STREAM.INFO.{name}"), &Value::Null).await?;
    let mut info = info.map_err(|error| error.of_stream(name))?;
    if info["created"] != view.created {
        return Ok(());
    }
    let mut settings = info["config"].take();
    if let Some(metadata) = settings["metadata"].as_object_mut()
        && metadata.remove(FILLING_KEY).is_some()
    {
        let done = link.call(&format!("STREAM.UPDATE.{name}"), &settings).await?;
        done.map_err(|error| error.of_making(name, "metadata"))?;
    }
    Ok(())
}

/// Gives the log a level of what may be written into it. Returns the one that it had, if that could
/// be read. All other settings stay as they are. The server has no condition for it, so what another
/// operator changes in the same moment may be undone.
pub(super) async fn raise_level(
    link: &Link,
    config: &NatsStorageConfig,
    to: WriteLevel,
) -> Result<Option<WriteLevel>, StorageError> {
    let name = &config.log_stream;
    let info = link.call_leader(&format!("STREAM.INFO.{name}"), &Value::Null).await?;
    let mut info = info.map_err(|error| error.of_stream(name))?;
    let now = write_level(&info);
    let refused = |refusal: LevelRefusal| failed(name, LEVEL_KEY, &refusal.to_string());
    if is_raised(&now, to, WriteLevel::KNOWN).map_err(refused)? {
        let mut settings = info["config"].take();
        settings["metadata"][LEVEL_KEY] = json!(to.to_string());
        let done = link.call(&format!("STREAM.UPDATE.{name}"), &settings).await?;
        done.map_err(|error| error.of_making(name, LEVEL_KEY))?;
    }
    Ok(now.ok())
}

/// Settings for a view that is made again. Its sequences go on beyond those of the one before, which
/// grew by far less than one a microsecond: a listing that was begun there leaves nothing out here,
/// and a condition that was decided upon there is not met by chance. A clock of this process that is
/// behind the server's is made up for by the time of the log's last record. It has as many replicas
/// as its log, on servers of the same kind, unless this process was told how many.
async fn to_be_filled(
    link: &Link,
    config: &NatsStorageConfig,
    new: &mut Value,
) -> Result<(), StorageError> {
    new["metadata"][FILLING_KEY] = json!("true");
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

/// Returns true if the view, as the server's API describes it, lacks what the log has.
pub(super) fn is_filling(info: &Value) -> bool {
    !info["config"]["metadata"][FILLING_KEY].is_null()
}

async fn is_being_filled(link: &Link, config: &NatsStorageConfig) -> Result<bool, StorageError> {
    let name = &config.marking_stream;
    let info = link.call(&format!("STREAM.INFO.{name}"), &Value::Null).await?;
    info.map(|info| is_filling(&info)).map_err(|error| error.of_stream(name))
}

/// The error for a log that is gone while the view says that there was one.
async fn lost_log(link: &Link, config: &NatsStorageConfig) -> StorageError {
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

fn nothing_there(config: &NatsStorageConfig) -> StorageError {
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

fn missing_view(config: &NatsStorageConfig) -> StorageError {
    let reason = format!(
        "is missing; its log {} stands, so nothing is lost: `petrel serve` (or `petrel dev`) \
         makes it again and fills it from there",
        config.log_stream
    );
    StorageError::Stream { stream: config.marking_stream.clone(), reason }
}

async fn plan(link: &Link, name: &str, wanted: &Value) -> Result<Step, StorageError> {
    match link.call(&format!("STREAM.INFO.{name}"), &Value::Null).await? {
        Ok(info) => update(name, &info, wanted),
        Err(error) if error.err_code == NOT_FOUND => {
            refuse_taken(link, name, wanted).await?;
            let mut new = wanted.clone();
            new["name"] = json!(name);
            new["metadata"] = json!({ FORMAT_KEY: FORMAT_VERSION.to_string() });
            Ok(Step::Create(new))
        }
        Err(error) => Err(error.of_making(name, "can't be read")),
    }
}

async fn take(link: &Link, name: &str, wanted: &Value, step: Step) -> Result<(), StorageError> {
    match step {
        Step::Nothing => Ok(()),
        Step::Create(new) => {
            match link.call(&format!("STREAM.CREATE.{name}"), &new).await? {
                Ok(_) => Ok(()),
                // Another process starts too, and was first.
                Err(error) if error.err_code == NAME_IN_USE => {
                    match Box::pin(plan(link, name, wanted)).await? {
                        Step::Create(_) => {
                            Err(failed(name, "can't be created", &error.description))
                        }
                        step => Box::pin(take(link, name, wanted, step)).await,
                    }
                }
                Err(error) if error.err_code == SUBJECTS_OVERLAP => {
                    Err(taken(name, &error.description, wanted))
                }
                Err(error) => Err(error.of_making(name, "can't be created")),
            }
        }
        Step::Update(new, changed) => {
            tracing::info!(stream = name, changed, "bringing the stream's settings up to date");
            match link.call(&format!("STREAM.UPDATE.{name}"), &new).await? {
                Ok(_) => Ok(()),
                Err(error) => {
                    Err(error.of_making(name, &format!("{changed}: the server does not change it")))
                }
            }
        }
    }
}

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
