//! `petrel awakeable`: answers to durable handlers that wait for them.

use clap::{Args, Subcommand};
use serde_json::Value;

use super::{
    answer::Answer,
    arguments::json,
    connection::{self, Connection},
    failure::Failure,
};
use crate::{config::Config, durable::Answered, models, petrel::Change};

/// Awakeables: waits of durable handlers for answers from outside
#[derive(Debug, Subcommand)]
pub(super) enum Awakeable {
    Resolve(Resolve),
    Reject(Reject),
}

const RESOLVE_EXAMPLES: &str = "\
Examples:
  petrel awakeable resolve aw1.b3JkZXJz.kU3Q --result '{\"approved\": true}' --by alice

The id is the one that the handler has handed out. The same answer again is taken.";

/// Answer a durable handler that waits, with a result
#[derive(Debug, Args)]
#[command(after_help = RESOLVE_EXAMPLES)]
pub(super) struct Resolve {
    /// Id of the awakeable
    id: String,
    /// Result, as JSON [default: null]
    #[arg(long, value_name = "JSON", value_parser = json)]
    result: Option<Value>,
    /// Name of who answers; noted in the journal
    #[arg(long, value_name = "WHO")]
    by: Option<String>,
}

const REJECT_EXAMPLES: &str = "\
Examples:
  petrel awakeable reject aw1.b3JkZXJz.kU3Q --code DECLINED --message 'too expensive' --by alice";

/// Answer a durable handler that waits, with an error that it sees
#[derive(Debug, Args)]
#[command(after_help = REJECT_EXAMPLES)]
pub(super) struct Reject {
    /// Id of the awakeable
    id: String,
    /// Code of the error
    #[arg(long, value_name = "CODE")]
    code: String,
    /// Words about it
    #[arg(long, value_name = "TEXT", default_value = "")]
    message: String,
    /// Name of who answers; noted in the journal
    #[arg(long, value_name = "WHO")]
    by: Option<String>,
}

impl Awakeable {
    pub(super) async fn run(self, config: &Config) -> Result<Answer, Failure> {
        let shutdown = connection::shutdown(config)?;
        Connection::with(config, &shutdown, async |connection| {
            let petrel = &connection.petrel;
            let answered = match self {
                Self::Resolve(Resolve { id, result, by }) => {
                    let change = Change { by, ..Change::default() };
                    petrel.resolve_awakeable(&id, result.unwrap_or_default(), change).await
                }
                Self::Reject(Reject { id, code, message, by }) => {
                    let failure = models::Failure { code, message, ..Default::default() };
                    let change = Change { by, ..Change::default() };
                    petrel.reject_awakeable(&id, failure, change).await
                }
            };
            Ok(of(answered?))
        })
        .await
    }
}

fn of(Answered { repeated, .. }: Answered) -> Answer {
    let text = match repeated {
        true => "it had this answer before",
        false => "answered",
    };
    Answer::new(serde_json::json!({ "repeated": repeated }), text)
}
