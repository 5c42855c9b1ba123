//! Storage in memory, with the same preconditions and errors: for tests, simulations and
//! embedding without a server. Nothing survives the process.

mod beats;
mod clock;
mod journals;
mod log;
mod open;
mod presence;
mod queues;
mod timers;
mod view;
mod work;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use futures::{StreamExt, stream, stream::BoxStream};

pub use beats::MemoryBeats;
pub use open::MemoryOpen;
pub use presence::MemoryPresence;
pub use timers::MemoryTimers;
pub use work::MemoryWork;

use self::{log::Log, view::View};
use super::{
    AppendOptions, Appended, CaseLog, Consistency, DefinitionVersion, Health, Lifecycle,
    ListOptions, LogRange, LogScope, Outline, PageOf, PutOptions, ReadOptions, Register, Result,
    Storage, TokenView, ViewOutcome, ViewScope, ViewWrite, WatchOptions, WriteLevel, WriteOptions,
};
use crate::models::{
    CaseId, Clock, LogSequence, PlaceId, Record, Stored, StoredDefinition, Token, TokenId,
    WorkflowDefinition, WorkflowId,
};

/// Most bytes of a message, as a nats-server has it without other settings.
const MAX_MESSAGE: usize = 1024 * 1024;

/// A log in memory. A clone shares it.
#[derive(Debug, Clone, Default)]
pub struct MemoryLog {
    log: Arc<Log>,
}

impl MemoryLog {
    /// An empty log.
    pub fn new() -> Self {
        Self::default()
    }
}

/// A view in memory. A clone shares it.
#[derive(Debug, Clone, Default)]
pub struct MemoryView {
    view: Arc<Mutex<View>>,
}

impl MemoryView {
    /// An empty view.
    pub fn new() -> Self {
        Self::default()
    }

    fn view(&self) -> MutexGuard<'_, View> {
        // Nothing panics between the parts of one change, so the view is whole.
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Storage in memory. A clone shares the store.
#[derive(Debug, Clone, Default)]
pub struct MemoryStorage {
    log: MemoryLog,
    view: MemoryView,
    timers: MemoryTimers,
    work: MemoryWork,
    open: MemoryOpen,
    beats: MemoryBeats,
    presence: MemoryPresence,
}

impl MemoryStorage {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty store in which a record may have so many bytes as JSON.
    pub fn with_max_message(max_message: usize) -> Self {
        let log = MemoryLog { log: Arc::new(Log::with_max_message(max_message)) };
        Self { log, ..Self::default() }
    }

    /// An empty store whose timers come due by this clock, and whose deliveries and beats end by it.
    /// Records and tokens have their times from the machine's all the same.
    pub fn with_clock(clock: Arc<dyn Clock>) -> Self {
        Self {
            timers: MemoryTimers::with_clock(clock.clone()),
            work: MemoryWork::with_clock(clock.clone()),
            beats: MemoryBeats::with_clock(clock),
            ..Self::default()
        }
    }
}

fn subject(workflow: &WorkflowId, place: &PlaceId, token: &TokenId) -> String {
    format!("memory.workflows.{workflow}.places.{place}.tokens.{token}")
}

/// Implements the log's trait for a type that has a [`Log`] at these fields.
macro_rules! has_log {
    ($type:ty: $($at:ident).+) => {
        #[async_trait]
        impl CaseLog for $type {
            fn reconnects(&self) -> u64 {
                0
            }

            fn max_message(&self) -> usize {
                self.$($at).+.max_message
            }

            async fn write_level(&self) -> Result<WriteLevel> {
                // Nobody else reads it.
                Ok(WriteLevel::KNOWN)
            }

            async fn generation(&self) -> Result<u64> {
                Ok(0)
            }

            async fn put_definition(
                &self,
                definition: &WorkflowDefinition,
                options: PutOptions,
            ) -> Result<StoredDefinition> {
                self.$($at).+.put_definition(definition, options)
            }

            async fn definition(
                &self,
                workflow: &WorkflowId,
                version: DefinitionVersion,
            ) -> Result<Option<StoredDefinition>> {
                Ok(self.$($at).+.definition(workflow, version))
            }

            async fn versions(
                &self,
                workflow: &WorkflowId,
            ) -> Result<Vec<Result<StoredDefinition>>> {
                Ok(self.$($at).+.versions(workflow))
            }

            async fn workflow_ids(&self) -> Result<Vec<WorkflowId>> {
                Ok(self.$($at).+.workflow_ids())
            }

            async fn last_definition(&self) -> Result<Option<LogSequence>> {
                Ok(self.$($at).+.last_definition())
            }

            async fn append(&self, record: &Record, options: AppendOptions) -> Result<Appended> {
                self.$($at).+.append(record, options)
            }

            async fn head(
                &self,
                workflow: &WorkflowId,
                case: &CaseId,
                _: Consistency,
            ) -> Result<Option<Stored<Record>>> {
                Ok(self.$($at).+.head(workflow, case))
            }

            async fn record(
                &self,
                workflow: &WorkflowId,
                case: &CaseId,
                sequence: LogSequence,
            ) -> Result<Option<Stored<Record>>> {
                Ok(self.$($at).+.record(workflow, case, sequence))
            }

            async fn history(
                &self,
                scope: LogScope,
                range: LogRange,
            ) -> Result<BoxStream<'static, Result<Stored<Record>>>> {
                Ok(self.$($at).+.history(scope, range))
            }

            async fn lifecycles(&self) -> Result<BoxStream<'static, Result<Lifecycle>>> {
                Ok(self.$($at).+.lifecycles())
            }

            async fn watch(
                &self,
                scope: LogScope,
                options: WatchOptions,
            ) -> Result<BoxStream<'static, Result<Stored<Record>>>> {
                Ok(self.$($at).+.watch(scope, options))
            }

