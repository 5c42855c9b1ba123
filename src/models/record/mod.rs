//! Records: the entries of a case's log. They are the truth; all else is a view.

mod aside;
mod chain;
mod incident;
mod item;
mod links;
mod numbered;
mod step;
mod timer;
mod written;

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

pub(crate) use self::links::LONGEST_LINK;
pub use self::{
    aside::{Aside, PutAside},
    chain::{Chain, IdHash, Link, PAGE_LENGTH, PageAt},
    incident::{Incident, IncidentAbout, IncidentCode, LONGEST_EXPLANATION, Raised},
    item::{Answer, Ended, Failure, Held, Item, Next, Running, Wait, Work},
    step::Step,
    timer::{OnResume, Timer},
};
use super::{
    CaseId, CaseStatus, FiringId, LogSequence, Marking, PlaceId, Token, TokenId, TransitionId,
    WorkflowId,
};

/// The version of the stored formats that this code writes. It reads this and older ones.
pub const FORMAT_VERSION: u32 = 2;

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
    /// Somebody had the case try again what an incident had stopped, after changes of tokens' data if need be.
    Retried,
    /// Timers came due.
    Elapsed,
    /// A worker began a work item.
    Begun,
    /// An attempt at a work item failed.
    Failed,
    /// A worker gave a work item back that it had begun.
    Released,
    /// The answer to a work item was stored, and its activity has not fired yet.
    Completed,
    /// Somebody put messages of the case's log aside that can't be read or do not follow.
    Quarantined,
    /// A newer version's kind, which this one does not know, and never writes.
    #[serde(other)]
    Unknown,
}

impl RecordKind {
    /// True of a change that may change the data of tokens where they are.
    pub fn may_edit(self) -> bool {
        matches!(self, Self::Edited | Self::Retried)
    }

    /// Its stored name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fired => "fired",
            Self::Created => "created",
            Self::Paused => "paused",
            Self::Resumed => "resumed",
            Self::Cancelled => "cancelled",
            Self::Edited => "edited",
            Self::Retried => "retried",
            Self::Elapsed => "elapsed",
            Self::Begun => "begun",
            Self::Failed => "failed",
            Self::Released => "released",
            Self::Completed => "completed",
            Self::Quarantined => "quarantined",
            Self::Unknown => "unknown",
        }
    }
}

/// Beginning of the name of a kind among the unknown.
pub(crate) const UNKNOWN_KIND: &str = "kind ";

/// A token and the place it was in.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TokenAt {
    /// The token.
    pub token: TokenId,
    /// The place that held it.
    pub place: PlaceId,
}

