//! `petrel token`.

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::{
    answer::Answer,
    arguments::{self, ChangeArgs, PageArgs},
    connection::{self, Connection},
    failure::Failure,
    presentation::{changed, page, token_table, token_text},
};
use crate::{
    config::Config,
    models::{CaseId, PlaceId, TokenId, WorkflowId},
    petrel::{NewToken, Petrel},
    storage::{Consistency, TokenScope},
};

/// Tokens: show, list, add to a case, change their data
#[derive(Debug, Subcommand)]
pub(super) enum Token {
    Show(Show),
    List(List),
    Add(Add),
    Update(Update),
}

/// Show a token whole, with its data and its last transitions
#[derive(Debug, Args)]
pub(super) struct Show {
    /// The token
    token: TokenId,
    /// Its workflow; found by the token's id where absent
    #[arg(long)]
    workflow: Option<WorkflowId>,
    /// Read the case's log, which no replica or view can lag behind
    #[arg(long)]
    strong: bool,
}

/// List tokens in the order of their last changes
#[derive(Debug, Args)]
pub(super) struct List {
    /// The workflow
    workflow: WorkflowId,
    /// The only place of the tokens to list
    #[arg(long)]
    place: Option<PlaceId>,
    /// The only case of the tokens to list
    #[arg(long)]
    case: Option<CaseId>,
    #[command(flatten)]
    page: PageArgs,
}

const ADD_EXAMPLES: &str = "\
Example:
  petrel token add order-approval order-1 --place on_hold --data '{\"amount\": 80}'";

/// Add a token to a case, which is started if it does not exist
#[derive(Debug, Args)]
#[command(after_help = ADD_EXAMPLES)]
pub(super) struct Add {
    /// The workflow
    workflow: WorkflowId,
    /// The case
    case: CaseId,
    /// Place of the token [default: the workflow's initial place]
    #[arg(long)]
    place: Option<PlaceId>,
    /// Data of the token
    #[arg(long, value_name = "JSON", value_parser = arguments::json, default_value = "{}")]
    data: Value,
    #[command(flatten)]
    change: ChangeArgs,
}

const UPDATE_EXAMPLES: &str = "\
Example, which sets one field and removes another:
  petrel token update TOKEN --data '{\"amount\": 90, \"note\": null}'";

/// Merge data into a token's (JSON merge patch, RFC 7396)
#[derive(Debug, Args)]
#[command(after_help = UPDATE_EXAMPLES)]
pub(super) struct Update {
    /// The token
    token: TokenId,
    /// Its workflow; found by the token's id where absent
    #[arg(long)]
    workflow: Option<WorkflowId>,
    /// Data to merge; null removes a field
    #[arg(long, value_name = "JSON", value_parser = arguments::json)]
    data: Value,
    #[command(flatten)]
    change: ChangeArgs,
}

impl Token {
    pub(super) async fn run(self, config: &Config) -> Result<Answer, Failure> {
        let shutdown = connection::shutdown(config)?;
        Connection::with(config, &shutdown, async |connection| {
            self.run_on(&connection.petrel).await
        })
        .await
    }

    async fn run_on(self, petrel: &Petrel) -> Result<Answer, Failure> {
        match self {
            Self::Show(Show { token, workflow, strong }) => {
                let consistency = if strong { Consistency::Strong } else { Consistency::Eventual };
                let token = petrel.token(workflow.as_ref(), &token, consistency).await?;
                Ok(Answer::new(json!(token), token_text(&token)))
            }
            Self::List(List { workflow, place, case, page: asked }) => {
                let scope = TokenScope { workflow, place, case };
                let tokens = petrel.tokens(&scope, asked.page()).await?;
                if tokens.items.is_empty() {
                    petrel.must_exist(&scope).await?;
                }
                let table = token_table(tokens.items.iter().map(|(_, token)| token));
                Ok(page(&tokens, |token| json!(token), &table))
            }
            Self::Add(Add { workflow, case, place, data, change }) => {
                let (metadata, change) = (Map::new(), change.change());
                let request = NewToken { workflow, case, place, data, metadata, change };
                Ok(changed(&petrel.create_token(request).await?))
            }
            Self::Update(Update { token, workflow, data, change }) => {
                let (workflow, change) = (workflow.as_ref(), change.change());
                Ok(changed(&petrel.update_token_data(workflow, &token, data, change).await?))
            }
        }
    }
}
