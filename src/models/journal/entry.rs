//! Entries of a journal.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::{Operation, distances};
use crate::models::{Failure, LogSequence, json::time};

/// The version of the stored form of entries that this code writes. It reads this and older ones.
pub const JOURNAL_FORMAT: u32 = 1;

/// An entry of a journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JournalEntry {
    /// Format of its stored form, up to the [`JOURNAL_FORMAT`] of the code that wrote it.
    pub format: u32,
    /// Its number in the journal, counted from 1, without gaps.
    pub number: u64,
    /// The claim under which it was written.
    pub claim: u64,
    /// Time by the clock of the process that wrote it; the server's time is the message's.
    #[serde(with = "time")]
    pub time: DateTime<Utc>,
    /// The entries since the last page, and that page: their log sequences, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "distances")]
    pub recent: Vec<LogSequence>,
    /// In a page: the log sequences of all pages before it.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "distances")]
    pub pages: Vec<LogSequence>,
    /// Its content.
    #[serde(flatten)]
    pub what: EntryKind,
}

/// Content of an entry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum EntryKind {
    /// A worker began to carry out the handler, under the entry's claim. Nobody with an earlier claim writes after it.
    Begun {
        /// Name of the worker.
        worker: String,
        /// Beginning of all that is random in the handler: 32 hexadecimal digits, in the first entry of a journal.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seed: Option<String>,
        /// Input of the handler, in the first entry of a journal: every run has it from there.
        #[serde(default, deserialize_with = "written", skip_serializing_if = "Option::is_none")]
        input: Option<Value>,
    },
    /// An operation has ended.
    Ended {
        /// The operation.
        #[serde(flatten)]
        of: Operation,
        /// Its end.
        #[serde(flatten)]
        end: OperationEnd,
        /// Its times.
        #[serde(flatten)]
        times: Times,
        /// The operations beside it that were under way when it failed: at each level of scopes round it, from the outer
        /// one, the first and the last number of each row of operations and scopes there.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        beside: Vec<Vec<[u64; 2]>>,
    },
    /// An attempt at a step failed, and there is another one.
    Tried {
        /// The step.
        #[serde(flatten)]
        of: Operation,
        /// Its failure.
        failure: Failure,
        /// Its times.
        #[serde(flatten)]
        times: Times,
        /// The time before which the next attempt does not begin.
        #[serde(with = "time")]
        next: DateTime<Utc>,
    },
    /// An operation waits for a time.
    Waits {
        /// The operation.
        #[serde(flatten)]
        of: Operation,
        /// The time.
        #[serde(with = "time")]
        until: DateTime<Utc>,
    },
    /// An operation waits for an answer from outside, up to a time.
    Awaits {
        /// The operation.
        #[serde(flatten)]
        of: Operation,
        /// The time.
        #[serde(with = "time")]
        until: DateTime<Utc>,
    },
    /// Somebody outside gives the answer to an operation. It counts unless that has ended before.
    Resolved {
        /// The operation.
        #[serde(flatten)]
        of: Operation,
        /// The answer.
        #[serde(flatten)]
        end: OperationEnd,
        /// Who gives it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<String>,
        /// Notes of that person.
        #[serde(default, skip_serializing_if = "Map::is_empty")]
        notes: Map<String, Value>,
    },
    /// All that runs of the handler waits, and its worker lets it go. Another claim goes on.
    Parked {
        /// The time before which it does not, if there is one.
        #[serde(default, deserialize_with = "time::or_none", serialize_with = "time::write_some")]
        #[serde(skip_serializing_if = "Option::is_none")]
        until: Option<DateTime<Utc>>,
    },
    /// The handler ended with an error.
    Failed {
        /// The operation whose error it handed on, if it was one's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        of: Option<Operation>,
        /// The error.
        failure: Failure,
    },
    /// The failure of an operation counts no more: somebody had the item tried again.
    Retried {
        /// The operation.
        #[serde(flatten)]
        of: Operation,
    },
    /// The handler takes a new way at a place that it had not passed before.
    Patched {
        /// Name of the change.
        id: String,
        /// Path of the scope.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        scope: String,
        /// Number of the operations that the handler had made there. It goes the former way where it had made fewer.
        made: u64,
    },
    /// An attempt at a step that is carried out at most once begins.
    Started {
        /// The step.
        #[serde(flatten)]
        of: Operation,
        /// Number of the attempt.
        attempt: u64,
    },
    /// Somebody says what became of a step whose worker was lost in it, and which is carried out at most once.
    Settled {
        /// The step.
        #[serde(flatten)]
        of: Operation,
        /// Number of the attempt.
        attempt: u64,
        /// Its end; absent if it had no effect, and is to be carried out.
        #[serde(flatten)]
        end: Option<OperationEnd>,
        /// Number of the incident that it settles.
        #[serde(default)]
        incident: u64,
        /// Who says so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<String>,
        /// Notes of that person.
        #[serde(default, skip_serializing_if = "Map::is_empty")]
        notes: Map<String, Value>,
    },
    /// A newer version's kind, which this one does not know, and never writes.
    #[serde(other)]
    Unknown,
}

/// End of an operation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OperationEnd {
    /// With a result.
    Result(Value),
    /// With a failure, after which there is no other attempt.
    Error(Failure),
}

/// Attempts and times of an operation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Times {
    /// Number of the attempt that ended, counted from 1.
    pub attempt: u64,
    /// Number of the attempts before it whose workers were lost: they may have had an effect.
    #[serde(default, skip_serializing_if = "is_none")]
    pub lost: u64,
    /// Time at which the attempt began.
    #[serde(with = "time")]
    pub since: DateTime<Utc>,
    /// The place in the source that made the operation.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub place: String,
}

