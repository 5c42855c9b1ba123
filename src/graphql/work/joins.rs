//! Look-ups that several fields of a request ask for: made once for all of them, and many of a
//! kind together.

use std::{
    collections::HashMap,
    fmt,
    hash::Hash,
    sync::{Arc, Mutex, PoisonError},
};

use async_graphql::{
    Context,
    dataloader::{DataLoader, Loader},
};
use chrono::{DateTime, Utc};
use tokio::sync::{OnceCell, SemaphorePermit};

use super::{LookUps, Overdrawn, Work};
use crate::{
    graphql::types::petrel,
    models::{Case, CaseId, LogSequence, StoredDefinition, Token, TokenId, WorkflowId},
    petrel::{Error, Petrel},
    storage::{Consistency, PresentWorker},
};

/// Tokens whose messages are looked up by one request to the server.
const TOGETHER: usize = 512;

/// A failure of a look-up of a request. A clone shares the cause.
#[derive(Debug, Clone)]
pub(in crate::graphql) enum Failure {
    /// The core or the store said so.
    Core(Arc<Error>),
    /// The request has made too many.
    Overdrawn(Overdrawn),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Core(error) => error.fmt(f),
            Self::Overdrawn(why) => why.fmt(f),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Core(Arc::new(error))
    }
}

impl From<Overdrawn> for Failure {
    fn from(why: Overdrawn) -> Self {
        Self::Overdrawn(why)
    }
}

impl Failure {
    /// Returns true if it says that the object asked for does not exist.
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::Core(error) if matches!(**error, Error::NotFound(_)))
    }
}

/// The result of a look-up.
pub(in crate::graphql) type Found<T> = std::result::Result<T, Failure>;

/// Look-ups by the key that was asked for.
struct Join<K, V>(Mutex<HashMap<K, Arc<OnceCell<Found<V>>>>>);

impl<K, V> Default for Join<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Hash + Eq, V: Clone> Join<K, V> {
    async fn get(&self, key: K, look_up: impl Future<Output = Found<V>>) -> Found<V> {
        let cell = {
            let mut cells = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(cells.entry(key).or_default())
        };
        cell.get_or_init(|| look_up).await.clone()
    }
}

/// The look-ups that a request has made, and those that it makes together.
pub(in crate::graphql) struct Joins {
    asked: Option<Asked>,
    times: DataLoader<Times>,
}

/// The subject of a picture: a version of a workflow, or a case of it at a revision.
pub(in crate::graphql) type Pictured = (WorkflowId, LogSequence, Option<(CaseId, LogSequence)>);

#[derive(Default)]
struct Asked {
    cases: Join<(WorkflowId, CaseId), Arc<Case>>,
    /// Workflows by the sequence of the version; 0 is the latest.
    workflows: Join<(WorkflowId, Option<LogSequence>), Arc<StoredDefinition>>,
    tokens: Join<(Option<WorkflowId>, TokenId, bool), Arc<Token>>,
    pictures: Join<Pictured, String>,
    workers: Join<(), Arc<Vec<PresentWorker>>>,
}

impl Joins {
    /// The joins of one request. In a query, the same look-up is made once. Each mutation and each
    /// event of a subscription sees the state after it, so there only look-ups that are asked for
    /// at the same time are made together.
    pub(crate) fn new(is_query: bool, petrel: Petrel, look_ups: Arc<LookUps>) -> Self {
        let times = DataLoader::new(Times { petrel, look_ups }, tokio::spawn);
        Self { asked: is_query.then(Asked::default), times: times.max_batch_size(TOGETHER) }
    }
}

/// The cases beneath, for one look-up, which has its turn until this is dropped.
pub(in crate::graphql) struct Looking<'a> {
    petrel: &'a Petrel,
    _turn: Option<SemaphorePermit<'a>>,
}

impl std::ops::Deref for Looking<'_> {
    type Target = Petrel;

    fn deref(&self) -> &Petrel {
        self.petrel
    }
}

fn work<'a>(ctx: &Context<'a>) -> Option<&'a Work> {
    ctx.data_opt::<Arc<Work>>().map(|work| &**work)
}

/// The cases beneath, for one look-up.
pub(in crate::graphql) async fn look_up<'a>(ctx: &Context<'a>) -> Found<Looking<'a>> {
    let turn = match work(ctx) {
        Some(work) => Some(work.look_ups.begin(1).await?),
        None => None,
    };
    Ok(Looking { petrel: petrel(ctx), _turn: turn })
}

/// Counts what was looked up among the bytes of the answer, which has it until it is made. A single
/// thing counts half of what an answer may take at most, so that there is room for some values: a
/// large case can be looked at.
pub(in crate::graphql) async fn hold(ctx: &Context<'_>, bytes: usize) {
    let held = |work: &Work| work.charge(bytes.min(work.limits.answer_bytes / 2));
    if work(ctx).is_some_and(|work| !held(work)) {
        // The field of the root is given up.
        std::future::pending::<()>().await;
    }
}

