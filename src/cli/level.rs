//! `petrel level`.

use clap::Args;
use serde_json::json;

use super::{
    answer::Answer,
    connection::{self, Connection},
    failure::Failure,
};
use crate::{
    config::Config,
    storage::{CaseLog, WriteLevel},
};

/// Show or raise the level of the records that the programs of a system may write
///
/// A version of petrel reads new kinds and fields of records before it writes them. Raise the level
/// once every program of the system (servers, programs that embed the engine) reads it: each of them
/// writes up to that level from the next second on. It is never lowered, since a program that
/// does not read a record can't change its case.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Level {
    /// Level to allow; absent: only show the present one
    level: Option<WriteLevel>,
}

const EXAMPLES: &str = "\
Examples:
  petrel level
  petrel level 1";

impl Level {
    pub(super) async fn run(self, config: &Config) -> Result<Answer, Failure> {
        let shutdown = connection::shutdown(config)?;
        Connection::with(config, &shutdown, async |connection| self.show_or_raise(connection).await)
            .await
    }

    async fn show_or_raise(&self, connection: &Connection) -> Result<Answer, Failure> {
        let (storage, known) = (&connection.storage, WriteLevel::KNOWN);
        let (level, text) = match self.level {
            None => {
                let level = storage.write_level().await?;
                (level, format!("records up to level {level} may be written"))
            }
            Some(to) => match storage.raise_write_level(to).await? {
                Some(before) if before == to => (to, format!("the level is {to} already")),
                Some(before) => (to, format!("the level is {to} now; it was {before}")),
                None => (to, format!("the level is {to} now; it could not be read before")),
            },
        };
        let json = json!({ "level": level.get(), "known": known.get() });
        Ok(Answer::new(json, format!("{text}; this version reads up to level {known}")))
    }
}
