//! Cases.

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, Object, Result};

use super::{
    CaseEvent, Explanation, Marking, Token, Workflow, cases,
    workflow::{drawn, net},
};
use crate::{
    formats::drawing::{Drawing, Positions, case_title, counted},
    graphql::{
        arguments::page,
        connection::{Connection, connection},
        scalars::{Sequence, int},
    },
    models,
};

/// Whether a case runs.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "models::CaseStatus")]
pub enum CaseStatus {
    /// Transitions may fire.
    Running,
    /// Nothing fires until it is resumed.
    Paused,
    /// All its tokens are in terminal places.
    Completed,
    /// Ended by hand; its tokens are gone.
    Cancelled,
}

/// A case: one run of a workflow.
pub struct Case(pub Arc<models::Case>);

/// A case: one run of a workflow.
#[Object]
impl Case {
    /// The case's id, unique in its workflow.
    async fn id(&self) -> ID {
        ID::from(&self.0.id)
    }

    /// The workflow it runs.
    async fn workflow_id(&self) -> ID {
        ID::from(&self.0.workflow)
    }

    /// The log sequence of the version of the workflow that it runs.
    async fn definition_sequence(&self) -> Sequence {
        Sequence(self.0.definition)
    }

    /// Whether it runs.
    async fn status(&self) -> CaseStatus {
        self.0.status.into()
    }

    /// The log sequence of its last record. A mutation with this as its `expectedRevision`
    /// is a conflict if the case has changed by then.
    async fn revision(&self) -> Sequence {
        Sequence(self.0.sequence)
    }

    /// SHA-256 of its last record as stored, in hexadecimal; each record carries that of the
    /// one before it.
    async fn head_hash(&self) -> &str {
        &self.0.head_hash
    }

    /// Its live tokens, oldest arrival first.
    async fn tokens(&self) -> Vec<Token> {
        self.0.live_tokens().cloned().map(Token).collect()
    }

    /// How many tokens it has ever had.
    async fn tokens_made(&self) -> i32 {
        int(self.0.tokens_made)
    }

    /// Which tokens are where.
    async fn marking(&self) -> Marking {
        Marking::of(&self.0)
    }

    /// The workflow in the version that the case runs.
    async fn workflow(&self, ctx: &Context<'_>) -> Result<Workflow> {
        let stored = cases(ctx).workflow_at(&self.0.workflow, self.0.definition).await?;
        Ok(Workflow(Arc::new(stored)))
    }

    /// A picture of its net with its tokens as an SVG document, without scripts or anything
    /// from elsewhere. Marked places and the transitions that their tokens enable are in
    /// colour; conditions are not looked at.
    async fn svg(&self, ctx: &Context<'_>) -> Result<String> {
        let case = Arc::clone(&self.0);
        let stored = cases(ctx).workflow_at(&case.workflow, case.definition).await?;
        drawn(move || {
            let net = net(&stored.definition)?;
            let positions = Positions::from_metadata(&net, &stored.definition.metadata);
            let (title, marking) = (case_title(&net, &case), counted(&net, &case.marking));
            let (positions, marking) = (Some(&positions), Some(&marking[..]));
            Ok(Drawing { net: &net, title: &title, positions, marking }.svg())
        })
        .await
    }

    /// For every transition of its net: enabled, or exactly why not.
    async fn explain(&self, ctx: &Context<'_>) -> Result<Explanation> {
        Ok(cases(ctx).explain(&self.0.workflow, &self.0.id).await?.into())
    }

    /// Its records, oldest first.
    async fn history(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many at most, 1 to 1000; 100 where absent.")] first: Option<i32>,
        #[graphql(desc = "Only those after this cursor.")] after: Option<String>,
    ) -> Result<Connection<CaseEvent>> {
        let page = page(first, after.as_deref())?;
        let records = cases(ctx).history(&self.0.workflow, &self.0.id, page).await?;
        Ok(connection(records, after.is_some(), CaseEvent::from))
    }
}