/// One entry of a case's log: a change, and the state of the case after it.
///
/// A record of format 2 is stored with the numbers of its tokens, of format 1 with their ids.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(remote = "Self")]
pub struct Record {
    /// Format of its stored form, up to the [`FORMAT_VERSION`] of the code that wrote it.
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
    #[serde(deserialize_with = "crate::models::json::time::deserialize")]
    pub time: DateTime<Utc>,
    /// Name of the caller.
    #[serde(default)]
    pub by: Option<String>,
    /// The id of the attempt: the same id never happens twice in a case.
    pub firing: FiringId,
    /// Transition that fired, in a `fired` record.
    #[serde(default)]
    pub transition: Option<TransitionId>,
    /// The tokens taken, in arc order.
    #[serde(default, deserialize_with = "numbered::at")]
    pub consumed: Vec<TokenAt>,
    /// The tokens that read arcs needed and left.
    #[serde(default, deserialize_with = "numbered::at")]
    pub read: Vec<TokenAt>,
    /// The tokens that reset arcs or a cancellation removed.
    #[serde(default, deserialize_with = "numbered::at")]
    pub removed: Vec<TokenAt>,
    /// The tokens that the change itself gave, where immediate transitions fired after it;
    /// else they are `produced`.
    #[serde(default, deserialize_with = "numbered::at")]
    pub given: Vec<TokenAt>,
    /// The token that the change itself edited, where immediate transitions fired after it.
    #[serde(default, deserialize_with = "numbered::at")]
    pub edited: Vec<TokenAt>,
    /// The firings of immediate transitions that followed, in their order.
    #[serde(default)]
    pub cascade: Vec<Step>,
    /// The tokens made or changed, whole, as they are after the cascade. One that comes and goes
    /// within the record is not among them.
    #[serde(default)]
    pub produced: Vec<Token>,
    /// Produced tokens whose stored history is cut, each with the log sequence of the earlier
    /// record that has the rest. Otherwise a token that moves often would be stored again and
    /// again with the same transitions. Empty in the result of a read, since that is whole.
    #[serde(default)]
    pub history_bases: BTreeMap<TokenId, LogSequence>,
    /// The marking after it.
    #[serde(deserialize_with = "numbered::by_place")]
    pub marking: Marking,
    /// The status after it.
    pub status: CaseStatus,
    /// Number of tokens that the case has ever had, after it.
    pub tokens_made: u64,
    /// The incidents that are open after it.
    #[serde(default)]
    pub incidents: Vec<Incident>,
    /// Number of incidents that the case has ever had, after it.
    #[serde(default)]
    pub incidents_made: u64,
    /// Details of the incidents that began with it.
    #[serde(default)]
    pub raised: Vec<Raised>,
    /// Number of the incident that a `retried` record is about.
    #[serde(default)]
    pub incident: Option<u64>,
    /// The timers that run after it, oldest first.
    #[serde(default)]
    pub timers: Vec<Timer>,
    /// Number of timers that the case has ever had, after it.
    #[serde(default)]
    pub timers_made: u64,
    /// Time of the record that paused the case, while it is paused.
    #[serde(default, deserialize_with = "crate::models::json::time::or_none")]
    pub paused: Option<DateTime<Utc>>,
    /// The way on of the timers, in a `resumed` record.
    #[serde(default)]
    pub on_resume: OnResume,
    /// The timers that came due, as they were before an `elapsed` record. Those that could fire are
    /// in its cascade, the others still run.
    #[serde(default)]
    pub elapsed: Vec<Timer>,
    /// The work items that are open after it, oldest first.
    #[serde(default)]
    pub items: Vec<Item>,
    /// Number of work items that the case has ever had, after it.
    #[serde(default)]
    pub items_made: u64,
    /// The work item that it is about: that it begins, gives back, or ends.
    #[serde(default)]
    pub work: Option<Work>,
    /// Notes of the caller about it.
    #[serde(default)]
    pub metadata: Map<String, Value>,
    /// The log sequence of the case's record before this one; absent in the first.
    #[serde(default, deserialize_with = "LogSequence::or_none")]
    pub previous: Option<LogSequence>,
    /// SHA-256 of the stored bytes of the record before this one, in hexadecimal; absent in
    /// the first.
    #[serde(default)]
    pub previous_hash: Option<String>,
    /// SHA-256 over the request, its first 16 bytes in hexadecimal. Two requests with one
    /// firing id are the same request if these are equal. Absent in records of older versions,
    /// and where a case was created, whose token says it.
    #[serde(default)]
    pub request: Option<String>,
    /// The [digest](crate::engine::TokenSeed::digest) of the token that the case began with, where
    /// the cascade left it otherwise; only in a `created` record.
    #[serde(default)]
    pub seed: Option<String>,
    /// The case's records before this one and after the last page, oldest first. A record with
    /// [`PAGE_LENGTH`](PAGE_LENGTH) of them is a page, and the list begins anew after it,
    /// with the page itself.
    #[serde(default, rename = "links", alias = "recent", deserialize_with = "links::deserialize")]
    pub recent: Vec<Link>,
    /// The last page before this record.
    #[serde(default)]
    pub page: Option<PageAt>,
    /// The log sequences of all pages before it, oldest first; only in a page.
    #[serde(default)]
    pub pages: Vec<LogSequence>,
    /// The last record of the case that no list names, since an older version wrote it; absent
    /// where all are named. All before it are not named either.
    #[serde(default, deserialize_with = "LogSequence::or_none")]
    pub unlisted: Option<LogSequence>,
    /// SHA-256 over the digests of the live tokens after it, in the order of the marking, in
    /// hexadecimal. Tokens of the view are taken for these if their hash is the same. Absent
    /// if there are fewer than [`VOUCHED_FROM`](crate::models::VOUCHED_FROM), and in records of older
    /// versions.
    #[serde(default)]
    pub tokens_hash: Option<String>,
    /// All messages of the case's log up to this record that are put aside: readers pass over
    /// them. Each later record has them too.
    #[serde(default)]
    pub aside: Vec<Aside>,
    /// The messages that a `quarantined` record puts aside, the first 100 of them.
    #[serde(default)]
    pub put_aside: Vec<PutAside>,
    /// Names of its kind and of the fields that this version does not know, as it was read: a newer
    /// version wrote it. What it says otherwise is shown, and its case is not changed.
    #[serde(skip)]
    pub unknown: Vec<String>,
}

