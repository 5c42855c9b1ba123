//! Making the view again where its log stands, and noting that it lacks what the log has.

use serde_json::{Value, json};

use super::{
    Role, beside_its_log, info_of, missing::nothing_there, persistence::tell_if_before_disk, plan,
    take,
};
use crate::storage::{
    StorageError,
    nats::{
        Link, NatsStorageConfig,
        refusal::NOT_FOUND,
        streams::settings::{FILLING_KEY, Step},
    },
};

/// A view that lacks what its log has, by the time at which the server made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filling {
    created: Value,
}

/// The view, if it is to be filled. Makes it again where it is missing and its log stands; where
/// neither is there, nothing is made.
pub(in crate::storage::nats) async fn keep_view(
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
            let made = info_of(link, name).await?;
            tell_if_before_disk(config, &made);
            made
        }
        info => info.map_err(|error| error.of_stream(name))?,
    };
    Ok(is_filling(&info).then(|| Filling { created: info["created"].take() }))
}

/// Notes that the view has everything that the log has; not of one that was made since.
pub(in crate::storage::nats) async fn filled(
    link: &Link,
    config: &NatsStorageConfig,
    view: &Filling,
) -> Result<(), StorageError> {
    note_filled(link, &config.marking_stream, &view.created).await
}

/// The time at which a stream was made, if it has not been filled since.
pub(in crate::storage::nats) async fn to_be_filled_since(
    link: &Link,
    name: &str,
) -> Result<Option<Value>, StorageError> {
    let mut info = info_of(link, name).await?;
    Ok(is_filling(&info).then(|| info["created"].take()))
}

/// Notes that a stream has all that it is to have; not of one that was made since.
pub(in crate::storage::nats) async fn note_filled(
    link: &Link,
    name: &str,
    created: &Value,
) -> Result<(), StorageError> {
    let mut info = info_of(link, name).await?;
    if info["created"] != *created {
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

/// Settings for a view that is made again.
pub(super) async fn to_be_filled(
    link: &Link,
    config: &NatsStorageConfig,
    new: &mut Value,
) -> Result<(), StorageError> {
    new["metadata"][FILLING_KEY] = json!("true");
    beside_its_log(link, config, new).await
}

/// Returns true if the view, as the server's API describes it, lacks what the log has.
pub(in crate::storage::nats) fn is_filling(info: &Value) -> bool {
    !info["config"]["metadata"][FILLING_KEY].is_null()
}
