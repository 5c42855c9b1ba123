//! The streams: made where none of them is there, checked and brought up to date where they exist,
//! never deleted.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{
    Link, NatsStorageConfig, Subjects,
    checkpoint::{acknowledges_before_disk, is_alone},
    leader::led,
    refusal::NOT_FOUND,
    settings::{
        FORMAT_KEY, LEVEL_KEY, LevelRefusal, Step, failed, is_raised, log_settings,
        marking_settings, new_metadata, raised_format, update, write_level,
    },
};
use crate::storage::{StorageError, WriteLevel};

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

/// Role of one of the two streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Log,
    View,
}

impl Role {
    fn name(self, config: &NatsStorageConfig) -> &str {
        match self {
            Self::Log => &config.log_stream,
            Self::View => &config.marking_stream,
        }
    }
}

/// Looks at both streams and does the work that `purpose` allows. Returns true if the view is
/// to be filled from the log, because it was made again beside a log that stands.
pub(super) async fn prepare(
    link: &Link,
    config: &NatsStorageConfig,
    purpose: Purpose,
) -> Result<bool, StorageError> {
    let mut for_log = plan(link, config, Role::Log).await?;
    let mut for_view = plan(link, config, Role::View).await?;
    if for_log.is_missing() && !for_view.is_missing() {
        // The log is made first: where another process has made both since we looked, it is there.
        for_log = plan(link, config, Role::Log).await?;
        if for_log.is_missing() {
            return Err(lost_log(link, config).await);
        }
    }
    match (&for_log, &mut for_view, purpose) {
        (Step::Create(_), _, Purpose::Look) => return Err(nothing_there(config)),
        (_, Step::Create(_), Purpose::Look) => return Err(missing_view(config)),
        (_, _, Purpose::Look) => return Ok(is_filling(&view(link, config).await?)),
        (Step::Nothing | Step::Update(..), Step::Create(new), Purpose::Serve) => {
            to_be_filled(link, config, new).await?;
        }
        (_, _, Purpose::Serve) => {}
    }
    take(link, config, Role::Log, for_log).await?;
    take(link, config, Role::View, for_view).await?;
    let view = view(link, config).await?;
    // Most of what is asked of it before it has a leader would have no answer.
    led(&config.marking_stream, &view)?;
    tell_if_before_disk(config, &view);
    Ok(is_filling(&view))
}

/// The server's description of the view.
async fn view(link: &Link, config: &NatsStorageConfig) -> Result<Value, StorageError> {
    let name = &config.marking_stream;
    let info = link.call_leader(&format!("STREAM.INFO.{name}"), &Value::Null).await?;
    info.map_err(|error| error.of_stream(name))
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
    let before_disk = match (role, there) {
        (Role::Log, _) => return Ok(log_settings(config, &subjects)),
        (Role::View, None) => may_be_before_disk(link, config).await?,
        // It keeps its persist mode.
        (Role::View, Some(info)) => {
            let before_disk = acknowledges_before_disk(info);
            // A server that is alone has no replicas of anything, and says so.
            let is_alone = is_alone(&link.client.server_info(), config);
            if before_disk && !is_alone && config.replicas.is_some_and(|replicas| replicas > 1) {
                return Err(failed(&config.marking_stream, "num_replicas", ONE_REPLICA));
            }
            before_disk
        }
    };
    Ok(marking_settings(config, &subjects, before_disk))
}

/// Tells whoever asked for a view on disk that there is one that acknowledges before it.
fn tell_if_before_disk(config: &NatsStorageConfig, view: &Value) {
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
            if plan(link, config, Role::Log).await?.is_missing() {
                return Err(nothing_there(config));
            }
            let mut step = plan(link, config, Role::View).await?;
            if let Step::Create(new) = &mut step {
                to_be_filled(link, config, new).await?;
                take(link, config, Role::View, step).await?;
            }
            let made = view(link, config).await?;
            tell_if_before_disk(config, &made);
            made
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
    let mut info = self::view(link, config).await?;
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
        settings["metadata"][FORMAT_KEY] = raised_format(&settings, to);
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

async fn plan(link: &Link, config: &NatsStorageConfig, role: Role) -> Result<Step, StorageError> {
    let name = role.name(config);
    match link.call(&format!("STREAM.INFO.{name}"), &Value::Null).await? {
        Ok(info) => update(name, &info, &wanted(link, config, role, Some(&info)).await?),
        Err(error) if error.err_code == NOT_FOUND => {
            let mut new = wanted(link, config, role, None).await?;
            refuse_taken(link, name, &new).await?;
            new["name"] = json!(name);
            new["metadata"] = new_metadata(role == Role::Log);
            Ok(Step::Create(new))
        }
        Err(error) => Err(error.of_making(name, "can't be read")),
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
                    Err(error.of_making(name, &format!("{changed}: the server does not change it")))
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
            SUBJECTS_OVERLAP => return Err(taken(name, &error.description, new)),
            _ => return Err(error.of_making(name, "can't be created")),
        }
        match plan(link, config, role).await? {
            // In a cluster the name is taken before there is a stream to be described.
            Step::Create(_) if begun.elapsed() < MADE_WITHIN => sleep(MADE_LOOK).await,
            Step::Create(_) => return Err(failed(name, "can't be created", &error.description)),
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