            async fn last_sequence(&self) -> Result<Option<LogSequence>> {
                Ok(self.$($at).+.last_sequence())
            }
        }
    };
}

/// Implements the view's trait for a type that has a [`MemoryView`] there.
macro_rules! has_view {
    ($type:ty $(: $at:ident)?) => {
        #[async_trait]
        impl TokenView for $type {
            fn token_subject(
                &self,
                workflow: &WorkflowId,
                place: &PlaceId,
                token: &TokenId,
            ) -> String {
                subject(workflow, place, token)
            }

            async fn register(
                &self,
                workflow: &WorkflowId,
                place: &PlaceId,
                token: &TokenId,
            ) -> Result<Register> {
                Ok(self$(.$at)?.view().register(workflow, place, token))
            }

            async fn registers_of(
                &self,
                workflow: &WorkflowId,
                wanted: &[(TokenId, PlaceId)],
            ) -> Result<Vec<Register>> {
                let view = self$(.$at)?.view();
                let register = |(token, place): &_| view.register(workflow, place, token);
                Ok(wanted.iter().map(register).collect())
            }

            async fn write_views(
                &self,
                writes: Vec<ViewWrite>,
                _: WriteOptions,
            ) -> Vec<Result<ViewOutcome>> {
                // One lock for all of them: no reader sees a token between two places.
                let mut view = self$(.$at)?.view();
                writes.into_iter().map(|write| Ok(view.write(write))).collect()
            }

            async fn token(
                &self,
                workflow: &WorkflowId,
                token: &TokenId,
                _: ReadOptions,
            ) -> Result<Option<Token>> {
                Ok(self$(.$at)?.view().token(workflow, token).cloned())
            }

            async fn tokens(
                &self,
                scope: &ViewScope,
                options: ListOptions,
            ) -> Result<PageOf<Token>> {
                Ok(self$(.$at)?.view().tokens(scope, options.page))
            }

            async fn registers(&self) -> Result<BoxStream<'static, Result<Register>>> {
                let registers: Vec<_> = self$(.$at)?.view().registers().cloned().map(Ok).collect();
                Ok(stream::iter(registers).boxed())
            }

            async fn outlines(
                &self,
                _: Option<LogSequence>,
            ) -> Result<BoxStream<'static, Result<Outline>>> {
                let outlines: Vec<_> = self$(.$at)?.view().outlines().map(Ok).collect();
                Ok(stream::iter(outlines).boxed())
            }
        }
    };
}

has_log!(MemoryLog: log);
has_log!(MemoryStorage: log.log);
has_view!(MemoryView);
has_view!(MemoryStorage: view);

#[async_trait]
impl Storage for MemoryStorage {
    async fn health(&self) -> Health {
        Health {
            connected: true,
            round_trip_ms: Some(0.0),
            log_messages: Some(self.log.log.last_sequence().map_or(0, LogSequence::get)),
            view_messages: Some(self.view.view().registers().len() as u64),
            ..Health::default()
        }
    }
}
