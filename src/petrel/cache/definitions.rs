//! Workflows: definitions stored, read and compiled.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use futures::{StreamExt, stream};
#[cfg(feature = "analysis")]
use tokio::sync::OnceCell;

#[cfg(feature = "analysis")]
use crate::analysis::{
    Report,
    structure::{Invariant, TooComplex},
};
use crate::petrel::{
    Error, ExpectedVersion, Lookup, Petrel, Result, limits::must_be_storable_definition,
    read::Reader,
};
use crate::{
    engine::Net,
    models::{LogSequence, StoredDefinition, Version, WorkflowDefinition, WorkflowId},
    storage::{
        CaseLogExt, DefinitionVersion, MAX_PAGE, PAGE_BYTES, PutOptions, StorageError, WriteLevel,
    },
};

/// Longest time that a new case may use a definition that was the latest: a version stored by
/// another process is used here at most so much later.
const LATEST_FOR: Duration = Duration::from_secs(1);

/// Number of definitions that are asked for at once in a listing.
const AT_ONCE: usize = 16;

/// The most compiled nets that are kept, and the memory that they may take.
const MOST_NETS: usize = 1_024;
const MOST_BYTES: usize = 64 * 1024 * 1024;

/// A definition with its net, ready to fire.
#[derive(Debug)]
pub(crate) struct Compiled {
    pub stored: Arc<StoredDefinition>,
    /// Approximate memory that it takes.
    bytes: usize,
    pub net: Arc<Net>,
    /// The report of the net's check, once somebody has asked.
    #[cfg(feature = "analysis")]
    pub report: OnceCell<Arc<Report>>,
    /// The P-invariants of the net, once an audit has asked.
    #[cfg(feature = "analysis")]
    pub invariants: OnceCell<std::result::Result<Vec<Invariant>, TooComplex>>,
}

impl Compiled {
    fn new(stored: StoredDefinition, net: Arc<Net>) -> Arc<Self> {
        Arc::new(Self {
            bytes: stored.definition.memory(),
            stored: Arc::new(stored),
            net,
            #[cfg(feature = "analysis")]
            report: OnceCell::new(),
            #[cfg(feature = "analysis")]
            invariants: OnceCell::new(),
        })
    }
}

/// Compiled definitions by workflow and log sequence, and the latest of each workflow.
#[derive(Debug, Default)]
pub(in crate::petrel) struct Definitions {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The generation of the log that they were read from: their sequences are of that log.
    generation: u64,
    nets: HashMap<(WorkflowId, LogSequence), Arc<Compiled>>,
    /// Approximate memory that they take.
    bytes: usize,
    latest: HashMap<WorkflowId, (Arc<Compiled>, Instant)>,
    /// Faults of workflows' last versions, each from the last look at it.
    complaints: BTreeMap<WorkflowId, String>,
}

impl State {
    /// Forgets about half of the nets, any of them: those that are in use come back one by one.
    fn forget_some(&mut self) {
        let (mut kept, most) = (0, self.nets.len() / 2);
        let mut bytes = 0;
        self.nets.retain(|_, compiled| {
            let more = compiled.bytes;
            let stays = kept < most && bytes + more <= MOST_BYTES / 2;
            kept += usize::from(stays);
            bytes += if stays { more } else { 0 };
            stays
        });
        self.bytes = bytes;
        let nets = &self.nets;
        self.latest.retain(|workflow, (compiled, _)| {
            nets.contains_key(&(workflow.clone(), compiled.stored.sequence))
        });
    }

    fn forget(&mut self) {
        self.nets.clear();
        self.latest.clear();
        self.bytes = 0;
    }
}

impl Definitions {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        // A cache: whatever is in it is whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes the fault of a workflow's last version, or that there is none.
    pub(in crate::petrel) fn complain(&self, workflow: &WorkflowId, complaint: Option<String>) {
        let complaints = &mut self.state().complaints;
        match complaint {
            Some(complaint) => drop(complaints.insert(workflow.clone(), complaint)),
            None => drop(complaints.remove(workflow)),
        }
    }

    /// Faults of the last versions of workflows, as far as this process has met them.
    pub(in crate::petrel) fn complaints(&self) -> Vec<String> {
        self.state().complaints.values().cloned().collect()
    }

