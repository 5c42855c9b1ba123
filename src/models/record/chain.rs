//! The chain of a case's records: the last record leads to all before it, in few reads.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Record, Stored};
use crate::models::{FiringId, LogSequence};

/// Number of records that a page names.
pub const PAGE_LENGTH: usize = 64;

/// The first 8 bytes of the SHA-256 of a firing id. It tells the place where an id may be;
/// only the record there proves the id.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IdHash(pub(super) u64);

impl IdHash {
    /// The hash of an id.
    pub fn of(id: &FiringId) -> Self {
        let digest = Sha256::digest(id.as_str());
        Self(digest.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }
}

impl fmt::Debug for IdHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// One record as a later one names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// Its log sequence.
    pub sequence: LogSequence,
    /// The hash of its firing id.
    pub id: IdHash,
}

/// A page, named by its place and its contents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageAt {
    /// Its log sequence.
    pub sequence: LogSequence,
    /// SHA-256 of its stored bytes, in hexadecimal.
    pub hash: String,
}

/// Links that the next record of a case will hold to those before it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Chain {
    /// The records since the last page, and it; oldest first.
    pub recent: Vec<Link>,
    /// The last page.
    pub page: Option<PageAt>,
    /// The log sequences of all pages, oldest first; `None` where only the last page has them.
    pub pages: Option<Arc<[LogSequence]>>,
    /// The last record, or message put aside, that no list names; `None` where all are named.
    pub unlisted: Option<LogSequence>,
}

impl Chain {
    /// The chain after a record; `before` is the one before it, where that is known.
    pub fn after(before: Option<&Self>, stored: &Stored<Record>) -> Self {
        let record = &stored.value;
        if record.is_without_lists() {
            return Self {
                unlisted: Some(stored.sequence),
                pages: Some([].into()),
                ..Self::default()
            };
        }
        let link = Link { sequence: stored.sequence, id: IdHash::of(&record.firing) };
        if record.recent.len() >= PAGE_LENGTH {
            let pages = record.pages.iter().copied().chain([stored.sequence]).collect();
            let page = PageAt { sequence: stored.sequence, hash: stored.hash.clone() };
            let (recent, page) = (vec![link], Some(page));
            return Self { recent, page, pages: Some(pages), unlisted: record.unlisted };
        }
        let known = before.and_then(|before| before.pages.clone());
        let pages = if record.page.is_none() { Some([].into()) } else { known };
        let recent = record.recent.iter().copied().chain([link]).collect();
        Self { recent, page: record.page.clone(), pages, unlisted: record.unlisted }
    }

    /// Returns true if the next record is a page, which names all pages before it.
    pub fn is_full(&self) -> bool {
        self.recent.len() >= PAGE_LENGTH
    }
}
