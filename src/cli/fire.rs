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
    cases::{self, Cases, Error, FireIn},
    config::Config,
    models::{CaseId, PlaceId, TokenId, TransitionId, WorkflowId},
    storage::Consistency,
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
    /// Merged into the data of the tokens that come (JSON merge patch, RFC 7396)
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
            let cases = &connection.cases;
            let target = request.target.clone();
            match cases.fire(request).await {
                Err(error @ Error::NotFound { kind: "transition", .. }) => {
                    Err(unknown_transition(cases, target, error).await)
                }
                fired => Ok(changed(&fired?)),
            }
        })
        .await
    }

    fn request(self) -> Result<cases::Fire, Failure> {
        let target = match (self.token, self.workflow, self.case) {
            (Some(token), workflow, _) => FireIn::Token { workflow, token },
            (None, Some(workflow), Some(case)) => FireIn::Case { workflow, case },
            (None, _, _) => {
                return Err(Failure::usage(
                    "say what to fire in: --token, or --workflow and --case",
                ));
            }
        };
        Ok(cases::Fire {
            target,
            transition: self.transition,
            tokens: Vec::new(),
            to_place: self.to,
            data: self.data,
            change: self.change.change(),
        })
    }
}

/// An error that names the transitions there are, if they can be found out.
async fn unknown_transition(cases: &Cases, target: FireIn, error: Error) -> Failure {
    let failure = Failure::from(error);
    let known = async {
        let (workflow, case) = match target {
            FireIn::Case { workflow, case } => (workflow, case),
            FireIn::Token { workflow, token } => {
                let token = cases.token(workflow.as_ref(), &token, Consistency::Strong).await?;
                (token.workflow, token.case)
            }
        };
        let definition = cases.case(&workflow, &case).await?.definition;
        cases.workflow_at(&workflow, definition).await
    };
    let Ok(known) = known.await else { return failure };
    let ids: Vec<_> = known.definition.transitions.iter().map(|known| known.id.as_str()).collect();
    failure.and(format!("{} has {}", known.definition.id, ids.join(", ")))
}