/// Reads a value that is there: null is one.
fn written<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(from).map(Some)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_none(number: &u64) -> bool {
    *number == 0
}

impl EntryKind {
    /// The operation that it is about.
    pub fn operation(&self) -> Option<&Operation> {
        match self {
            Self::Ended { of, .. }
            | Self::Tried { of, .. }
            | Self::Waits { of, .. }
            | Self::Awaits { of, .. }
            | Self::Resolved { of, .. }
            | Self::Retried { of }
            | Self::Settled { of, .. }
            | Self::Started { of, .. } => Some(of),
            Self::Begun { .. }
            | Self::Parked { .. }
            | Self::Failed { .. }
            | Self::Patched { .. }
            | Self::Unknown => None,
        }
    }
}

/// An entry as the log has it.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredEntry {
    /// The entry.
    pub entry: JournalEntry,
    /// Its log sequence.
    pub sequence: LogSequence,
    /// Time at which the server stored it.
    pub timestamp: DateTime<Utc>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::models::OperationKind;

    fn at(number: u64) -> LogSequence {
        LogSequence::new(number).unwrap()
    }

    fn step() -> Operation {
        Operation {
            scope: "2:load".to_owned(),
            number: 3,
            kind: OperationKind::Step,
            name: "fetch".to_owned(),
            input_hash: None,
        }
    }

    fn entry(what: EntryKind) -> JournalEntry {
        JournalEntry {
            format: JOURNAL_FORMAT,
            number: 4,
            claim: 2,
            time: "2026-01-01T00:00:01Z".parse().unwrap(),
            recent: vec![at(1_000_000), at(1_000_001), at(1_000_070)],
            pages: Vec::new(),
            what,
        }
    }

    #[test]
    fn an_entry_is_stored_in_this_form_and_comes_back() {
        let since = "2026-01-01T00:00:00Z".parse().unwrap();
        let times = Times { attempt: 2, lost: 1, since, place: "src/a.rs:7".to_owned() };
        let notes = json!({"why": "seen"}).as_object().unwrap().clone();
        let end = OperationEnd::Result(json!({"b": [1.0, -0.0, 1e-320], "a": u64::MAX}));
        let of = step();
        let ended =
            entry(EntryKind::Ended { of: of.clone(), end, times: times.clone(), beside: vec![] });
        let text = r#"{"format":1,"number":4,"claim":2,"time":"2026-01-01T00:00:01Z","recent":[1000000,1,69],"kind":"ended","scope":"2:load","op":3,"what":"step","name":"fetch","result":{"a":18446744073709551615,"b":[1.0,-0.0,1e-320]},"attempt":2,"lost":1,"since":"2026-01-01T00:00:00Z","place":"src/a.rs:7"}"#;
        assert_eq!(serde_json::to_string(&ended).unwrap(), text);
        let failure = Failure { code: "NO".to_owned(), ..Failure::default() };
        let error = OperationEnd::Error(failure.clone());
        let next = "2026-01-01T00:01:00Z".parse().unwrap();
        for what in [
            ended.what,
            EntryKind::Ended {
                of: of.clone(),
                end: error,
                times: times.clone(),
                beside: vec![vec![[1, 1], [3, 9]], vec![]],
            },
            EntryKind::Ended {
                of: of.clone(),
                end: OperationEnd::Result(Value::Null),
                times: Times { lost: 0, ..times.clone() },
                beside: Vec::new(),
            },
            EntryKind::Failed { of: Some(of.clone()), failure: failure.clone() },
            EntryKind::Failed { of: None, failure: failure.clone() },
            EntryKind::Retried { of: of.clone() },
            EntryKind::Patched { id: "fraud-check".to_owned(), scope: of.scope.clone(), made: 3 },
            EntryKind::Patched { id: "fraud-check".to_owned(), scope: String::new(), made: 0 },
            EntryKind::Tried { of: of.clone(), failure, times, next },
            EntryKind::Waits { of: of.clone(), until: next },
            EntryKind::Awaits { of: of.clone(), until: next },
            EntryKind::Resolved {
                of: of.clone(),
                end: OperationEnd::Result(Value::Null),
                by: Some("ann".to_owned()),
                notes: notes.clone(),
            },
            EntryKind::Parked { until: Some(next) },
            EntryKind::Parked { until: None },
            EntryKind::Settled {
                of: of.clone(),
                attempt: 1,
                end: Some(OperationEnd::Result(Value::Null)),
                incident: 2,
                by: Some("ann".to_owned()),
                notes: notes.clone(),
            },
            EntryKind::Settled {
                of: of.clone(),
                attempt: 1,
                end: None,
                incident: 2,
                by: None,
                notes,
            },
            EntryKind::Started { of, attempt: 1 },
            EntryKind::Begun {
                worker: "w".to_owned(),
                seed: Some("00".repeat(16)),
                input: Some(Value::Null),
            },
            EntryKind::Begun { worker: String::new(), seed: None, input: None },
        ] {
            let entry = entry(what);
            let text = serde_json::to_string(&entry).unwrap();
            assert_eq!(serde_json::from_str::<JournalEntry>(&text).unwrap(), entry, "{text}");
        }
    }

    #[test]
    fn what_a_newer_version_writes_is_unknown() {
        let mut json =
            serde_json::to_value(entry(EntryKind::Started { of: step(), attempt: 1 })).unwrap();
        json["kind"] = json!("dreamt");
        let read: JournalEntry = serde_json::from_value(json).unwrap();
        assert_eq!((read.what, read.number), (EntryKind::Unknown, 4));
    }
}
