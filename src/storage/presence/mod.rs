//! Presence: the workers that run now, and what each of them does.

mod worker;

use std::{any::Any, fmt, fmt::Debug, sync::Arc};

use async_trait::async_trait;

pub use worker::{
    Doing, EndedAttempts, EndedLately, PresentWorker, RunningAttempt, ServedQueue, WorkerCard,
};

use super::Result;

/// The workers that run now. Nothing of it is stored: each of them answers for itself when somebody asks.
///
/// # Contract
///
/// - **Announced** workers are there until what [`announce`](Self::announce) returned is dropped, also after
///   the store was away and is back. Two of the same name are two.
/// - **Asked** now: [`workers`](Self::workers) gives what each source says at that time, in the order of
///   their names.
/// - **Those that answer in time** are listed, and nobody else: a worker that is cut off, stands still or
///   has just begun or ended may be missing, or be there still. So it says who was alive, never who is
///   dead; that is the part of leases, which are in the log.
/// - **Nobody** is no error and no wait.
/// - **Clones** of an implementation (or of an `Arc` of it) share one set of workers.
///
/// `testing::conformance::presence` (feature `testing`) checks all of it, for any implementation.
#[async_trait]
pub trait Presence: Debug + Send + Sync {
    /// Announces a worker, which answers with what `source` says from then on. Others see it a moment later
    /// where they are connected elsewhere.
    async fn announce(&self, card: WorkerCard, source: Source) -> Result<Announced>;

    /// The workers that answer now.
    ///
    /// # Errors
    ///
    /// A store that is away, or a right to ask that the user lacks.
    async fn workers(&self) -> Result<Vec<PresentWorker>>;
}

/// Source of what a worker does now. It is called for each question, and must not wait.
#[derive(Clone)]
pub struct Source(Arc<dyn Fn() -> Doing + Send + Sync>);

impl Source {
    /// A source that asks a function.
    pub fn new(now: impl Fn() -> Doing + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// Its word of now.
    pub fn now(&self) -> Doing {
        (self.0)()
    }
}

impl Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Source")
    }
}

/// A worker that is announced, until this is dropped.
#[must_use = "the worker is announced until this is dropped"]
pub struct Announced {
    _held: Box<dyn Any + Send + Sync>,
}

impl Announced {
    /// Announced until `held` is dropped.
    pub fn until_dropped(held: impl Any + Send + Sync) -> Self {
        Self { _held: Box::new(held) }
    }
}

impl Debug for Announced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Announced").finish_non_exhaustive()
    }
}
