//! The tests that every implementation of the storage traits must pass: their contracts, clause
//! by clause. [`log`] is the suite of a [`CaseLog`](crate::storage::CaseLog), [`view`] the one
//! of a [`TokenView`](crate::storage::TokenView), [`timers`] that of
//! [`Timers`](crate::storage::Timers), [`work`] that of [`Work`](crate::storage::Work), [`beats`]
//! that of [`Beats`](crate::storage::Beats), [`open`] that of
//! [`OpenIndex`](crate::storage::OpenIndex), [`presence`] that of
//! [`Presence`](crate::storage::Presence), [`journals`] that of [`Journals`](crate::storage::Journals), and [`together`] has what a
//! [`Storage`](crate::storage::Storage) of all does beside it.
//!
//! An implementation, or a wrapper round one, calls [`all`], [`log::all`], [`view::all`],
//! [`timers::all`], [`work::all`], [`beats::all`], [`open::all`], [`presence::all`] or [`journals::all`] from a test
//! of its own:
//!
//! ```
//! use std::sync::Arc;
//! use stormpetrel::{storage::{CaseLog, MemoryLog, MemoryStorage, Storage}, testing::conformance};
//!
//! # #[tokio::main]
//! # async fn main() {
//! let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
//! conformance::all(async || storage.clone()).await;
//! let log: Arc<dyn CaseLog> = Arc::new(MemoryLog::new());
//! conformance::log::all(async || log.clone()).await;
//! # }
//! ```
//!
//! For one test of each behaviour, or if some behaviours can't hold, go through the
//! `behaviours` of a suite, or call the functions of the modules one by one. Nothing here names
//! a server or reads a message: only the traits are used, with the engine left out, so records
//! are small and made by hand.
//!
//! A behaviour needs a store in which it has not run before. It may share the store with
//! all other behaviours, before and at the same time: each has workflows of its own, and
//! says nothing about those of others. The suites take some seconds on a real server, and
//! [`contention`] needs a runtime that can spawn.

pub mod appends;
pub mod armings;
pub mod beats;
pub mod contention;
pub mod contents;
pub mod definitions;
mod fixture;
pub mod history;
pub mod journals;
pub mod listings;
pub mod lives;
pub mod log;
pub mod odd;
pub mod open;
pub mod presence;
pub mod registers;
pub mod takers;
pub mod timers;
pub mod together;
pub mod tokens;
pub mod view;
mod view_fixture;
pub mod watching;
pub mod work;

pub use beats::Beats;
pub use fixture::{Log, Store, View};
pub use journals::Journals;
pub use open::OpenIndex;
pub use presence::Presence;
pub use timers::Timers;
pub use work::Work;

use std::io::{self, Write};

use futures::future::BoxFuture;

/// One clause of a contract, and its check.
#[derive(Debug)]
pub struct Behaviour<S> {
    /// The clause, as a sentence in the form of a name.
    pub name: &'static str,
    /// Check of the clause; panics with the values seen when it does not hold.
    pub check: fn(S) -> BoxFuture<'static, ()>,
}

/// Checks every behaviour of all suites, one after the other. `make` is called before each and
/// returns a store in which that behaviour has not run: always the same one, or new ones.
///
/// # Panics
///
/// When a behaviour does not hold. Standard error names the one that was being checked.
pub async fn all(make: impl AsyncFn() -> Store) {
    log::all(async || make().await as Log).await;
    view::all(async || make().await as View).await;
    timers::all(async || make().await as Timers).await;
    work::all(async || make().await as Work).await;
    beats::all(async || make().await as Beats).await;
    open::all(async || make().await as OpenIndex).await;
    presence::all(async || make().await as Presence).await;
    journals::all(async || make().await as Journals).await;
    each(together::behaviours(), make).await;
}

/// Checks behaviours one after the other.
async fn each<S: 'static>(
    behaviours: impl Iterator<Item = &'static Behaviour<S>>,
    make: impl AsyncFn() -> S,
) {
    for behaviour in behaviours {
        let _ = writeln!(io::stderr(), "checking that {}", behaviour.name.replace('_', " "));
        (behaviour.check)(make().await).await;
    }
}

/// A behaviour by the name of its function.
macro_rules! behaviour {
    ($function:ident) => {
        crate::testing::conformance::Behaviour {
            name: stringify!($function),
            check: |subject| Box::pin(async move { $function(&subject).await }),
        }
    };
}
use behaviour;