    /// The definitions read under this generation of the log. The rest is forgotten: in a log
    /// that may have gone back since, another definition may have the same sequence.
    fn of(&self, generation: u64) -> std::sync::MutexGuard<'_, State> {
        let mut state = self.state();
        if state.generation != generation {
            state.forget();
            state.generation = generation;
        }
        state
    }

    fn known(
        &self,
        workflow: &WorkflowId,
        sequence: LogSequence,
        generation: u64,
    ) -> Option<Arc<Compiled>> {
        self.of(generation).nets.get(&(workflow.clone(), sequence)).cloned()
    }

    fn latest(&self, workflow: &WorkflowId, generation: u64) -> Option<Arc<Compiled>> {
        let state = self.of(generation);
        let (compiled, at) = state.latest.get(workflow)?;
        (at.elapsed() < LATEST_FOR).then(|| Arc::clone(compiled))
    }

    /// Keeps a definition that was read when the log had this generation, or a later one.
    fn keep(&self, compiled: &Arc<Compiled>, is_latest: bool, generation: u64) {
        let workflow = &compiled.stored.definition.id;
        let key = (workflow.clone(), compiled.stored.sequence);
        let (bytes, mut state) = (compiled.bytes, self.of(generation));
        if !state.nets.contains_key(&key) {
            if state.nets.len() >= MOST_NETS || state.bytes + bytes > MOST_BYTES {
                state.forget_some();
            }
            state.bytes += bytes;
        }
        state.nets.insert(key, Arc::clone(compiled));
        if is_latest {
            state.latest.insert(workflow.clone(), (Arc::clone(compiled), Instant::now()));
        }
    }
}

impl Petrel {
    /// Checks a definition and stores it as the next version. The same definition as the
    /// latest one makes no new version: the answer is the latest. If only sound definitions
    /// are wanted ([`require_sound`](crate::petrel::Checks::require_sound)), another is refused with
    /// its findings.
    pub async fn create_workflow(
        &self,
        definition: WorkflowDefinition,
        expected: ExpectedVersion,
    ) -> Result<StoredDefinition> {
        Ok(self.store_workflow(definition, expected).await?.0)
    }

