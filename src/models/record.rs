//! Records: the entries of a case's log. They are the truth; all else is a view.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    Aside, CaseId, CaseStatus, FiringId, Link, LogSequence, Marking, PageAt, PlaceId, PutAside,
    Token, TokenId, TransitionId, WorkflowId,
};

/// The version of the stored formats that this code writes. It reads this and older ones.
pub const FORMAT_VERSION: u32 = 1;

/// Kind of change that a record stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RecordKind {
    /// A transition fired.
    Fired,
    /// The case began.
    Created,
    /// The case was paused.
    Paused,
    /// The case was resumed.
    Resumed,
    /// The case was cancelled.
    Cancelled,
    /// Somebody added a token or changed a token's data.
    Edited,
    /// Somebody put messages of the case's log aside that can't be read or do not follow.
    Quarantined,
    /// A newer version's kind, which this one does not know, and never writes.
    #[serde(other)]
    Unknown,
}

impl RecordKind {
    /// Its stored name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fired => "fired",
            Self::Created => "created",
            Self::Paused => "paused",
            Self::Resumed => "resumed",
            Self::Cancelled => "cancelled",
            Self::Edited => "edited",
            Self::Quarantined => "quarantined",
            Self::Unknown => "unknown",
        }
    }
}

/// Beginning of the name of a kind among the unknown.
pub(crate) const UNKNOWN_KIND: &str = "kind ";

/// A token and the place it was in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenAt {
    /// The token.
    pub token: TokenId,
    /// The place that held it.
    pub place: PlaceId,
}

/// One entry of a case's log: a change, and the state of the case after it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// [`FORMAT_VERSION`] of the code that wrote it.
    pub format: u32,
    /// Kind of the change.
    pub kind: RecordKind,
    /// The workflow.
    pub workflow: WorkflowId,
    /// The case.
    pub case: CaseId,
    /// The log sequence of the definition the case runs.
    pub definition: LogSequence,
    /// Time by the clock of the process that decided it; the server's time is the message's.
    #[serde(with = "super::json::time")]
    pub time: DateTime<Utc>,
    /// Name of the caller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// The id of the attempt: the same id never happens twice in a case.
    pub firing: FiringId,
    /// Transition that fired, in a `fired` record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transition: Option<TransitionId>,
    /// The tokens taken, in arc order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub consumed: Vec<TokenAt>,
    /// The tokens that read arcs needed and left.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub read: Vec<TokenAt>,
    /// The tokens that reset arcs or a cancellation removed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<TokenAt>,
    /// The tokens made or changed, whole.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub produced: Vec<Token>,
    /// Produced tokens whose stored history is cut, each with the log sequence of the earlier
    /// record that has the rest. Otherwise a token that moves often would be stored again and
    /// again with the same transitions. Empty in the result of a read, since that is whole.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub history_bases: BTreeMap<TokenId, LogSequence>,
    /// The marking after it.
    pub marking: Marking,
    /// The status after it.
    pub status: CaseStatus,
    /// Number of tokens that the case has ever had, after it.
    pub tokens_made: u64,
    /// Notes of the caller about it.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub metadata: Map<String, Value>,
    /// The log sequence of the case's record before this one; absent in the first.
    #[serde(default, deserialize_with = "LogSequence::or_none")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous: Option<LogSequence>,
    /// SHA-256 of the stored bytes of the record before this one, in hexadecimal; absent in
    /// the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_hash: Option<String>,
    /// SHA-256 over the request, its first 16 bytes in hexadecimal. Two requests with one
    /// firing id are the same request if these are equal. Absent in records of older versions,
    /// and where a case was created, whose token says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// The case's records before this one and after the last page, oldest first. A record with
    /// [`PAGE_LENGTH`](super::PAGE_LENGTH) of them is a page, and the list begins anew after it,
    /// with the page itself.
    #[serde(default, rename = "links", alias = "recent", with = "super::links")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub recent: Vec<Link>,
    /// The last page before this record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page: Option<PageAt>,
    /// The log sequences of all pages before it, oldest first; only in a page.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pages: Vec<LogSequence>,
    /// The last record of the case that no list names, since an older version wrote it; absent
    /// where all are named. All before it are not named either.
    #[serde(default, deserialize_with = "LogSequence::or_none")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unlisted: Option<LogSequence>,
    /// SHA-256 over the digests of the live tokens after it, in the order of the marking, in
    /// hexadecimal. Tokens of the view are taken for these if their hash is the same. Absent
    /// if there are fewer than [`VOUCHED_FROM`](super::VOUCHED_FROM), and in records of older
    /// versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_hash: Option<String>,
    /// All messages of the case's log up to this record that are put aside: readers pass over
    /// them. Each later record has them too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aside: Vec<Aside>,
    /// The messages that a `quarantined` record puts aside, the first 100 of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub put_aside: Vec<PutAside>,
    /// Names of its kind and of the fields that this version does not know, as it was read: a newer
    /// version wrote it. What it says otherwise is shown, and its case is not changed.
    #[serde(skip)]
    pub unknown: Vec<String>,
}

impl Record {
    /// The name of its kind, also of one that this version does not know.
    pub fn kind_name(&self) -> &str {
        let named = self.unknown.first().and_then(|name| name.strip_prefix(UNKNOWN_KIND));
        match self.kind {
            RecordKind::Unknown => named.unwrap_or(RecordKind::Unknown.as_str()),
            kind => kind.as_str(),
        }
    }

    /// Returns true if an older version wrote it, which names no earlier records and does not
    /// carry on the list of messages put aside.
    pub fn is_without_lists(&self) -> bool {
        self.recent.is_empty() && self.unlisted < self.previous
    }
}

/// A value read from the log, with the server's facts about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored<T> {
    /// The stored value.
    pub value: T,
    /// Its sequence in the log.
    pub sequence: LogSequence,
    /// Time at which the server stored it.
    pub timestamp: DateTime<Utc>,
    /// Its subject.
    pub subject: String,
    /// SHA-256 of the stored bytes, in hexadecimal.
    pub hash: String,
    /// The server's comparison as it stored this one.
    pub fence: Fence,
}

/// A comparison that the server made as it stored a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fence {
    /// It was asked for none, as when another program put the record there.
    Unchecked,
    /// The case had no message yet.
    First,
    /// The message at this sequence was the case's last.
    After(LogSequence),
}

impl From<Option<LogSequence>> for Fence {
    fn from(last: Option<LogSequence>) -> Self {
        last.map_or(Self::First, Self::After)
    }
}
