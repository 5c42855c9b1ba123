//! `petrel init`.

use clap::Args;
use serde_json::json;

use super::{
    answer::Answer,
    connection::{self, Connection},
    failure::Failure,
};
use crate::config::Config;

const EXAMPLES: &str = "\
Examples:
  petrel init --nats-url nats://nats-1:4222 --replicas 3
  petrel init --nats-url nats://nats-1:4222 --prefix shop --log-stream SHOP_LOG \\
    --marking-stream SHOP_MARKING";

/// Make the streams of a new system, or bring those of an old one up to date
///
/// Like `petrel serve`, without serving. Where the log is missing and the view of it stands,
/// nothing is made: the log was lost. No other command makes streams on a server that you name.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Init {}

impl Init {
    pub(super) async fn run(self, config: &Config) -> Result<Answer, Failure> {
        let shutdown = connection::shutdown(config)?;
        let opened = tokio::select! {
            opened = Connection::open_serving(config) => opened,
            () = shutdown.cancelled() => Err(Failure::interrupted()),
        };
        let connection = opened?;
        let settings = connection.storage.config();
        let (log, marking) = (settings.log_stream.clone(), settings.marking_stream.clone());
        let (timers, work, beats) = (settings.timers(), settings.work(), settings.beats());
        let to_be_filled = connection.storage.is_view_to_be_filled();
        connection.server.stop().await?;
        let mut text =
            format!("the streams {log}, {marking}, {timers}, {work} and {beats} are there");
        if to_be_filled {
            text.push_str("; the view lacks what the log has: `petrel serve` fills it");
        }
        let json = json!({
            "log": log, "marking": marking, "timers": timers, "work": work, "beats": beats,
            "to_be_filled": to_be_filled
        });
        Ok(Answer::new(json, text))
    }
}
