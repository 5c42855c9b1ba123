//! An index of what is open: work items and incidents of all cases.

mod entry;

use std::fmt::Debug;

use async_trait::async_trait;

pub use entry::{Open, OpenScope};

use super::{Page, PageOf, Result};

/// An index of the work items and incidents that are open, over all cases. It is a view, and names
/// candidates: whoever reads it looks in the log, and an entry of what is over is in nobody's way.
///
/// # Contract
///
/// - **Noting** what is noted already changes nothing, so any number of processes may note the same, at any
///   time. What was struck out and is noted again is there once more.
/// - **Striking out** what is not there is no error.
/// - **A page** has the entries of a scope in an order of the store's: all that were there before the first
///   page and are there still, each once.
/// - **Nothing is decided here.** All of it can be lost, and is noted again from the log.
/// - **An error** that is [`retryable`](super::StorageError::retryable) leaves open which of the entries it
///   was about are done; the same call may be made again.
/// - **Clones** of an implementation (or of an `Arc` of it) share one index.
///
/// `testing::conformance::open` (feature `testing`) checks all of it, for any implementation.
#[async_trait]
pub trait OpenIndex: Debug + Send + Sync {
    /// Notes that these are open, and answers when all of it is stored.
    async fn note_open(&self, open: &[Open]) -> Result<()>;

    /// Strikes entries out.
    async fn strike_open(&self, over: &[Open]) -> Result<()>;

    /// For each of these, true if it is noted, by the word of whoever has everything that was stored.
    async fn is_noted(&self, open: &[Open]) -> Result<Vec<bool>>;

    /// A page of the entries of a scope, each with the position after which the next page begins.
    async fn open(&self, scope: &OpenScope, page: Page) -> Result<PageOf<Open>>;
}
