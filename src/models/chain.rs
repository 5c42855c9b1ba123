//! The chain of a case's records: how the last one leads to all before it, in few reads.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest, Sha256};

use super::{FiringId, Record, Stored, hex};

/// How many records a page names.
pub const PAGE_LENGTH: usize = 64;

/// The first 8 bytes of the SHA-256 of a firing id, in JSON as 16 hexadecimal digits. It says
/// where an id may be; the record there says whether it is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IdHash(u64);

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

impl Serialize for IdHash {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&hex(&self.0.to_be_bytes()))
    }
}

impl<'de> Deserialize<'de> for IdHash {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Digits;
        impl de::Visitor<'_> for Digits {
            type Value = IdHash;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("16 hexadecimal digits")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<IdHash, E> {
                let digits = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
                let number = digits.then(|| u64::from_str_radix(text, 16).ok()).flatten();
                number.map(IdHash).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        from.deserialize_str(Digits)
    }
}

/// One record as a later one names it; in JSON `[sequence, id hash]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(u64, IdHash)", into = "(u64, IdHash)")]
pub struct Link {
    /// Its log sequence.
    pub sequence: u64,
    /// The hash of its firing id.
    pub id: IdHash,
}

impl From<(u64, IdHash)> for Link {
    fn from((sequence, id): (u64, IdHash)) -> Self {
        Self { sequence, id }
    }
}

impl From<Link> for (u64, IdHash) {
    fn from(link: Link) -> Self {
        (link.sequence, link.id)
    }
}

/// A page, named by its place and its contents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageAt {
    /// Its log sequence.
    pub sequence: u64,
    /// SHA-256 of its stored bytes, in hexadecimal.
    pub hash: String,
}

/// What the next record of a case will say of those before it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Chain {
    /// The records since the last page, and it; oldest first.
    pub recent: Vec<Link>,
    /// The last page.
    pub page: Option<PageAt>,
    /// The log sequences of all pages, oldest first; `None` where only the last page has them.
    pub pages: Option<Arc<[u64]>>,
    /// The last record, or message put aside, that no list names; 0 where all are named.
    pub unlisted: u64,
}

impl Chain {
    /// The chain after a record; `before` is the one before it, where that is known.
    pub fn after(before: Option<&Self>, stored: &Stored<Record>) -> Self {
        let record = &stored.value;
        if record.is_without_lists() {
            return Self { unlisted: stored.sequence, pages: Some([].into()), ..Self::default() };
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

    /// Whether the next record is a page, which names all pages before it.
    pub fn is_full(&self) -> bool {
        self.recent.len() >= PAGE_LENGTH
    }
}