impl<'de> Deserialize<'de> for Record {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let mut record = Self::deserialize(from)?;
        let beginning = TokenId::beginning(&record.workflow, &record.case);
        let lists = [
            &mut record.consumed,
            &mut record.read,
            &mut record.removed,
            &mut record.given,
            &mut record.edited,
        ];
        let named = lists.into_iter().flatten();
        let named = named.chain(record.cascade.iter_mut().flat_map(Step::tokens_mut));
        let timers = record.timers.iter_mut().chain(&mut record.elapsed);
        let named = named.chain(timers.flat_map(|timer| &mut timer.tokens));
        let named = named.chain(record.items.iter_mut().flat_map(|item| &mut item.tokens));
        let named = named.map(|at| &mut at.token);
        let marked = record.marking.0.iter_mut().map(|entry| &mut entry.token);
        named.chain(marked).for_each(|token| token.in_case(&beginning));
        Ok(record)
    }
}

impl Record {
    /// The tokens that the change itself gave or edited, with their places then.
    pub fn gave(&self) -> Vec<(&TokenId, &PlaceId)> {
        match self.cascade.is_empty() && self.given.is_empty() {
            true => self.produced.iter().map(|token| (&token.id, &token.place)).collect(),
            false => {
                let named = self.given.iter().chain(&self.edited);
                named.map(|at| (&at.token, &at.place)).collect()
            }
        }
    }

    /// The change alone, and each firing that followed it, as records of their own, which name
    /// their tokens and do not have them whole.
    pub fn parts(&self) -> impl Iterator<Item = Self> + '_ {
        // What all of them have is cloned for each; it is little.
        let mut part = self.clone();
        (part.cascade, part.produced, part.raised) = (Vec::new(), Vec::new(), Vec::new());
        (part.recent, part.pages, part.incidents) = (Vec::new(), Vec::new(), Vec::new());
        (part.timers, part.elapsed, part.items) = (Vec::new(), Vec::new(), Vec::new());
        part.marking = Marking::default();
        let change = Self { status: CaseStatus::Running, ..part.clone() };
        let named = [&mut part.consumed, &mut part.read, &mut part.removed, &mut part.edited];
        named.into_iter().for_each(Vec::clear);
        (part.kind, part.by, part.metadata) = (RecordKind::Fired, None, Map::new());
        part.work = None;
        let steps = self.cascade.iter().enumerate().map(move |(at, step)| {
            let is_last = at + 1 == self.cascade.len();
            Self {
                status: if is_last { self.status } else { CaseStatus::Running },
                transition: Some(step.transition.clone()),
                consumed: step.consumed.clone(),
                read: step.read.clone(),
                removed: step.removed.clone(),
                given: step.produced.clone(),
                ..part.clone()
            }
        });
        std::iter::once(change).chain(steps)
    }

    /// The tokens that were there before it and are not where they were after it, or have
    /// been taken and given again in between.
    pub fn left(&self) -> Vec<&TokenAt> {
        let taken = self.consumed.iter().chain(&self.removed);
        if self.cascade.is_empty() {
            return taken.collect();
        }
        let mut left: Vec<_> = taken.collect();
        let mut given: HashSet<&TokenAt> = self.given.iter().collect();
        for step in &self.cascade {
            let taken = step.consumed.iter().chain(&step.removed);
            left.extend(taken.filter(|at| !given.contains(at)));
            given.extend(&step.produced);
        }
        left
    }

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
