//! Workflow definitions.

use std::sync::Arc;

use async_graphql::{Context, ID, Json, Object, Result};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use tokio::sync::Semaphore;

use super::{
    Transition, WorkflowAnalysis, activity::ActivityDefaults, analysis::Held, transition::Place,
};
use crate::{
    engine,
    formats::drawing::{Drawing, Positions},
    graphql::{
        global::GlobalId,
        scalars::{Sequence, int},
        work::joins,
    },
    models::{self, petri::Net},
    petrel::Error,
};

/// A version of a workflow: places, transitions, and the place where a new case starts.
pub(crate) struct Workflow(Arc<models::StoredDefinition>, Option<bool>);

impl Workflow {
    /// A version that was looked up.
    pub(crate) fn of(stored: Arc<models::StoredDefinition>) -> Self {
        Self(stored, None)
    }

    /// The answer to a request to store a version.
    pub(crate) fn answering(stored: models::StoredDefinition, repeated: bool) -> Self {
        Self(Arc::new(stored), Some(repeated))
    }
}

/// A version of a workflow: places, transitions, and the place where a new case starts.
#[Object]
impl Workflow {
    /// An id that is unique across everything. Each version of a workflow has its own.
    pub async fn id(&self) -> ID {
        GlobalId::Workflow(self.0.definition.id.clone(), self.0.sequence).into()
    }

    /// The workflow's own id, the same in all its versions.
    async fn workflow_id(&self) -> ID {
        ID::from(&self.0.definition.id)
    }

    /// A name for people.
    async fn name(&self) -> &str {
        &self.0.definition.name
    }

    /// The purpose of the workflow.
    async fn description(&self) -> Option<&str> {
        self.0.definition.description.as_deref()
    }

    /// The places.
    async fn places(&self) -> Vec<Place> {
        places(&self.0)
    }

    /// The transitions.
    async fn transitions(&self) -> Vec<Transition> {
        transitions(&self.0, self.0.definition.transitions.clone())
    }

    /// The id of the place where a new case gets its first token.
    async fn initial_place(&self) -> ID {
        ID::from(&self.0.definition.initial_place)
    }

    /// The markings that a case is to come to, where the definition names any; other places have
    /// none.
    async fn final_markings(&self) -> Vec<Vec<Held>> {
        let held = |(place, tokens): (&models::PlaceId, _)| Held::new(place.as_str(), tokens);
        let markings = self.0.definition.final_markings.iter();
        markings.map(|marking| marking.iter().map(held).collect()).collect()
    }

    /// The most immediate firings that may follow one change.
    async fn max_cascade(&self) -> i32 {
        let max = self.0.definition.max_cascade.unwrap_or(models::WorkflowDefinition::CASCADE);
        int(max.into())
    }

    /// Defaults of its activities, for those that say nothing else. Null if it has none.
    async fn defaults(&self) -> Option<ActivityDefaults> {
        self.0.definition.defaults.as_ref().map(ActivityDefaults::from)
    }

    /// Other data that the owner keeps with the definition.
    async fn metadata(&self) -> Json<&Map<String, Value>> {
        Json(&self.0.definition.metadata)
    }

    /// The number of this version, counted from 1.
    async fn version(&self) -> i32 {
        int(self.0.version.get())
    }

    /// The log sequence of this version; cases name it as their `definitionSequence`.
    async fn sequence(&self) -> Sequence {
        self.0.sequence.into()
    }

    /// The time at which the server stored this version.
    async fn stored_at(&self) -> DateTime<Utc> {
        self.0.stored_at
    }

    /// True in the answer to `createWorkflow` if the latest version was this definition already,
    /// so that nothing was stored. Absent elsewhere.
    async fn repeated(&self) -> Option<bool> {
        self.1
    }

    /// A picture of the net as an SVG document, without scripts or anything from elsewhere:
    /// laid out as `metadata.layout` says, else from left to right.
    async fn svg(&self, ctx: &Context<'_>) -> Result<String> {
        let stored = Arc::clone(&self.0);
        let of = (stored.definition.id.clone(), stored.sequence, None);
        drawn(ctx, of, move || {
            let net = net(&stored.definition)?;
            let positions = Positions::from_metadata(&net, &stored.definition.metadata);
            let positions = Some(&positions);
            Ok(Drawing { net: &net, title: &net.name, positions, marking: None }.svg())
        })
        .await
    }

    /// The check of its soundness within the server's time budget: that a case can always end,
    /// nothing is left over when it does, and every transition can fire.
    async fn analysis(&self, ctx: &Context<'_>) -> Result<WorkflowAnalysis> {
        Ok(WorkflowAnalysis::from(&*joins::look_up(ctx).await?.analysis(&self.0).await?))
    }

    /// The definition as it is stored, for files and other tools.
    async fn definition(&self) -> Json<&models::WorkflowDefinition> {
        Json(&self.0.definition)
    }
}

/// The net of a stored definition, as it is drawn.
pub(super) fn net(definition: &models::WorkflowDefinition) -> std::result::Result<Net, Error> {
    Ok(engine::Net::compile_stored(definition).map_err(Error::InvalidDefinition)?.petri())
}

/// The places of a version of a workflow.
pub(in crate::graphql) fn places(of: &Arc<models::StoredDefinition>) -> Vec<Place> {
    (0..of.definition.places.len()).map(|at| Place::of(Arc::clone(of), at)).collect()
}

/// Some transitions of a version of a workflow.
pub(in crate::graphql) fn transitions(
    of: &models::StoredDefinition,
    some: Vec<models::Transition>,
) -> Vec<Transition> {
    let (workflow, version) = (&of.definition.id, of.sequence);
    some.into_iter().map(|one| Transition::of(workflow.clone(), version, one)).collect()
}

/// Pictures that are drawn at once, in all requests.
const DRAWN_AT_ONCE: usize = 2;

/// The turns of those who draw.
static DRAWING: Semaphore = Semaphore::const_new(DRAWN_AT_ONCE);

/// Draws a version of a workflow, or a case of it at a revision, on a thread of its own: a large
/// net takes longer than other queries should wait. One picture that several fields of a query ask
/// for is drawn once.
pub(super) async fn drawn(
    ctx: &Context<'_>,
    of: joins::Pictured,
    draw: impl FnOnce() -> std::result::Result<String, Error> + Send + 'static,
) -> Result<String> {
    let draw = async {
        // Invariant: nobody closes it.
        let turn = DRAWING.acquire().await.expect("an open semaphore");
        // The turn lasts as long as the thread, also when nobody waits for it any more.
        let drawn = tokio::task::spawn_blocking(move || (draw(), turn)).await;
        let failed = |error: tokio::task::JoinError| Error::TemporaryFile(error.into());
        Ok(drawn.map_err(failed)?.0?)
    };
    Ok(joins::picture(ctx, of, draw).await?)
}
