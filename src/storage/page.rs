//! Pages of a listing.

use serde::{Deserialize, Serialize};

use crate::models::{LogPosition, LogSequence, ViewSequence};

/// The most items a page may have.
pub const MAX_PAGE: usize = 1_000;

/// Bytes of memory that the items of a page may take together, by an estimate: the item that would
/// take more is on the next page, or alone on its own. An item may have a megabyte. 8 MiB.
pub const PAGE_BYTES: usize = 8 * 1024 * 1024;

/// Start of a page: just after the item that has this position. A token's position is the
/// sequence of its register, so that one which changes goes to the end. Any number is a valid
/// position, even if no item has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Cursor(pub u64);

impl Cursor {
    /// The position in the log, for a listing in the order of the log; `None` is its beginning.
    pub fn log_position(self) -> Option<LogPosition> {
        LogSequence::new(self.0).map(LogPosition::from)
    }
}

impl From<LogPosition> for Cursor {
    fn from(position: LogPosition) -> Self {
        Self(position.sequence.get())
    }
}

impl From<ViewSequence> for Cursor {
    fn from(sequence: ViewSequence) -> Self {
        Self(sequence.get())
    }
}

/// Choice of a listing's part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// Most items that the page may have, 1 to [`MAX_PAGE`].
    pub first: usize,
    /// Position after which the items begin; the beginning where absent.
    pub after: Option<Cursor>,
}

impl Default for Page {
    fn default() -> Self {
        Self { first: 100, after: None }
    }
}

/// A page of items, each with its position.
#[derive(Debug, Clone, PartialEq)]
pub struct PageOf<T> {
    /// The items in order.
    pub items: Vec<(Cursor, T)>,
    /// True if there were more after the last one.
    pub has_next: bool,
}

impl<T> PageOf<T> {
    /// The position to continue after.
    pub fn end(&self) -> Option<Cursor> {
        self.items.last().map(|(cursor, _)| *cursor)
    }

    /// The items without their positions.
    pub fn into_items(self) -> Vec<T> {
        self.items.into_iter().map(|(_, item)| item).collect()
    }
}

/// A page that is being filled.
#[derive(Debug)]
pub(crate) struct Filling<T> {
    items: Vec<(Cursor, T)>,
    first: usize,
    bytes: usize,
    is_full: bool,
}

impl<T> Filling<T> {
    /// An empty page for `first` items.
    pub(crate) fn new(first: usize) -> Self {
        Self { items: Vec::new(), first, bytes: 0, is_full: false }
    }

    /// Puts an item in that takes `bytes`; false if there is no room for it, nor for any other.
    pub(crate) fn add(&mut self, at: Cursor, item: T, bytes: usize) -> bool {
        let has_room = self.items.is_empty() || self.bytes + bytes <= PAGE_BYTES;
        self.is_full |= self.items.len() == self.first || !has_room;
        if !self.is_full {
            self.bytes += bytes;
            self.items.push((at, item));
        }
        !self.is_full
    }

    /// Number of items that there may still be room for.
    pub(crate) fn room(&self) -> usize {
        self.first - self.items.len()
    }

    /// Returns true if an item found no room.
    pub(crate) fn is_full(&self) -> bool {
        self.is_full
    }

    /// The page. Another one follows if an item found no room.
    pub(crate) fn page(self) -> PageOf<T> {
        PageOf { items: self.items, has_next: self.is_full }
    }
}
