//! Cases: the engine and the storage joined. Every operation of the product is a method of
//! [`Cases`].
//!
//! A change reads the head of a case (or uses the one it knows), lets the engine decide,
//! appends one record under the fence, and then writes the views. The append is the whole
//! commit.

mod analysis;
mod aside;
mod audit;
mod by_case;
mod chain;
mod changes;
mod commit;
mod costly;
mod definitions;
mod error;
mod gather;
mod gone_back;
mod index;
mod limits;
mod listing;
mod load;
mod locate;
mod metrics;
mod newest;
mod quarantine;
mod reads;
mod rebuild;
mod reconcile;
mod repair;
mod repeat;
mod requests;
mod settled;
mod slot;
mod slots;
mod thread;
mod views;
mod watch;
mod whole;

use std::sync::Arc;

use tokio_util::task::TaskTracker;

pub use analysis::{Checks, assumptions, check, check_within};
pub use audit::{AuditScope, AuditWatcher, Audited, Finding, FindingIn, FindingKind};
pub use error::{Error, FirstUse};
pub use gather::Gathered;
pub use metrics::Metrics;
pub use quarantine::Following;
pub use repair::Repaired;
pub use requests::{Change, Changed, ExpectedVersion, Fire, FireIn, NewCase, NewToken};

pub use crate::storage::Health;
use crate::storage::Storage;

/// What an operation answers.
pub type Result<T> = std::result::Result<T, Error>;

/// Workflows and cases over a store. A clone shares everything.
#[derive(Debug, Clone)]
pub struct Cases {
    inner: Arc<Inner>,
    checks: Checks,
    /// In whose name every change is noted, whatever the request says.
    actor: Option<Arc<str>>,
}

#[derive(Debug)]
struct Inner {
    storage: Arc<dyn Storage>,
    definitions: definitions::Definitions,
    slots: slots::Slots,
    tags: locate::Tags,
    feeds: Arc<watch::Feeds>,
    index: Arc<index::Index>,
    asides: aside::Asides,
    confirmed: reconcile::Confirmed,
    metrics: Metrics,
    /// Cases of many tokens take turns when their views are looked at.
    large_cases: tokio::sync::Semaphore,
    costly: costly::Costly,
    /// Checks of definitions take turns.
    checking: tokio::sync::Semaphore,
    /// The changes under way: each is a task of its own, so that a caller who goes away
    /// does not leave one half done.
    running: TaskTracker,
}

impl Cases {
    /// Cases over a store.
    pub fn new(storage: Arc<dyn Storage>) -> Self {
        let inner = Inner {
            storage,
            definitions: Default::default(),
            slots: Default::default(),
            tags: Default::default(),
            feeds: Default::default(),
            index: Default::default(),
            asides: Default::default(),
            confirmed: Default::default(),
            metrics: Metrics::default(),
            large_cases: tokio::sync::Semaphore::new(2),
            costly: Default::default(),
            checking: analysis::turns(),
            running: TaskTracker::new(),
        };
        Self { inner: Arc::new(inner), checks: Checks::default(), actor: None }
    }

    /// The same cases; definitions are checked as `checks` says.
    #[must_use]
    pub fn with_checks(mut self, checks: Checks) -> Self {
        self.checks = checks;
        self
    }

    /// The same cases; every change is noted in the log as made by `name`, whatever the request
    /// says.
    #[must_use]
    pub fn acting_as(mut self, name: &str) -> Self {
        self.actor = Some(name.into());
        self
    }

    /// A change in the name of who makes it.
    fn signed(&self, mut change: Change) -> Change {
        if let Some(actor) = &self.actor {
            change.by = Some(actor.to_string());
        }
        change
    }

    /// The store beneath.
    pub fn storage(&self) -> &Arc<dyn Storage> {
        &self.inner.storage
    }

    /// Counters and latency histograms of this process.
    pub fn metrics(&self) -> &Metrics {
        &self.inner.metrics
    }

    /// Waits until every change that has begun has ended. Call it last; changes that begin
    /// afterwards are not waited for.
    pub async fn close(&self) {
        self.inner.running.close();
        self.inner.running.wait().await;
    }
}
