//! Storage of definitions, case logs, token views, timers, open work and the signs of life of those who
//! do it, an index of what is open, the presence of workers, and journals: a trait for each of the eight, with its
//! contract, and two implementations of all.

mod beats;
mod case_log;
mod case_log_ext;
mod checkpoint;
mod error;
mod health;
mod journals;
mod log_entry;
mod log_options;
mod log_scope;
mod markers;
mod memory;
pub mod nats;
mod nats_link;
mod open;
mod page;
mod presence;
mod receipt;
mod register;
mod register_version;
mod storage_ext;
mod timers;
mod token_view;
mod view_options;
mod view_scope;
mod work;
mod write_level;

use async_trait::async_trait;

pub use beats::{Beat, BeatSequence, Beats, Hint, LastBeat, LastProgress, Progress};
pub use case_log::{CaseLog, Heads};
pub use case_log_ext::CaseLogExt;
pub use checkpoint::{Checkpoint, Recovery};
pub use error::StorageError;
pub use health::Health;
pub use journals::Journals;
pub use log_entry::{Appended, Lifecycle, StatusAt};
pub use log_options::{AppendOptions, LogRange, PutOptions, WatchOptions};
pub use log_scope::{Consistency, DefinitionVersion, LogScope};
pub use markers::Markers;
pub use memory::{
    MemoryBeats, MemoryLog, MemoryOpen, MemoryPresence, MemoryStorage, MemoryTimers, MemoryView,
    MemoryWork,
};
pub use open::{Open, OpenIndex, OpenScope};
pub(crate) use page::Filling;
pub use page::{Cursor, MAX_PAGE, PAGE_BYTES, Page, PageOf};
pub use presence::{
    Announced, Doing, EndedAttempts, EndedLately, Presence, PresentWorker, RunningAttempt,
    ServedQueue, Source, WorkerCard,
};
pub use receipt::Receipt;
pub use register::{Outline, Register, RegisterState, ViewContent, ViewOutcome, ViewWrite};
pub use register_version::RegisterVersion;
pub use storage_ext::StorageExt;
pub use timers::{Arming, Due, Timers};
pub use token_view::TokenView;
pub use view_options::{ListOptions, ReadOptions, WriteOptions};
pub use view_scope::{ReadPath, TokenScope, ViewScope};
pub use work::{ClassState, Delivery, MostInFlight, Offer, QueueSettings, QueueState, Work};
pub use write_level::{NoLevel, WriteLevel};

/// Answer of a storage.
pub type Result<T> = std::result::Result<T, StorageError>;

/// A store: a log, a view of it, the timers that it has set, its open work and an index of that, the signs of life of those
/// who do it, their presence, and the journals of what they have done.
#[async_trait]
pub trait Storage:
    CaseLog + TokenView + Timers + Work + OpenIndex + Beats + Presence + Journals
{
    /// State of the store: the server's answer, if it can be reached, and its numbers.
    async fn health(&self) -> Health;
}
