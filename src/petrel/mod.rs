//! The handle: the engine and the storage joined. Every operation of the product is a method of
//! [`Petrel`].
//!
//! A change reads the head of a case (or uses the one it knows), lets the engine decide,
//! appends one record under the fence, and then writes the views. The append is the whole
//! commit.

#[cfg(feature = "analysis")]
pub(crate) mod audit_metrics;
pub(crate) mod cache;
mod change;
#[cfg(feature = "analysis")]
mod checks;
mod clock;
mod connect;
mod error;
pub(crate) mod export;
mod limits;
mod lookup;
pub(crate) mod metrics;
mod open;
pub(crate) mod read;
mod requests;
pub(crate) mod thread;
pub(in crate::petrel) mod timers;
pub(crate) mod views;
mod work;
mod work_metrics;
mod work_refused;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use tokio_util::task::TaskTracker;

pub use change::{quarantine::Following, retry::Correction};
#[cfg(feature = "analysis")]
pub use checks::{Checks, assumptions, check, check_within};
pub use clock::SystemClock;
pub use error::{Error, FirstUse};
pub use export::gather::Gathered;
pub use lookup::Lookup;
pub use metrics::Metrics;
pub use open::{OpenChange, OpenEvent, OpenIncident, OpenItem, OpenPart, WorkFilter};
pub use read::listing::CasePage;
pub use requests::{Change, Changed, ExpectedVersion, Fire, FireIn, NewCase, NewToken};
pub use views::repair::Repaired;
pub(crate) use work::is_of;
pub use work::{ItemActivity, QueueChange, Standing, StartWork, Started};
pub use work_refused::{WorkId, WorkRefused};

use read::Reader;
use views::Views;

pub use crate::models::Clock;
pub use crate::storage::Health;
use crate::storage::Storage;

/// Answer of an operation.
pub type Result<T> = std::result::Result<T, Error>;

/// Workflows and cases over a store. A clone shares everything.
#[derive(Debug, Clone)]
pub struct Petrel {
    inner: Arc<Inner>,
    #[cfg(feature = "analysis")]
    checks: Checks,
    /// Name under which every change is noted; it wins over the request's.
    actor: Option<Arc<str>>,
}

#[derive(Debug)]
struct Inner {
    reader: Arc<Reader>,
    views: Views,
    slots: cache::slots::Slots,
    feeds: Arc<read::feeds::Feeds>,
    index: Arc<cache::index::Index>,
    metrics: Arc<Metrics>,
    costly: change::costly::Costly,
    /// The changes under way: each is a task of its own, so that a caller who goes away
    /// does not leave one half done.
    running: TaskTracker,
    /// Those who write the views of what workers did.
    later: views::write_later::LaterTasks,
}

impl Petrel {
    /// A handle on the workflows and cases of a store.
    pub fn new(storage: Arc<dyn Storage>) -> Self {
        Self::with_clock(storage, Arc::new(SystemClock))
    }

    /// The same; its changes have the times of this clock. So a test can let a month pass at once.
    pub fn with_clock(storage: Arc<dyn Storage>, clock: Arc<dyn Clock>) -> Self {
        let (reader, metrics) = (Arc::new(Reader::new(storage, clock)), Arc::<Metrics>::default());
        let inner = Inner {
            views: Views::new(Arc::clone(&reader), Arc::clone(&metrics)),
            reader,
            slots: Default::default(),
            feeds: Default::default(),
            index: Default::default(),
            metrics,
            costly: Default::default(),
            running: TaskTracker::new(),
            later: Default::default(),
        };
        Self {
            inner: Arc::new(inner),
            #[cfg(feature = "analysis")]
            checks: Checks::default(),
            actor: None,
        }
    }

    /// The same handle; definitions are checked as `checks` says.
    #[cfg(feature = "analysis")]
    #[must_use]
    pub fn with_checks(mut self, checks: Checks) -> Self {
        self.checks = checks;
        self
    }

    /// The same handle; every change is noted in the log as made by `name`, which wins over the
    /// request's.
    #[must_use]
    pub fn acting_as(mut self, name: &str) -> Self {
        self.actor = Some(name.into());
        self
    }

    /// The same handle; it, and each of its clones, keeps the cases that were touched last in so many
    /// bytes of memory, by an estimate: 80 MiB unless this says otherwise. A change of a case that is
    /// not there reads it first.
    #[must_use]
    pub fn with_case_cache(self, bytes: usize) -> Self {
        self.inner.slots.hold(bytes);
        self
    }

    /// A change in the name of its caller.
    fn signed(&self, mut change: Change) -> Change {
        if let Some(actor) = &self.actor {
            change.by = Some(actor.to_string());
        }
        change
    }

    /// The time by the handle's clock.
    pub fn now(&self) -> DateTime<Utc> {
        self.inner.reader.clock.now()
    }

    /// The handle's clock.
    pub(crate) fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.inner.reader.clock)
    }

    /// The store beneath.
    pub fn storage(&self) -> &Arc<dyn Storage> {
        &self.inner.reader.storage
    }

    /// Reading side of the handle.
    #[cfg(feature = "analysis")]
    pub(crate) fn reader(&self) -> &Reader {
        &self.inner.reader
    }

    /// Counters and latency histograms of this process.
    pub fn metrics(&self) -> &Metrics {
        &self.inner.metrics
    }

    /// Waits until every change that has begun has ended, and its views are written. Call it last;
    /// changes that begin afterwards are not waited for.
    pub async fn close(&self) {
        self.inner.running.close();
        self.inner.running.wait().await;
        self.inner.later.end().await;
    }
}
