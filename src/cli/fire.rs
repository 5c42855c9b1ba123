//! `petrel fire`.

use clap::Args;
use serde_json::Value;

use super::{
    answer::Answer,
    arguments::{self, ChangeArgs},
    connection::{self, Connection},
    failure::Failure,
    presentation::changed,
};
use crate::{
    config::Config,
    models::{CaseId, PlaceId, TokenId, TransitionId, WorkflowId},
    petrel::{self, FireIn},
};

const EXAMPLES: &str = "\
Examples:
  petrel fire submit --workflow order-approval --case order-1
  petrel fire approve --token TOKEN --data '{\"approved_by\": \"alice\"}' --by alice

What can fire, and why the rest can't: petrel case explain WORKFLOW CASE";

/// Fire a transition: take its tokens and give its tokens, all at once
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Fire {
    /// The transition
    transition: TransitionId,
    /// Fire with this token, in the case that it is in
    #[arg(long, conflicts_with = "case")]
    token: Option<TokenId>,
    /// The workflow; with --token it may be absent
    #[arg(long)]
    workflow: Option<WorkflowId>,
    /// Fire in this case, with the oldest tokens
    #[arg(long, requires = "workflow")]
    case: Option<CaseId>,
    /// Data to merge into that of the tokens that come (JSON merge patch, RFC 7396)
    #[arg(long, value_name = "JSON", value_parser = arguments::json)]
    data: Option<Value>,
    /// Refuse if the transition does not lead to this place
    #[arg(long, value_name = "PLACE")]
    to: Option<PlaceId>,
    #[command(flatten)]
    change: ChangeArgs,
}

impl Fire {
    pub(super) async fn run(self, config: &Config) -> Result<Answer, Failure> {
        let request = self.request()?;
        let shutdown = connection::shutdown(config)?;
        Connection::with(config, &shutdown, async |connection| {
            Ok(changed(&connection.petrel.fire(request).await?))
        })
        .await
    }

    fn request(self) -> Result<petrel::Fire, Failure> {
        let target = match (self.token, self.workflow, self.case) {
            (Some(token), workflow, _) => FireIn::Token { workflow, token },
            (None, Some(workflow), Some(case)) => FireIn::Case { workflow, case },
            (None, _, _) => {
                return Err(Failure::usage(
                    "say what to fire in: --token, or --workflow and --case",
                ));
            }
        };
        Ok(petrel::Fire {
            target,
            transition: self.transition,
            tokens: Vec::new(),
            to_place: self.to,
            data: self.data,
            change: self.change.change(),
        })
    }
}