/// Counts definitions in the same way, whoever has them too: what else has them may let them go.
pub(in crate::graphql) async fn hold_definitions(
    ctx: &Context<'_>,
    found: &[Arc<StoredDefinition>],
) {
    hold(ctx, found.iter().map(|stored| stored.definition.memory()).sum()).await;
}

fn asked<'a>(ctx: &Context<'a>) -> Option<&'a Asked> {
    work(ctx)?.joins.asked.as_ref()
}

/// A case as its log has it.
pub(in crate::graphql) async fn case(
    ctx: &Context<'_>,
    workflow: &WorkflowId,
    case: &CaseId,
) -> Found<Arc<Case>> {
    let look_up = async {
        let found = look_up(ctx).await?.case(workflow, case).await?;
        hold(ctx, found.memory()).await;
        Ok(found)
    };
    match asked(ctx) {
        Some(asked) => asked.cases.get((workflow.clone(), case.clone()), look_up).await,
        None => look_up.await,
    }
}

/// The latest version of a workflow.
pub(in crate::graphql) async fn workflow(
    ctx: &Context<'_>,
    id: &WorkflowId,
) -> Found<Arc<StoredDefinition>> {
    let look_up = async {
        let found = look_up(ctx).await?.workflow(id).await?;
        hold_definitions(ctx, std::slice::from_ref(&found)).await;
        Ok(found)
    };
    match asked(ctx) {
        Some(asked) => asked.workflows.get((id.clone(), None), look_up).await,
        None => look_up.await,
    }
}

/// The version of a workflow at a log sequence.
pub(in crate::graphql) async fn workflow_at(
    ctx: &Context<'_>,
    id: &WorkflowId,
    sequence: LogSequence,
) -> Found<Arc<StoredDefinition>> {
    let look_up = async {
        let found = look_up(ctx).await?.workflow_at(id, sequence).await?;
        hold_definitions(ctx, std::slice::from_ref(&found)).await;
        Ok(found)
    };
    match asked(ctx) {
        Some(asked) => asked.workflows.get((id.clone(), Some(sequence)), look_up).await,
        None => look_up.await,
    }
}

/// A live token.
pub(in crate::graphql) async fn token(
    ctx: &Context<'_>,
    workflow: Option<&WorkflowId>,
    id: &TokenId,
    consistency: Consistency,
) -> Found<Arc<Token>> {
    let look_up = async {
        let found = look_up(ctx).await?.token(workflow, id, consistency).await?;
        hold(ctx, found.memory()).await;
        Ok(Arc::new(found))
    };
    match asked(ctx) {
        Some(asked) => {
            let key = (workflow.cloned(), id.clone(), consistency == Consistency::Strong);
            asked.tokens.get(key, look_up).await
        }
        None => look_up.await,
    }
}

/// The workers that answer now.
pub(in crate::graphql) async fn workers(ctx: &Context<'_>) -> Found<Arc<Vec<PresentWorker>>> {
    let look_up = async {
        let found = look_up(ctx).await?.workers(None).await?;
        hold(ctx, found.iter().map(PresentWorker::memory).sum()).await;
        Ok(Arc::new(found))
    };
    match asked(ctx) {
        Some(asked) => asked.workers.get((), look_up).await,
        None => look_up.await,
    }
}

/// The picture of a version of a workflow, or of a case of it at a revision, drawn by `draw`.
pub(in crate::graphql) async fn picture(
    ctx: &Context<'_>,
    of: Pictured,
    draw: impl Future<Output = Found<String>>,
) -> Found<String> {
    match asked(ctx) {
        Some(asked) => asked.pictures.get(of, draw).await,
        None => draw.await,
    }
}

/// The time at which the server stored the message that holds just this version of a token.
pub(in crate::graphql) async fn stored_at(
    ctx: &Context<'_>,
    token: &Arc<Token>,
) -> Found<Option<DateTime<Utc>>> {
    if token.nats_timestamp.is_some() {
        return Ok(token.nats_timestamp);
    }
    match work(ctx) {
        Some(work) => {
            let version = Version(Arc::clone(token));
            Ok(work.joins.times.load_one(version).await?.flatten())
        }
        None => Ok(look_up(ctx).await?.stored_at(token).await?),
    }
}

/// A version of a token, whose time is asked for.
#[derive(Clone)]
struct Version(Arc<Token>);

impl Version {
    fn key(&self) -> (&WorkflowId, &TokenId, Option<LogSequence>) {
        (&self.0.workflow, &self.0.id, self.0.nats_sequence)
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Version {}

impl Hash for Version {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

/// Looks up the times of messages.
struct Times {
    petrel: Petrel,
    look_ups: Arc<LookUps>,
}

impl Loader<Version> for Times {
    type Value = Option<DateTime<Utc>>;
    type Error = Failure;

    async fn load(&self, versions: &[Version]) -> Found<HashMap<Version, Self::Value>> {
        let _turn = self.look_ups.begin(versions.len().div_ceil(TOGETHER)).await?;
        let tokens: Vec<_> = versions.iter().map(|version| &*version.0).collect();
        let times = self.petrel.stored_at_each(&tokens).await?;
        Ok(versions.iter().cloned().zip(times).collect())
    }
}
