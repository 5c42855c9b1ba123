//! Options of the view's operations.

use std::time::Instant;

use super::{Page, ReadPath};

/// Options of a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReadOptions {
    /// Way of reading, where it is not to be that of the view's settings.
    pub path: Option<ReadPath>,
}

/// Options of a listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ListOptions {
    /// The part that is wanted.
    pub page: Page,
    /// Way of reading, where it is not to be that of the view's settings.
    pub path: Option<ReadPath>,
}

/// Options of a call that writes registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriteOptions {
    /// Time at which the writer began to read what it knows of the log; the present by default.
    pub log_read: Instant,
}

impl Default for WriteOptions {
    fn default() -> Self {
        Self { log_read: Instant::now() }
    }
}

impl From<Page> for ListOptions {
    fn from(page: Page) -> Self {
        Self { page, path: None }
    }
}

impl From<ReadPath> for ReadOptions {
    fn from(path: ReadPath) -> Self {
        Self { path: Some(path) }
    }
}
