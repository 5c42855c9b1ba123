//! The tests that every [`Storage`](crate::storage::Storage) must pass: its contract, clause by clause.
//!
//! An implementation, or a wrapper round one, calls [`all`] from a test of its own:
//!
//! ```
//! use std::sync::Arc;
//! use stormpetrel::{storage::{MemoryStorage, Storage}, testing::conformance};
//!
//! # #[tokio::main]
//! # async fn main() {
//! let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
//! conformance::all(async || storage.clone()).await;
//! # }
//! ```
//!
//! For one test of each behaviour, or if some behaviours can't hold, go through
//! [`behaviours`], or call the functions of the modules one by one. Nothing here names a
//! server or reads a message: only the trait is used, with the engine left out, so records are
//! small and made by hand.
//!
//! A behaviour needs a store in which it has not run before. It may share the store with
//! all other behaviours, before and at the same time: each has workflows of its own, and
//! says nothing about those of others. The suite takes some seconds on a real server, and
//! [`contention`] needs a runtime that can spawn.

pub mod appends;
pub mod contention;
pub mod definitions;
mod fixture;
pub mod history;
pub mod listings;
pub mod odd;
pub mod registers;
pub mod tokens;
pub mod watching;

pub use fixture::Store;

use futures::future::BoxFuture;

/// One clause of the contract, and its check.
#[derive(Debug, Clone, Copy)]
pub struct Behaviour {
    /// The clause, as a sentence in the form of a name.
    pub name: &'static str,
    /// Check of the clause; panics with the values seen when it does not hold.
    pub check: fn(Store) -> BoxFuture<'static, ()>,
}

/// Checks every behaviour, one after the other. `make` is called before each and returns a
/// store in which that behaviour has not run: always the same one, or new ones.
///
/// # Panics
///
/// When a behaviour does not hold. Standard error names the one that was being checked.
pub async fn all(make: impl AsyncFn() -> Store) {
    for behaviour in behaviours() {
        eprintln!("checking that {}", behaviour.name.replace('_', " "));
        (behaviour.check)(make().await).await;
    }
}

/// Every behaviour of the suite.
pub fn behaviours() -> Vec<Behaviour> {
    let groups = [
        definitions::BEHAVIOURS,
        appends::BEHAVIOURS,
        history::BEHAVIOURS,
        watching::BEHAVIOURS,
        registers::BEHAVIOURS,
        tokens::BEHAVIOURS,
        listings::BEHAVIOURS,
        odd::BEHAVIOURS,
        contention::BEHAVIOURS,
    ];
    groups.concat()
}

/// A behaviour by the name of its function.
macro_rules! behaviour {
    ($function:ident) => {
        crate::testing::conformance::Behaviour {
            name: stringify!($function),
            check: |storage| Box::pin(async move { $function(&storage).await }),
        }
    };
}
use behaviour;