    /// Does the same. Also returns true if nothing was stored, since the latest version is the
    /// same definition.
    pub async fn store_workflow(
        &self,
        definition: WorkflowDefinition,
        expected: ExpectedVersion,
    ) -> Result<(StoredDefinition, bool)> {
        let net = Net::compile(&definition).map_err(Error::InvalidDefinition)?;
        must_be_storable_definition(&definition)?;
        let net = Arc::new(net);
        #[cfg(feature = "analysis")]
        self.check_soundness(&net, &definition.id).await?;
        loop {
            let storage = &self.inner.reader.storage;
            let generation = storage.generation().await?;
            let newest = self.inner.reader.newest(&definition.id).await?;
            let (highest, last) = newest.as_ref().map_or((None, None), |n| (n.version, n.last));
            let latest = newest.and_then(|newest| newest.compiled);
            let version = latest.as_ref().map(|latest| latest.stored.version);
            match (expected, version) {
                (ExpectedVersion::New, Some(version)) => {
                    let workflow = definition.id.clone();
                    let reason = format!("it has version {version}");
                    return Err(Error::AlreadyExists { workflow, reason });
                }
                (ExpectedVersion::Version(expected), actual) if actual != Some(expected) => {
                    let workflow = definition.id.clone();
                    return Err(Error::VersionConflict { workflow, expected, actual });
                }
                _ => {}
            }
            // What can't be read after it is replaced by the same definition too.
            let same = |latest: &Arc<Compiled>| {
                Some(latest.stored.sequence) == last && latest.stored.definition == definition
            };
            if let Some(latest) = latest.filter(same) {
                return Ok((StoredDefinition::clone(&latest.stored), true));
            }
            if definition.runs_by_itself() && !storage.may_write(WriteLevel::SECOND).await? {
                return Err(Error::InvalidDefinition(definition.problems_of_level()));
            }
            let options = PutOptions { version: Version::after(highest), expected: last };
            match storage.put_definition(&definition, options).await {
                Ok(stored) => {
                    self.inner.reader.definitions.complain(&definition.id, None);
                    let compiled = Compiled::new(stored.clone(), net);
                    self.inner.reader.definitions.keep(&compiled, true, generation);
                    return Ok((stored, false));
                }
                // Somebody else stored a version: look at it, and check the expectation again.
                Err(StorageError::LostRace { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The latest version of a workflow that can be read and used.
    pub async fn workflow(&self, id: &WorkflowId) -> Result<Arc<StoredDefinition>> {
        Ok(Arc::clone(&self.inner.reader.latest_now(id).await?.stored))
    }

    /// The version of a workflow whose message has this log sequence, which a case that names
    /// it runs.
    pub async fn workflow_at(
        &self,
        id: &WorkflowId,
        sequence: LogSequence,
    ) -> Result<Arc<StoredDefinition>> {
        Ok(Arc::clone(&self.inner.reader.compiled(id, sequence).await?.stored))
    }

    /// The latest versions of workflows, `first` (1 to 1,000) at most, ordered by id and
    /// beginning after `after`; and true if there are more. Definitions that can't be read are
    /// logged and left out; a request for one by its id gives the reason. There are fewer, and more
    /// to come, where they take more than [`PAGE_BYTES`].
    pub async fn workflows(
        &self,
        first: usize,
        after: Option<&WorkflowId>,
    ) -> Result<(Vec<Arc<StoredDefinition>>, bool)> {
        if !(1..=MAX_PAGE).contains(&first) {
            return Err(Error::argument("first", format!("must be 1 to {MAX_PAGE}")));
        }
        let mut ids = self.inner.reader.storage.workflow_ids().await?;
        ids.retain(|id| after.is_none_or(|after| id > after));
        let petrel = self.clone();
        let read = async move { petrel.some_workflows(ids, first).await };
        self.inner.reader.read_page(read).await
    }

    async fn some_workflows(
        &self,
        ids: Vec<WorkflowId>,
        first: usize,
    ) -> Result<(Vec<Arc<StoredDefinition>>, bool)> {
        let read = stream::iter(ids).map(|id| async move { self.workflow(&id).await });
        let read = read.buffered(AT_ONCE);
        let mut read = std::pin::pin!(read);
        let (mut workflows, mut bytes) = (Vec::new(), 0);
        while let Some(workflow) = read.next().await {
            match workflow {
                Ok(workflow) => {
                    bytes += workflow.definition.memory();
                    let is_full = !workflows.is_empty() && bytes > PAGE_BYTES;
                    if workflows.len() == first || is_full {
                        return Ok((workflows, true));
                    }
                    workflows.push(workflow);
                }
                Err(Error::Storage(error @ StorageError::Corrupt { .. })) => {
                    tracing::warn!(%error, "left out of a listing");
                }
                Err(error) => return Err(error),
            }
        }
        Ok((workflows, false))
    }
}

impl Reader {
    /// Checks that a workflow is known; otherwise the error says so. If its latest version
    /// can't be read it is known: its cases name the versions that they run.
    pub(crate) async fn must_exist(&self, workflow: &WorkflowId) -> Result<()> {
        match self.storage.definition(workflow, DefinitionVersion::Latest).await {
            Ok(None) => Err(Error::no_workflow(workflow)),
            Ok(Some(_)) | Err(StorageError::Corrupt { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// The definition that a new case runs.
    pub(crate) async fn latest(&self, workflow: &WorkflowId) -> Result<Arc<Compiled>> {
        let generation = self.storage.generation().await?;
        if let Some(compiled) = self.definitions.latest(workflow, generation) {
            return Ok(compiled);
        }
        self.latest_now(workflow).await
    }

    /// The same, as the log has it now.
    pub(in crate::petrel) async fn latest_now(
        &self,
        workflow: &WorkflowId,
    ) -> Result<Arc<Compiled>> {
        let mut newest =
            self.newest(workflow).await?.ok_or_else(|| Error::no_workflow(workflow))?;
        match newest.compiled {
            Some(compiled) => Ok(compiled),
            None => {
                let first = newest.unusable.drain(..).next();
                Err(first.unwrap_or_else(|| Error::no_workflow(workflow)))
            }
        }
    }

    /// The definition that a case names.
    pub(crate) async fn compiled(
        &self,
        workflow: &WorkflowId,
        sequence: LogSequence,
    ) -> Result<Arc<Compiled>> {
        let generation = self.storage.generation().await?;
        if let Some(compiled) = self.definitions.known(workflow, sequence, generation) {
            return Ok(compiled);
        }
        let stored = self.storage.definition_at(workflow, sequence).await?;
        let missing =
            || Error::NotFound(Lookup::Definition { workflow: workflow.clone(), sequence });
        self.compile(stored.ok_or_else(missing)?, false, generation)
    }

    /// Returns true if the log has this definition still.
    pub(in crate::petrel) async fn has_definition(&self, of: &StoredDefinition) -> Result<bool> {
        let stored = self.storage.definition_at(&of.definition.id, of.sequence).await?;
        let same = |stored: StoredDefinition| {
            (stored.version, &stored.definition) == (of.version, &of.definition)
        };
        Ok(stored.is_some_and(same))
    }

    /// A definition ready to fire. `generation` is the log's from before it was read.
    pub(in crate::petrel) fn compile(
        &self,
        stored: StoredDefinition,
        is_latest: bool,
        generation: u64,
    ) -> Result<Arc<Compiled>> {
        let known = self.definitions.known(&stored.definition.id, stored.sequence, generation);
        // A sequence alone does not say which definition it is: the log may have gone back.
        let compiled = match known.filter(|known| *known.stored == stored) {
            Some(compiled) => compiled,
            None => {
                let net =
                    Net::compile_stored(&stored.definition).map_err(Error::InvalidDefinition)?;
                Compiled::new(stored, Arc::new(net))
            }
        };
        self.definitions.keep(&compiled, is_latest, generation);
        Ok(compiled)
    }
}
