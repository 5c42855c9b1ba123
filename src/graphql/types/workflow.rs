//! Workflow definitions.

use std::sync::Arc;

use async_graphql::{Context, ID, Json, Object, Result};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::{Transition, WorkflowAnalysis, analysis::Held, cases, transition::Place};
use crate::{
    cases::Error,
    engine,
    formats::drawing::{Drawing, Positions},
    graphql::scalars::{Sequence, int},
    models::{self, petri::Net},
};

/// A version of a workflow: places, transitions, and where a new case starts.
pub struct Workflow(Arc<models::StoredDefinition>, Option<bool>);

impl Workflow {
    /// A version that was looked up.
    pub fn of(stored: Arc<models::StoredDefinition>) -> Self {
        Self(stored, None)
    }

    /// The answer to a request to store a version.
    pub fn answering(stored: models::StoredDefinition, repeated: bool) -> Self {
        Self(Arc::new(stored), Some(repeated))
    }
}

/// A version of a workflow: places, transitions, and where a new case starts.
#[Object]
impl Workflow {
    /// The workflow's id.
    async fn id(&self) -> ID {
        ID::from(&self.0.definition.id)
    }

    /// A name for people.
    async fn name(&self) -> &str {
        &self.0.definition.name
    }

    /// What the workflow is for.
    async fn description(&self) -> Option<&str> {
        self.0.definition.description.as_deref()
    }

    /// The places.
    async fn places(&self) -> Vec<Place> {
        self.0.definition.places.iter().map(Place::from).collect()
    }

    /// The transitions.
    async fn transitions(&self) -> Vec<Transition> {
        self.0.definition.transitions.iter().cloned().map(Transition).collect()
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

    /// Whatever else the owner keeps with the definition.
    async fn metadata(&self) -> Json<&Map<String, Value>> {
        Json(&self.0.definition.metadata)
    }

    /// Which version this is, counted from 1.
    async fn version(&self) -> i32 {
        int(self.0.version)
    }

    /// The log sequence of this version; cases name it as their `definitionSequence`.
    async fn sequence(&self) -> Sequence {
        Sequence(self.0.sequence)
    }

    /// When the server stored this version.
    async fn stored_at(&self) -> DateTime<Utc> {
        self.0.stored_at
    }

    /// In the answer to `createWorkflow`: true if the latest version was this definition already,
    /// so that nothing was stored. Absent elsewhere.
    async fn repeated(&self) -> Option<bool> {
        self.1
    }

    /// A picture of the net as an SVG document, without scripts or anything from elsewhere:
    /// laid out as `metadata.layout` says, else from left to right.
    async fn svg(&self) -> Result<String> {
        let stored = Arc::clone(&self.0);
        drawn(move || {
            let net = net(&stored.definition)?;
            let positions = Positions::from_metadata(&net, &stored.definition.metadata);
            let positions = Some(&positions);
            Ok(Drawing { net: &net, title: &net.name, positions, marking: None }.svg())
        })
        .await
    }

    /// Whether it is sound, checked within the server's time budget: a case can always end,
    /// nothing is left over when it does, and every transition can fire.
    async fn analysis(&self, ctx: &Context<'_>) -> Result<WorkflowAnalysis> {
        Ok(WorkflowAnalysis::from(&*cases(ctx).analysis(&self.0).await?))
    }

    /// The definition as it is stored, for files and other tools.
    async fn definition(&self) -> Json<&models::WorkflowDefinition> {
        Json(&self.0.definition)
    }
}

/// The net of a stored definition, as it is drawn.
pub(super) fn net(definition: &models::WorkflowDefinition) -> std::result::Result<Net, Error> {
    Ok(engine::Net::compile(definition).map_err(Error::InvalidDefinition)?.petri())
}

/// Draws on a thread of its own: a large net takes longer than other queries should wait.
pub(super) async fn drawn(
    draw: impl FnOnce() -> std::result::Result<String, Error> + Send + 'static,
) -> Result<String> {
    Ok(tokio::task::spawn_blocking(draw).await??)
}
