//! Cases.

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, Json, Object, Result};
use serde_json::Value;

use super::{
    CaseEvent, Explanation, Marking, Timer, Token, WorkItem, Workflow,
    incident::Incident,
    workflow::{drawn, net},
};
use crate::{
    formats::drawing::{Drawing, Positions, case_title, counted},
    graphql::{
        connection::{Connection, Listing, connection},
        global::GlobalId,
        request::arguments::page,
        scalars::{Sequence, int},
        work::joins,
    },
    models::{self, CaseId, WorkflowId},
    petrel::Changed,
};

/// The status of a case.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "models::CaseStatus")]
pub enum CaseStatus {
    /// Transitions may fire.
    Running,
    /// Nothing fires until it is resumed.
    Paused,
    /// All its tokens are in terminal places.
    Completed,
    /// It was ended by hand; its tokens are gone.
    Cancelled,
}

/// A case: one run of a workflow.
pub(crate) struct Case {
    case: Arc<models::Case>,
    /// True if the mutation that it answers had happened before; absent in a query.
    repeated: Option<bool>,
}

impl From<Arc<models::Case>> for Case {
    fn from(case: Arc<models::Case>) -> Self {
        Self { case, repeated: None }
    }
}

impl Case {
    /// The case that a change answers with.
    pub(crate) fn of(changed: &Changed) -> Self {
        Self { case: Arc::clone(&changed.case), repeated: Some(changed.repeated) }
    }
}

/// A case: one run of a workflow.
#[Object]
impl Case {
    /// An id that is unique across everything.
    pub async fn id(&self) -> ID {
        GlobalId::Case(self.case.workflow.clone(), self.case.id.clone()).into()
    }

    /// The case's own id, unique in its workflow.
    async fn case_id(&self) -> ID {
        ID::from(&self.case.id)
    }

    /// The workflow it runs.
    async fn workflow_id(&self) -> ID {
        ID::from(&self.case.workflow)
    }

    /// The log sequence of the version of the workflow that it runs.
    async fn definition_sequence(&self) -> Sequence {
        self.case.definition.into()
    }

    /// True if the mutation that it answers had happened before, under the same id, or the case
    /// was so already. Null in a query.
    async fn repeated(&self) -> Option<bool> {
        self.repeated
    }

    /// Its status.
    async fn status(&self) -> CaseStatus {
        self.case.status.into()
    }

    /// The log sequence of its last record. A mutation with this as its `expectedRevision`
    /// is a conflict if the case has changed by then.
    async fn revision(&self) -> Sequence {
        self.case.revision().into()
    }

    /// SHA-256 of its last record as stored, in hexadecimal; each record carries that of the
    /// one before it.
    async fn head_hash(&self) -> &str {
        &self.case.head_hash
    }

    /// Its open work items, oldest first.
    async fn work_items(&self) -> Vec<WorkItem> {
        WorkItem::all(&self.case.items, &self.case.incidents)
    }

    /// Its open incidents, oldest first.
    async fn incidents(&self) -> Vec<Incident> {
        Incident::all(&self.case)
    }

    /// The result of a completed case: the data of its tokens, merged in the order of `tokens` (JSON merge
    /// patch, RFC 7396), as a join merges them. Null of a case that is not completed.
    async fn result(&self) -> Option<Json<Value>> {
        self.case.result().map(Json)
    }

    /// Its timers that run, oldest first.
    async fn timers(&self) -> Vec<Timer> {
        self.case.timers.iter().map(Timer::of).collect()
    }

    /// Its live tokens, place by place: of each, oldest arrival first.
    async fn tokens(&self) -> Vec<Token> {
        self.case.live_tokens().cloned().map(Token::from).collect()
    }

    /// Number of tokens it has ever had.
    async fn tokens_made(&self) -> i32 {
        int(self.case.tokens_made)
    }

    /// Its tokens by place.
    async fn marking(&self) -> Marking {
        Marking::of(&self.case)
    }

    /// The workflow in the version that the case runs.
    async fn workflow(&self, ctx: &Context<'_>) -> Result<Workflow> {
        let (id, version) = (&self.case.workflow, self.case.definition);
        Ok(Workflow::of(joins::workflow_at(ctx, id, version).await?))
    }

    /// A picture of its net with its tokens as an SVG document, without scripts or anything
    /// from elsewhere. Marked places and the transitions that their tokens enable are in
    /// colour; conditions are not looked at.
    async fn svg(&self, ctx: &Context<'_>) -> Result<String> {
        let case = Arc::clone(&self.case);
        let at = Some((case.id.clone(), case.sequence));
        let of = (case.workflow.clone(), case.definition, at);
        let stored = joins::workflow_at(ctx, &case.workflow, case.definition).await?;
        drawn(ctx, of, move || {
            let net = net(&stored.definition)?;
            let positions = Positions::from_metadata(&net, &stored.definition.metadata);
            let (title, marking) = (case_title(&net, &case), counted(&net, &case.marking));
            let (positions, marking) = (Some(&positions), Some(&marking[..]));
            Ok(Drawing { net: &net, title: &title, positions, marking }.svg())
        })
        .await
    }

    /// An explanation of every transition of its net: enabled, or each reason against it.
    async fn explain(&self, ctx: &Context<'_>) -> Result<Explanation> {
        let found = joins::look_up(ctx).await?.explain(&self.case.workflow, &self.case.id).await;
        Ok(found?.into())
    }

    /// Its records, oldest first.
    async fn history(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Largest number of them, 1 to 1000; 100 where absent.")] first: Option<
            i32,
        >,
        #[graphql(desc = "Only those after this cursor.")] after: Option<String>,
    ) -> Result<Connection<CaseEvent>> {
        history(ctx, &self.case.workflow, &self.case.id, first, after).await
    }
}

/// A page of the records of a case.
pub(in crate::graphql) async fn history(
    ctx: &Context<'_>,
    workflow: &WorkflowId,
    case: &CaseId,
    first: Option<i32>,
    after: Option<String>,
) -> Result<Connection<CaseEvent>> {
    let listing = Listing::new("history", &[workflow.as_str(), case.as_str()]);
    let page = page(&listing, first, after.as_deref())?;
    let records = joins::look_up(ctx).await?.history(workflow, case, page).await?;
    joins::hold(ctx, records.items.iter().map(|(_, record)| record.memory()).sum()).await;
    Ok(connection(&listing, records, after.is_some(), CaseEvent::from))
}
